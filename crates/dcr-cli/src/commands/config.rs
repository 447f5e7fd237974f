//! `dcr config`.

use crate::args::Config;
use crate::exit::Exit;
use crate::{output, settings};

/// Prints the configuration that the arguments make, explained.
pub(crate) fn run(arguments: &Config) -> anyhow::Result<Exit> {
    let config = settings::gather(&arguments.settings)?;
    output::print(&settings::as_toml(&config)?)?;
    Ok(Exit::Done)
}
