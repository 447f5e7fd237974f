//! Settings from a TOML file, each with its line number.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::assignment::{Assignment, SettingError};
use super::number;

/// The settings in the file at `path`, in file order.
pub(super) fn assignments(path: &Path) -> Result<Vec<Assignment>, SettingError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingError::Unreadable { path: path.to_owned(), source })?;
    let syntax = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_at(&text, span.start));
        let mut reason = error.message().lines().collect::<Vec<_>>().join(" ");
        if let Some(number) = text.lines().nth(line - 1).and_then(number_meant) {
            reason.push_str(&format!("; write {number}"));
        }
        SettingError::Syntax { path: path.to_owned(), line, reason }
    };
    let mut values: toml::Table = text.parse().map_err(syntax)?;
    let spans = DeTable::parse(&text).map_err(syntax)?;
    let mut found = Vec::new();
    for (table, settings) in spans.get_ref() {
        let place = |at: usize| format!("{}:{}", path.display(), line_at(&text, at));
        let values = values.remove(table.get_ref().as_ref());
        match (settings.get_ref(), values) {
            (DeValue::Table(names), Some(toml::Value::Table(mut values))) => {
                for name in names.keys() {
                    found.push((
                        name.span().start,
                        Assignment {
                            key: format!("{}.{}", table.get_ref(), name.get_ref()),
                            value: values.remove(name.get_ref().as_ref()),
                            place: place(name.span().start),
                            bare: None,
                        },
                    ));
                }
                // An unknown table is an error even if it is empty.
                if names.is_empty() && dcr_coadd::config::check_key(table.get_ref()).is_err() {
                    let key = table.get_ref().to_string();
                    let at = table.span().start;
                    found.push((at, Assignment { key, value: None, place: place(at), bare: None }));
                }
            }
            (_, value) => {
                let at = table.span().start;
                found.push((
                    at,
                    Assignment { key: table.get_ref().to_string(), value, place: place(at), bare: None },
                ));
            }
        }
    }
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, assignment)| assignment).collect())
}

/// The TOML form of the value in a line that holds a malformed number.
fn number_meant(line: &str) -> Option<String> {
    let (_, value) = line.split_once('=')?;
    number::as_toml(value.split('#').next()?.trim())
}

/// Line number of a byte offset, from 1.
fn line_at(text: &str, byte: usize) -> usize {
    1 + text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Assignment>, SettingError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        assignments(file.path())
    }

    #[test]
    fn file_settings_know_their_lines() {
        let found = parse("# comment\n[model]\nsubfilters = 5\n\n[band]\nname = \"g\"\n").unwrap();
        let lines: Vec<(&str, bool)> = found
            .iter()
            .map(|given| {
                (
                    given.key.as_str(),
                    given.place.ends_with(if given.key == "band.name" { ":6" } else { ":3" }),
                )
            })
            .collect();
        assert_eq!(lines, [("model.subfilters", true), ("band.name", true)]);
    }

    #[test]
    fn file_that_is_no_toml_names_the_line() {
        let message = parse("[model]\nsubfilters = = 5\n").unwrap_err().to_string();
        assert!(message.contains(":2: "), "{message}");
        let message =
            parse("[solver]\nconvergence_threshold = .005 # half a percent\n").unwrap_err().to_string();
        assert!(message.contains(":2: ") && message.ends_with("; write 0.005"), "{message}");
        assert!(assignments(Path::new("nowhere.toml")).unwrap_err().to_string().contains("nowhere.toml"));
    }
}
