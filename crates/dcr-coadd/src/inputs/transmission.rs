//! The transmission curve of a coadd, as a table.
//!
//! All visits of a run share one band, so the weighted mean of their curves is that of the band:
//! the curve of `band.throughput`, or 1 between the band's edges. A subfilter has the part between
//! its own edges.

use dcr_image::fits::{Column, ColumnValues, TableHdu};
use dcr_physics::{Band, Wavelength};

/// The table TRANSMISSION of the band between two wavelengths.
pub(crate) fn transmission_table(band: &Band, lo: Wavelength, hi: Wavelength) -> TableHdu {
    let (lo, hi) = (lo.nm(), hi.nm());
    let points: Vec<(f64, f64)> = match band.throughput() {
        None => vec![(lo, 1.0), (hi, 1.0)],
        Some(curve) => {
            let edge = |nm: f64| (nm, curve.at(Wavelength::from_nm(nm)));
            let inside = curve.points().filter(|(nm, _)| *nm > lo && *nm < hi);
            std::iter::once(edge(lo)).chain(inside).chain([edge(hi)]).collect()
        }
    };
    let column = |name: &str, unit: &str, values: Vec<f64>| Column {
        name: name.into(),
        unit: unit.into(),
        values: ColumnValues::F64(values),
    };
    let (wavelengths, transmissions) = points.into_iter().unzip();
    TableHdu {
        name: "TRANSMISSION".into(),
        columns: vec![column("WAVELENGTH", "nm", wavelengths), column("THROUGHPUT", "", transmissions)],
        cards: vec![],
    }
}

#[cfg(test)]
mod tests {
    use dcr_physics::Throughput;

    use super::*;

    fn values(table: &TableHdu) -> Vec<Vec<f64>> {
        let column = |column: &Column| match &column.values {
            ColumnValues::F64(values) => values.clone(),
            other => panic!("{other:?}"),
        };
        table.columns.iter().map(column).collect()
    }

    #[test]
    fn transmission_is_the_bands_between_the_edges() {
        let nm = Wavelength::from_nm;
        let even = Band::new("g", nm(450.0), 100.0).unwrap();
        assert_eq!(values(&transmission_table(&even, nm(400.0), nm(500.0))), [[400.0, 500.0], [1.0, 1.0]]);
        let curve = Throughput::parse("400 0\n420 0.5\n460 1\n500 0\n").unwrap();
        let curved = even.with_throughput(curve).unwrap();
        let part = values(&transmission_table(&curved, nm(410.0), nm(440.0)));
        assert_eq!(part, [[410.0, 420.0, 440.0], [0.25, 0.5, 0.75]]);
    }
}
