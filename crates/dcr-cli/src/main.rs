//! `dcr`: images free of differential chromatic refraction, from the command line.
//!
//! Parses arguments and configuration, calls `dcr-coadd`, shows progress and prints one summary. Results go to
//! stdout; messages, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with
//! inputs dropped or subregions not converged, 130 interrupted.

mod args;
mod commands;
mod exit;
mod interrupt;
mod logging;
mod output;
mod progress;
mod settings;
mod summary;
mod table;
mod warps;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bars = indicatif::MultiProgress::new();
    logging::start(&arguments, bars.clone());
    let outcome = start_threads(arguments.threads).and_then(|()| match &arguments.command {
        Command::Inspect(inspect) => commands::inspect::run(inspect),
        Command::Config(config) => commands::config::run(config),
        Command::Assemble(assemble) => commands::assemble::run(assemble, bars, arguments.quiet),
        Command::Template(template) => commands::template::run(template, bars, arguments.quiet),
        Command::Subtract(subtract) => commands::subtract::run(subtract, bars, arguments.quiet),
    });
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error).into(),
    }
}

/// Sets the number of threads, all cores if none is given.
fn start_threads(threads: Option<usize>) -> anyhow::Result<()> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    builder.build_global().map_err(|error| anyhow::anyhow!("cannot start the threads: {error}"))
}
