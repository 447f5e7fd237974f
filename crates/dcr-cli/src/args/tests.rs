//! Command lines that are written down, in help texts, README and book, are command lines.

use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;
use dcr_coadd::config::{KEYS, check_key};

use super::*;
use crate::settings::gather;

#[test]
fn arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn help_examples_are_command_lines() {
    let program = Arguments::command();
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.strip_prefix("Examples:\n").unwrap_or_default();
        let lines: Vec<&str> = examples.lines().take_while(|line| line.starts_with("  dcr ")).collect();
        assert!(!lines.is_empty(), "{} has an example", command.get_name());
        // A comment stands behind some blanks.
        lines
            .iter()
            .for_each(|line| parse(line.trim().split("   ").next().unwrap_or_default(), "help", false));
    }
}

#[test]
fn book_and_readme_have_command_lines_and_settings_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    let entries = std::fs::read_dir(root.join("docs/book/src")).expect("the book");
    pages.extend(entries.map(|entry| entry.expect("a page").path()));
    let mut parsed = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        for (language, block) in blocks(&text) {
            for line in block.lines().filter(|_| language == "console" || language == "sh") {
                let line = line.trim_start_matches("$ ");
                let line = line.split("  #").next().unwrap_or_default();
                let line = line.replace("cargo run --release -- ", "dcr ");
                if line.starts_with("dcr ") {
                    parse(&line, &name, false);
                    parsed += 1;
                }
            }
        }
        for code in inline_code(&text) {
            if code.starts_with("dcr ") && !code.contains('…') {
                parse(code, &name, true);
            }
            code.split("--set ").skip(1).for_each(|setting| check_setting(setting, &name));
            let table = code.split('.').next().unwrap_or_default();
            let is_file = [".fits", ".json", ".html"].iter().any(|extension| code.ends_with(extension));
            if !is_file && KEYS.iter().any(|keys| keys[0].table == table) {
                check_setting(code, &name);
            }
        }
    }
    assert!(parsed > 20, "{parsed} command lines");
}

/// Takes a line apart as a shell does, and as `dcr` does; the settings in it must be possible.
fn parse(line: &str, page: &str, in_a_sentence: bool) {
    let words = words(line);
    // Names of commands alone, as `dcr assemble`, stand for the command.
    if words.len() < 3 {
        let known = Arguments::command()
            .get_subcommands()
            .any(|c| Some(c.get_name()) == words.get(1).map(String::as_str));
        assert!(known, "{page}: {line}");
        return;
    }
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        // Inside a sentence, a command may stand without its files.
        Err(error) if in_a_sentence && error.kind() == ErrorKind::MissingRequiredArgument => return,
        Err(error) => panic!("{page}: {line}\n{error}"),
    };
    let settings = match arguments.command {
        Command::Inspect(Inspect { settings, .. })
        | Command::Assemble(Assemble { settings, .. })
        | Command::Template(Template { settings, .. })
        | Command::Subtract(Subtract { settings, .. })
        | Command::Config(Config { settings, .. }) => settings,
        _ => return,
    };
    // Files that examples name are not there.
    let files = ["band.throughput=", "coadd.visit_weights=", "coadd.bright_objects="];
    let set = settings.set.into_iter().filter(|set| !files.iter().any(|key| set.starts_with(key))).collect();
    let settings = Settings { config: None, set, ..settings };
    gather(&settings).unwrap_or_else(|error| panic!("{page}: {line}\n{error}"));
}

/// `table.name`, with `=` and a value or without, is a setting.
fn check_setting(text: &str, page: &str) {
    let name: String = text
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "._".contains(*c))
        .collect();
    if name != "KEY" && name != "table.name" {
        let setting = name.split('.').take(2).collect::<Vec<_>>().join(".");
        check_key(&setting).unwrap_or_else(|error| panic!("{page}: {text}: {error}"));
    }
}

/// Words up to a redirection; quotes of both kinds hold words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (None, '>') => break,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == c => quote = None,
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Language and text of the blocks of code.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// Code inside the text.
fn inline_code(page: &str) -> Vec<&str> {
    let prose = page.split("\n```").step_by(2);
    prose.flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
}
