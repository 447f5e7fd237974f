//! Aligned text tables.

use crate::output::visible;

/// Rows of text, aligned on display.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// Heading and alignment of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    heading: &'static str,
    flush: Flush,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    Left,
    Right,
}

/// A left-aligned text column.
pub(crate) const fn words(heading: &'static str) -> Column {
    Column { heading, flush: Flush::Left }
}

/// A right-aligned column of numbers.
pub(crate) const fn numbers(heading: &'static str) -> Column {
    Column { heading, flush: Flush::Right }
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row with one cell per column.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<String>>) {
        let visible = |cell: String| visible(&cell).into_owned();
        let cells: Vec<String> = cells.into().into_iter().map(visible).collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |text: &str| text.chars().count();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|i| {
                let cells = self.rows.iter().map(|row| width(&row[i])).max().unwrap_or(0);
                cells.max(width(self.columns[i].heading))
            })
            .collect();
        let headings: Vec<String> = self.columns.iter().map(|column| column.heading.to_owned()).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(&self.columns).zip(&widths) {
                match column.flush {
                    Flush::Left => line.push_str(&format!("{cell:<width$}  ")),
                    Flush::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number with the given number of decimals, or a dash.
pub(crate) fn fixed(value: Option<f64>, decimals: usize) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| "–".into(), |value| format!("{value:.decimals$}"))
}

/// A number with the given number of significant digits, or a dash.
pub(crate) fn digits(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return "–".into() };
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if !(-4..6).contains(&magnitude) {
        return format!("{value:.*e}", digits - 1);
    }
    format!("{value:.*}", (digits as i32 - 1 - magnitude).max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_aligns_words_left_and_numbers_right() {
        let mut table = Table::new([words("name"), numbers("value")]);
        table.row(["ä".to_owned(), "1.0".to_owned()]);
        table.row(["longer".to_owned(), "–".to_owned()]);
        assert_eq!(table.to_string(), "name    value\nä         1.0\nlonger      –\n");
    }

    #[test]
    fn numbers_are_short_or_a_dash() {
        assert_eq!(fixed(Some(1.005_1), 2), "1.01");
        assert_eq!(fixed(Some(f64::INFINITY), 2), "–");
        assert_eq!(fixed(None, 2), "–");
        for (value, text) in
            [(12.345, "12.3"), (0.012_345, "0.0123"), (123_456.0, "123456"), (1.2e9, "1.20e9")]
        {
            assert_eq!(digits(Some(value), 3), text);
        }
        assert_eq!((digits(Some(0.0), 3), digits(Some(f64::NAN), 3)), ("0.00".into(), "–".into()));
    }
}
