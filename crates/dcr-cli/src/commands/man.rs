//! `dcr man`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use dcr_image::fits::AtomicFile;

use crate::args::{Arguments, Man};
use crate::exit::Exit;

/// First line of the examples in a command's trailing help.
const EXAMPLES: &str = "Examples:\n";

/// Writes one page for `dcr` and one for each command.
pub(crate) fn run(arguments: &Man) -> anyhow::Result<Exit> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the directory {}", folder.display()))?;
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    write(&program, folder)?;
    for command in program.get_subcommands() {
        write(command, folder)?;
    }
    Ok(Exit::Done)
}

fn write(command: &Command, folder: &Path) -> anyhow::Result<()> {
    let page = page(command)?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = folder.join(format!("{name}.1"));
    let write = || {
        let mut file = AtomicFile::create(&path)?;
        file.write_all(&page)?;
        file.commit()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The page in roff, with a separate section for the examples.
fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone())
        .manual("dcr manual")
        .source(concat!("dcr ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    // The synopsis of clap: that of clap_mangen omits the values of options.
    let usage = command.clone().render_usage().to_string();
    write!(page, ".SH SYNOPSIS\n{}\n", as_roff(usage.trim_start_matches("Usage: ")))?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = below.strip_prefix(EXAMPLES).unwrap_or_default();
    let (examples, rest) = examples.split_once("\n\n").unwrap_or((examples, ""));
    if !examples.is_empty() {
        write!(page, ".SH EXAMPLES\n.nf\n{}\n.fi\n", as_roff(examples))?;
    }
    if let Some(codes) = rest.strip_prefix("Exit codes: ") {
        write!(page, ".SH \"EXIT STATUS\"\n{}\n", as_roff(codes))?;
    } else {
        write!(page, ".SH \"SEE ALSO\"\n\\fBdcr\\fR(1)\n")?;
    }
    Ok(page)
}

/// Text with roff's special characters escaped: backslashes, dashes, leading dots and quotes.
fn as_roff(text: &str) -> String {
    let line = |line: &str| {
        let escaped = line.replace('\\', r"\e").replace('-', r"\-");
        if escaped.starts_with(['.', '\'']) { format!(r"\&{escaped}") } else { escaped }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn man_pages_have_their_sections() {
        let mut program = Arguments::command().disable_help_subcommand(true);
        program.build();
        for command in program.get_subcommands() {
            let page = String::from_utf8(page(command).unwrap()).unwrap();
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
                assert!(page.contains(&format!(".SH {section}\n")), "{}: {section}", command.get_name());
            }
        }
    }

    #[test]
    fn roff_text_means_itself() {
        assert_eq!(as_roff("a-b\n.c\n'd \\ e"), "a\\-b\n\\&.c\n\\&'d \\e e");
    }
}
