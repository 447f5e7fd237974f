//! `dcr completions`.

use clap::CommandFactory;

use crate::args::{Arguments, Completions};
use crate::exit::Exit;
use crate::output;

/// Prints the completion script of a shell.
pub(crate) fn run(arguments: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "dcr", &mut script);
    output::print_as_it_is(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
