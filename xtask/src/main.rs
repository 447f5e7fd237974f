//! Development commands: `cargo xtask <command>`.

mod bench;
mod book;
mod faults;
mod fuzz;
mod snapshots;
mod testdata;
mod tidy;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};

use workspace::root;

/// Development commands of the dcr workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The command.
#[derive(Subcommand)]
enum Command {
    /// Draw testdata/: a small synthetic field, two held-out visits, and the truth.
    Testdata {
        /// Compare with the existing files, and change nothing.
        #[arg(long)]
        check: bool,
    },
    /// Draw a synthetic field of any size, to measure speed, memory and accuracy.
    Field {
        /// Output folder for the warps.
        folder: std::path::PathBuf,
        /// Pixels along each side.
        #[arg(long, default_value_t = 2000)]
        side: usize,
        /// Number of visits.
        #[arg(long, default_value_t = 40)]
        visits: usize,
        /// Variable seeing of 0.6 to 1.3 arcsec instead of constant seeing, and unmasked artefacts:
        /// cosmic rays, trails.
        #[arg(long)]
        troubled: bool,
    },
    /// Measure the cost of each step on this machine, and print tables.
    Bench,
    /// Kill `dcr` and inject system-call faults at random points, and check the result.
    Faults {
        /// Number of kills and requests to terminate.
        #[arg(long, default_value_t = 200)]
        kills: usize,
        /// Number of failing system calls.
        #[arg(long, default_value_t = 500)]
        faults: usize,
        /// Seed of the random numbers.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The program [default: dcr beside this one].
        #[arg(long)]
        dcr: Option<std::path::PathBuf>,
        /// Only this scene: assemble, joint, overwrite, template, subtract or report.
        #[arg(long)]
        scene: Option<String>,
    },
    /// Read damaged input of every kind, derived from good input, and count the outcomes.
    Fuzz(fuzz::Arguments),
    /// Review, update or prune the snapshots of tests.
    Snapshots {
        #[command(subcommand)]
        action: snapshots::Action,
    },
    /// Check the house rules: layers, module cycles, file access, lengths of files and doc lines,
    /// code map, orphaned snapshots, dead links and citations.
    Tidy,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Testdata { check: false } => testdata::write(&testdata::folder()),
        Command::Testdata { check: true } => testdata::check(&testdata::folder()),
        Command::Field { folder, side, visits, troubled } => {
            testdata::write_large(&folder, side, visits, troubled)
        }
        Command::Bench => bench::run(),
        Command::Faults { kills, faults, seed, dcr, scene } => {
            faults::run(&faults::Options { kills, faults, seed, dcr, scene })
        }
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Snapshots { action } => snapshots::run(&root(), &action),
        Command::Tidy => tidy::run(&root()),
    }
}
