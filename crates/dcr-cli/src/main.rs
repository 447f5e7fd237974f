#![doc = include_str!("../README.md")]

mod args;
mod commands;
mod console;
mod exit;
mod hints;
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
use crate::console::Console;
use crate::interrupt::Interrupt;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let interrupt = Interrupt::default();
    let console = Console::new(&arguments, interrupt.clone());
    let started = logging::start(&arguments, console.bars())
        .map_err(Into::into)
        .and_then(|()| interrupt.listen(console.format()))
        .and_then(|()| start_threads(arguments.threads));
    let exit = match started.and_then(|()| run(&arguments.command, &console)) {
        Ok(exit) => exit,
        Err(error) => {
            if interrupt.signal().is_some() {
                // Either thread may come first; it removes all unfinished files and ends the
                // program.
                dcr_image::fits::remove_unfinished();
            }
            exit::report(&error, console.format(), interrupt.signal())
        }
    };
    tracing::info!(exit_code = exit.code(), "dcr ends");
    exit.into()
}

fn run(command: &Command, console: &Console) -> anyhow::Result<exit::Exit> {
    match command {
        Command::Inspect(inspect) => commands::inspect::run(inspect, console),
        Command::Assemble(assemble) => commands::assemble::run(assemble, console),
        Command::Template(template) => commands::template::run(template, console),
        Command::Subtract(subtract) => commands::subtract::run(subtract, console),
        Command::Report(report) => commands::report::run(report, console),
        Command::Config(config) => commands::config::run(config),
        Command::Completions(completions) => commands::completions::run(completions),
        Command::Man(man) => commands::man::run(man),
    }
}

/// Starts the thread pool, with one thread per core by default.
fn start_threads(threads: Option<usize>) -> anyhow::Result<()> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    builder.build_global().map_err(|error| anyhow::anyhow!("cannot start the threads: {error}"))
}
