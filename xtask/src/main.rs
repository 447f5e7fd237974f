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

/// What to do.
#[derive(Subcommand)]
enum Command {
    /// Draw testdata/: a small synthetic field, two visits to predict, and the truth.
    Testdata {
        /// Compare what is there with what would be drawn, and change nothing.
        #[arg(long)]
        check: bool,
    },
    /// Draw a synthetic field of any size, to measure speed, memory and accuracy on.
    Field {
        /// Folder to write warps to.
        folder: std::path::PathBuf,
        /// Pixels along each side.
        #[arg(long, default_value_t = 2000)]
        side: usize,
        /// Number of visits.
        #[arg(long, default_value_t = 40)]
        visits: usize,
        /// Seeing from 0.6 to 1.3 arcsec instead of a constant one, and trouble that no mask marks:
        /// cosmic rays, trails.
        #[arg(long)]
        troubled: bool,
    },
    /// Measure what each step costs on this machine, and print tables.
    Bench,
    /// Kill `dcr` and let calls of the operating system fail, at random points, and check what is
    /// left.
    Faults {
        /// Number of kills and requests to terminate.
        #[arg(long, default_value_t = 200)]
        kills: usize,
        /// Number of failing calls.
        #[arg(long, default_value_t = 500)]
        faults: usize,
        /// Where random numbers start.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The program [default: dcr beside this one].
        #[arg(long)]
        dcr: Option<std::path::PathBuf>,
        /// Only this scene: assemble, joint, overwrite, template, subtract or report.
        #[arg(long)]
        scene: Option<String>,
    },
    /// Read damaged input of every kind, made from good input, and count how it ends.
    Fuzz(fuzz::Arguments),
    /// Review, update or prune the snapshots of tests.
    Snapshots {
        #[command(subcommand)]
        action: snapshots::Action,
    },
    /// Check the house rules: layering, module cycles, file access, lengths of files and doc lines,
    /// the code map, snapshots without a test, links and citations that lead nowhere.
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
