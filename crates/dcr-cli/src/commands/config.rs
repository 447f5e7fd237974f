//! `dcr config`.

use crate::args::Config;
use crate::exit::Exit;
use crate::{output, settings};

/// Prints the configuration that results from the arguments, in full or in part.
pub(crate) fn run(arguments: &Config) -> anyhow::Result<Exit> {
    let config = settings::gather(&arguments.settings)?;
    let text = match arguments.keys.as_slice() {
        _ if arguments.markdown => settings::as_markdown(&config)?,
        [] => settings::as_toml(&config)?,
        keys => settings::explained(&config, keys)?,
    };
    output::print(&text)?;
    Ok(Exit::Done)
}
