//! Files of visit numbers, with or without weights. A `#` starts a comment.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};

/// Visit numbers in a file, separated by blanks, commas or line breaks.
pub(crate) fn visits(path: &Path) -> anyhow::Result<Vec<u64>> {
    let text = read(path, "list of visits")?;
    let mut numbers = Vec::new();
    for (number, line) in lines(&text) {
        for word in line.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
            let visit = word.parse();
            numbers.push(visit.with_context(|| {
                format!(
                    "{}:{number}: {word:?} is not a visit number; expected a non-negative integer",
                    path.display()
                )
            })?);
        }
    }
    if numbers.is_empty() {
        bail!("{}: the file lists no visits; expected visit numbers", path.display());
    }
    Ok(numbers)
}

/// Visit weights from a file of two columns.
pub(super) fn weights(path: &Path) -> anyhow::Result<BTreeMap<u64, f64>> {
    let text = read(path, "weights of the visits")?;
    let mut weights = BTreeMap::new();
    for (number, line) in lines(&text) {
        let words: Vec<&str> = line.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
        let pair = match words[..] {
            [visit, weight] => visit.parse().ok().zip(weight.parse().ok()),
            _ => None,
        };
        let Some((visit, weight)) = pair else {
            bail!("{}:{number}: expected a visit number and its weight, found {line:?}", path.display());
        };
        if weights.insert(visit, weight).is_some() {
            bail!("{}:{number}: visit {visit} is listed twice; remove one of the lines", path.display());
        }
    }
    Ok(weights)
}

fn read(path: &Path, what: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{}: cannot read the {what}", path.display()))
}

/// Lines with content, comments removed, with line numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let without_comment = |line: &str| line.find('#').unwrap_or(line.len());
    (1..)
        .zip(text.lines())
        .map(move |(number, line)| (number, line[..without_comment(line)].trim()))
        .filter(|(_, line)| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn visits_are_listed_in_any_layout() {
        assert_eq!(visits(file("1 2,3\n# none\n\n4 # last\n").path()).unwrap(), [1, 2, 3, 4]);
        let error = visits(file("1\ntwo\n").path()).unwrap_err().to_string();
        assert!(
            error.ends_with(":2: \"two\" is not a visit number; expected a non-negative integer"),
            "{error}"
        );
        assert!(visits(file("# nothing\n").path()).unwrap_err().to_string().contains("lists no visits"));
        assert!(visits(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn weights_are_two_columns() {
        let read = weights(file("# visit weight\n7 1.5\n8,0.25\n").path()).unwrap();
        assert_eq!(read, BTreeMap::from([(7, 1.5), (8, 0.25)]));
        assert!(weights(file("7\n").path()).unwrap_err().to_string().contains(":1: expected a visit number"));
        assert!(weights(file("7 1\n7 2\n").path()).unwrap_err().to_string().contains("listed twice"));
    }
}
