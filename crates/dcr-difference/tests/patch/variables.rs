//! Sources that change: a run must keep its visits of them, and subtraction must find them.

use std::f64::consts::TAU;

use dcr_coadd::Unmonitored;
use dcr_coadd::config::{AssembleConfig, SubtractConfig, TableFormat};
use dcr_difference::{SubtractRequest, subtract};
use dcr_image::MaskedImage;
use dcr_sim::{Field, FieldConfig, Source, SourceSettings, SourceShape, Spectrum, VisitPlan, VisitSettings};

use crate::differences::rows;
use crate::field::{Bench, warp_again};
use crate::tolerance::{NEW_LIGHT, VARIABLE_FLUX};

/// A star that changes.
struct Case {
    name: &'static str,
    flux: f64,
    course: Course,
}

/// How it changes from visit to visit.
#[derive(Clone, Copy)]
enum Course {
    /// A sinusoid of this amplitude in magnitudes.
    Sinusoid(f64),
    /// It is there in these visits only.
    Transient(&'static [usize]),
}

impl Course {
    /// Its flux in a visit, relative.
    fn factor(self, visit: usize) -> f64 {
        match self {
            // Visits go up in airmass: a period without relation to them.
            Self::Sinusoid(amplitude) => {
                10.0_f64.powf(-0.4 * amplitude * (TAU * 0.37 * visit as f64 + 0.4).sin())
            }
            Self::Transient(visits) => f64::from(u8::from(visits.contains(&visit))),
        }
    }

    /// The same in a held-out visit: brightest and faintest by turns.
    fn held_out(self, visit: usize) -> f64 {
        match self {
            Self::Sinusoid(amplitude) => 10.0_f64.powf(0.4 * amplitude * [1.0, -1.0][visit % 2]),
            Self::Transient(_) => [1.0, 0.0][visit % 2],
        }
    }
}

const CASES: [Case; 9] = [
    Case { name: "bright 0.3 mag", flux: 2e5, course: Course::Sinusoid(0.3) },
    Case { name: "bright 1 mag", flux: 2e5, course: Course::Sinusoid(1.0) },
    Case { name: "middle 0.3 mag", flux: 2e4, course: Course::Sinusoid(0.3) },
    Case { name: "middle 1 mag", flux: 2e4, course: Course::Sinusoid(1.0) },
    Case { name: "faint 1 mag", flux: 6e3, course: Course::Sinusoid(1.0) },
    Case { name: "one visit", flux: 2e4, course: Course::Transient(&[4]) },
    Case { name: "two visits", flux: 2e4, course: Course::Transient(&[4, 5]) },
    Case { name: "three visits", flux: 2e4, course: Course::Transient(&[3, 4, 5]) },
    Case { name: "three visits, bright", flux: 2e5, course: Course::Transient(&[3, 4, 5]) },
];
const VISITS: usize = 12;
const FIRST_ID: u32 = 1000;
/// Stars that do not change stay so far from those that do, in px.
const ALONE: f64 = 20.0;

fn field_config() -> FieldConfig {
    FieldConfig {
        seed: 31,
        width: 192,
        height: 192,
        visits: VisitSettings { count: VISITS, held_out: 4, ..VisitSettings::default() },
        sources: SourceSettings { stars: 60, galaxies: 8, ..SourceSettings::default() },
        ..FieldConfig::default()
    }
}

/// Where the stars are that change.
fn place(case: usize) -> [f64; 2] {
    [(32 + 64 * (case % 3)) as f64 + 0.3 * case as f64 % 1.0, (32 + 64 * (case / 3)) as f64 + 0.23]
}

fn field() -> Field {
    let config = field_config();
    let drawn = Field::draw(&config).unwrap();
    let alone = |source: &Source| {
        (0..CASES.len()).all(|case| (source.x - place(case)[0]).hypot(source.y - place(case)[1]) > ALONE)
    };
    let mut catalogue: Vec<Source> = drawn.catalogue().map(|(source, _)| *source).filter(alone).collect();
    for (i, case) in CASES.iter().enumerate() {
        let [x, y] = place(i);
        catalogue.push(Source {
            id: FIRST_ID + i as u32,
            x,
            y,
            flux: case.flux,
            shape: SourceShape::Point,
            spectrum: Spectrum::BlackBody { temperature_k: 5000.0 + 1000.0 * i as f64 },
        });
    }
    Field::with_catalogue(&config, catalogue).unwrap()
}

fn changed(plan: &VisitPlan, factor: impl Fn(&Course) -> f64) -> VisitPlan {
    let mut plan = plan.clone();
    plan.variables =
        CASES.iter().enumerate().map(|(i, case)| (FIRST_ID + i as u32, factor(&case.course))).collect();
    plan
}

fn aperture(image: &MaskedImage, [x, y]: [f64; 2], radius: f64) -> f64 {
    let near = |at: &(usize, usize)| (at.0 as f64 - y).hypot(at.1 as f64 - x) <= radius;
    image.image.indexed_iter().filter(|(at, _)| near(at)).map(|(_, v)| f64::from(*v)).sum()
}

/// Visits used within 3 px of each, light over that of the mean visit, and what subtraction finds
/// of them.
#[test]
fn variables_keep_their_visits_and_are_found() {
    let field = field();
    let warps: Vec<_> = field
        .visits()
        .iter()
        .enumerate()
        .map(|(i, plan)| warp_again(&field, &changed(plan, |course| course.factor(i)), 0))
        .collect();
    let bench = Bench::new(&warps);
    bench.run(&AssembleConfig::default()).unwrap();
    let (coadd, used) = (bench.read("run/coadd.fits"), bench.n_image("run/subfilter_0.fits"));
    let found = residuals(&bench, &field);
    for (i, case) in CASES.iter().enumerate() {
        let [x, y] = place(i);
        let near = |(row, col): (usize, usize)| (row as f64 - y).hypot(col as f64 - x) <= 3.0;
        let fewest = used.indexed_iter().filter(|(at, _)| near(*at)).map(|(_, n)| *n as usize).min().unwrap();
        let (visits, light): (usize, f64) = match case.course {
            // What a minority has is left out.
            Course::Transient(visits) if 5 * visits.len() <= 2 * VISITS => (VISITS - visits.len(), 0.0),
            course => (VISITS, (0..VISITS).map(|visit| course.factor(visit)).sum::<f64>() / VISITS as f64),
        };
        assert_eq!(fewest, visits, "{}", case.name);
        let off = aperture(&coadd, [x, y], 12.0) / case.flux - light;
        let allowed = match case.course {
            Course::Transient(visits) if visits.len() > 2 => NEW_LIGHT,
            _ => VARIABLE_FLUX * light.max(0.4),
        };
        assert!(off.abs() < allowed, "{}: {off} of {light}", case.name);
        for (visit, rows) in found.iter().enumerate() {
            // A negative one may be too faint to be found.
            let change = case.course.held_out(visit) - light;
            let is_found = rows
                .iter()
                .any(|row| (row["x"] - x).hypot(row["y"] - y) < 6.0 && (row["flux"] > 0.0) == (change > 0.0));
            assert!(is_found || case.flux * change < case.flux.min(5e3), "{}, {visit}", case.name);
        }
    }
}

/// What subtraction finds in the held-out visits.
fn residuals(bench: &Bench, field: &Field) -> Vec<Vec<std::collections::HashMap<String, f64>>> {
    let write = |(i, plan): (usize, &VisitPlan)| {
        let path = bench.path(&format!("exposure_{}.fits", plan.info.visit));
        warp_again(field, &changed(plan, |course| course.held_out(i)), 0).write(&path);
        path
    };
    let request = SubtractRequest {
        coadds: vec![bench.path("run")],
        templates: vec![],
        exposures: field.held_out().iter().enumerate().map(write).collect(),
        output: bench.path("differences"),
        overwrite: false,
    };
    let mut settings = SubtractConfig::default();
    settings.subtract.table = TableFormat::Csv;
    let summary = subtract(&request, &settings, &Unmonitored).unwrap();
    let read = |path: &std::path::PathBuf| rows(&std::fs::read_to_string(path).unwrap(), ',');
    summary.visits.iter().map(|visit| read(&visit.residuals)).collect()
}
