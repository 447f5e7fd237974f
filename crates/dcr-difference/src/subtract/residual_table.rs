//! Residuals as a table: in FITS, ECSV or CSV.

use std::fmt::Write;

use dcr_image::fits::{Column, ColumnValues, TableHdu};

use dcr_coadd::config::TableFormat;
use dcr_measure::residuals::Residual;

/// A column of numbers.
struct Numbers {
    name: &'static str,
    unit: String,
    about: &'static str,
    values: Values,
}

enum Values {
    Whole(Vec<i64>),
    /// Numbers, with their decimals in text.
    Real(Vec<f64>, usize),
    /// With seven digits in text.
    Scientific(Vec<f64>),
}

/// The residuals of one difference.
pub(crate) struct ResidualTable {
    columns: Vec<Numbers>,
    rows: usize,
}

impl ResidualTable {
    /// A table of residuals whose fluxes are in `unit`.
    pub(crate) fn new(residuals: &[Residual], unit: &str) -> Self {
        let whole = |name, about, of: &dyn Fn(usize, &Residual) -> i64| Numbers {
            name,
            unit: String::new(),
            about,
            values: Values::Whole(residuals.iter().enumerate().map(|(i, r)| of(i, r)).collect()),
        };
        let all = |of: &dyn Fn(&Residual) -> f64| residuals.iter().map(of).collect::<Vec<f64>>();
        let real = |name, unit: &str, about, decimals, of: &dyn Fn(&Residual) -> f64| Numbers {
            name,
            unit: unit.into(),
            about,
            values: Values::Real(all(of), decimals),
        };
        let flux = |name, about, of: &dyn Fn(&Residual) -> f64| Numbers {
            name,
            unit: unit.into(),
            about,
            values: Values::Scientific(all(of)),
        };
        let columns = vec![
            whole("id", "number, the most significant first", &|i, _| i as i64 + 1),
            real("x", "pix", "column, 0-based in the parent image", 3, &|r| r.x),
            real("y", "pix", "row, 0-based in the parent image", 3, &|r| r.y),
            real("ra", "deg", "right ascension, ICRS", 7, &|r| {
                r.sky.map_or(f64::NAN, |sky| sky.ra.degrees())
            }),
            real("dec", "deg", "declination, ICRS", 7, &|r| r.sky.map_or(f64::NAN, |sky| sky.dec.degrees())),
            whole("sign", "1 for more light than the template, -1 for less", &|_, r| {
                if r.positive { 1 } else { -1 }
            }),
            real("snr", "", "signal over noise at the peak", 2, &|r| r.significance),
            flux("flux", "flux of a point source there", &|r| r.flux),
            flux("flux_err", "its standard deviation", &|r| r.flux_error),
            whole("npix", "pixels beyond the threshold", &|_, r| r.pixels as i64),
            whole("dipole", "1 for a lobe of a dipole", &|_, r| i64::from(r.partner.is_some())),
            whole("partner", "id of the dipole's other lobe, or 0", &|_, r| {
                r.partner.map_or(0, |j| j as i64 + 1)
            }),
        ];
        Self { columns, rows: residuals.len() }
    }

    /// As a FITS table.
    pub(crate) fn hdu(&self) -> TableHdu {
        let column = |numbers: &Numbers| Column {
            name: numbers.name.into(),
            // FITS spells it out.
            unit: if numbers.unit == "pix" { "pixel".into() } else { numbers.unit.clone() },
            values: match &numbers.values {
                Values::Whole(values) => ColumnValues::I64(values.clone()),
                Values::Real(values, _) | Values::Scientific(values) => ColumnValues::F64(values.clone()),
            },
        };
        TableHdu {
            name: "RESIDUALS".into(),
            columns: self.columns.iter().map(column).collect(),
            cards: vec![],
        }
    }

    /// As text, with facts about the whole in the header of an ECSV file.
    pub(crate) fn text(&self, format: TableFormat, facts: &[(&str, String)]) -> String {
        let mut text = String::new();
        let separator = match format {
            TableFormat::Ecsv => {
                self.write_header(&mut text, facts);
                " "
            }
            TableFormat::Csv => ",",
        };
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let _ = writeln!(text, "{}", names.join(separator));
        for row in 0..self.rows {
            let cells: Vec<String> = self.columns.iter().map(|column| column.values.cell(row)).collect();
            let _ = writeln!(text, "{}", cells.join(separator));
        }
        text
    }

    fn write_header(&self, text: &mut String, facts: &[(&str, String)]) {
        text.push_str("# %ECSV 1.0\n# ---\n# datatype:\n");
        for Numbers { name, unit, about, values } in &self.columns {
            let unit = if unit.is_empty() { String::new() } else { format!("unit: {}, ", quoted(unit)) };
            let kind = if matches!(values, Values::Whole(_)) { "int64" } else { "float64" };
            let _ = writeln!(
                text,
                "# - {{name: {name}, {unit}datatype: {kind}, description: {}}}",
                quoted(about)
            );
        }
        text.push_str("# meta: !!omap\n");
        for (name, value) in facts {
            let _ = writeln!(text, "# - {{{name}: {value}}}");
        }
        text.push_str("# schema: astropy-2.0\n");
    }
}

impl Values {
    fn cell(&self, row: usize) -> String {
        let number = |value: f64, text: String| if value.is_nan() { "nan".into() } else { text };
        match self {
            Self::Whole(values) => values[row].to_string(),
            Self::Real(values, decimals) => number(values[row], format!("{:.decimals$}", values[row])),
            Self::Scientific(values) => number(values[row], format!("{:.6e}", values[row])),
        }
    }
}

/// Any text, quoted for YAML.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn residual(positive: bool, partner: Option<usize>) -> Residual {
        Residual {
            x: 12.345_6,
            y: 7.0,
            sky: (!positive).then(|| dcr_physics::SkyPosition::from_degrees(53.0, -25.5)),
            positive,
            significance: 7.126,
            flux: if positive { 1234.5 } else { -0.25 },
            flux_error: 20.0,
            pixels: 9,
            partner,
        }
    }

    #[test]
    fn table_in_text_has_every_column_and_its_unit() {
        let table = ResidualTable::new(&[residual(true, Some(1)), residual(false, Some(0))], "electron");
        let facts = [("visit", "5001".to_owned()), ("exposure", quoted("it's.fits"))];
        insta::assert_snapshot!("ecsv", table.text(TableFormat::Ecsv, &facts));
        insta::assert_snapshot!("csv", table.text(TableFormat::Csv, &facts));
    }

    #[test]
    fn table_of_nothing_has_its_columns() {
        let table = ResidualTable::new(&[], "");
        assert_eq!(table.text(TableFormat::Csv, &[]).lines().count(), 1);
        assert_eq!(table.hdu().columns.len(), 12);
    }
}
