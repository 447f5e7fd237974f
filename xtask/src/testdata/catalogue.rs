//! The catalogue of the test data as a table.

use std::fmt::Write;

use dcr_sim::{Field, SourceShape};

/// Subfilter counts whose fluxes are listed.
const COUNTS: [usize; 3] = [2, 3, 5];

/// Comma-separated values with one line per source; lengths in pixels, angles in degrees, fluxes in
/// electrons.
pub(super) fn table(field: &Field) -> String {
    let mut table =
        "id,shape,x,y,half_light_radius_px,axis_ratio,angle_deg,spectrum,parameter,mean_nm,flux".to_owned();
    for n in COUNTS {
        for a in 0..n {
            let _ = write!(table, ",flux_n{n}_{a}");
        }
    }
    table.push('\n');
    for (source, seen) in field.catalogue() {
        let (form, radius, ratio, angle) = match source.shape {
            SourceShape::Point => ("point".to_owned(), 0.0, 1.0, 0.0),
            SourceShape::Galaxy { shape, half_light_radius_px, axis_ratio, angle_rad } => {
                (shape.name().to_owned(), half_light_radius_px, axis_ratio, angle_rad.to_degrees())
            }
        };
        let (spectrum, mean) = (source.spectrum, seen.mean().nm());
        let _ = write!(
            table,
            "{},{form},{:.6},{:.6},{radius:.6},{ratio:.6},{angle:.4},{},{:.6},{mean:.4},{:.3}",
            source.id,
            source.x,
            source.y,
            spectrum.name(),
            spectrum.parameter(),
            source.flux
        );
        for fraction in COUNTS.into_iter().flat_map(|n| seen.fractions(n)) {
            let _ = write!(table, ",{:.3}", source.flux * fraction);
        }
        table.push('\n');
    }
    table
}
