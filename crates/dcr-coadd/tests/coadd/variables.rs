//! Sources that change: a run must keep its visits of them, and subtraction must find them.

use std::f64::consts::TAU;

use dcr_coadd::config::{AssembleConfig, SubtractConfig, TableFormat};
use dcr_coadd::{SubtractRequest, Unmonitored, subtract};
use dcr_image::fits::MissingVariance;
use dcr_image::{ExposureFile, MaskedImage, OpenOptions};
use dcr_sim::{Field, FieldConfig, Source, SourceSettings, SourceShape, Spectrum, VisitPlan, VisitSettings};

use crate::field::{Bench, warp_again};

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
const FIRST_ID: u32 = 1000;
/// Stars that do not change stay so far from those that do, in px.
const ALONE: f64 = 20.0;

fn field_config() -> FieldConfig {
    FieldConfig {
        seed: 31,
        width: 192,
        height: 192,
        visits: VisitSettings { count: 12, held_out: 4, ..VisitSettings::default() },
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

fn n_image(bench: &Bench) -> ndarray::Array2<f32> {
    let options = OpenOptions {
        image_hdu: Some("N_IMAGE".into()),
        missing_variance: MissingVariance::Estimate,
        ..OpenOptions::default()
    };
    let file = ExposureFile::open(&bench.path("run/subfilter_0.fits"), &options).unwrap();
    file.read_image(file.bbox()).unwrap()
}

fn aperture(image: &MaskedImage, [x, y]: [f64; 2], radius: f64) -> f64 {
    let near = |at: &(usize, usize)| (at.0 as f64 - y).hypot(at.1 as f64 - x) <= radius;
    image.image.indexed_iter().filter(|(at, _)| near(at)).map(|(_, v)| f64::from(*v)).sum()
}

#[test]
#[ignore = "measures"]
#[expect(clippy::print_stdout, reason = "a table for people")]
fn variables_measured() {
    let field = field();
    let warps: Vec<_> = field
        .visits()
        .iter()
        .enumerate()
        .map(|(i, plan)| warp_again(&field, &changed(plan, |course| course.factor(i)), 0))
        .collect();
    let bench = Bench::new(&warps);
    let mut config = AssembleConfig::default();
    if let Ok(method) = std::env::var("METHOD") {
        if method == "iterative" {
            config = crate::field::iterative();
        }
    }
    let summary = bench.run(&config).unwrap();
    println!("artefact pixels {:?}", summary.visits.iter().map(|v| v.artefact_pixels).collect::<Vec<_>>());
    let coadd = bench.read("run/coadd.fits");
    let used = n_image(&bench);
    let exposures: Vec<_> = field
        .held_out()
        .iter()
        .enumerate()
        .map(|(i, plan)| {
            let path = bench.path(&format!("exposure_{}.fits", plan.info.visit));
            warp_again(&field, &changed(plan, |course| course.held_out(i)), 0).write(&path);
            path
        })
        .collect();
    let request = SubtractRequest {
        coadds: vec![bench.path("run")],
        templates: vec![],
        exposures,
        output: bench.path("differences"),
        overwrite: false,
    };
    let mut settings = SubtractConfig::default();
    settings.subtract.table = TableFormat::Csv;
    let differences = subtract(&request, &settings, &Unmonitored).unwrap();
    let mut detections = vec![];
    for visit in &differences.visits {
        let text = std::fs::read_to_string(&visit.residuals).unwrap();
        let rows = crate::differences::rows(&text, ',');
        detections.push(rows);
    }
    for (i, case) in CASES.iter().enumerate() {
        let [x, y] = place(i);
        let near = |radius: f64| {
            used.indexed_iter()
                .filter(move |((r, c), _)| (*r as f64 - y).hypot(*c as f64 - x) <= radius)
                .map(|(_, v)| *v)
                .collect::<Vec<_>>()
        };
        let core = near(3.0);
        let wide = near(9.0);
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        let least = |v: &[f32]| v.iter().copied().fold(f32::INFINITY, f32::min);
        let factors: Vec<f64> = (0..12).map(|v| case.course.factor(v)).collect();
        let expected = case.flux * factors.iter().sum::<f64>() / 12.0;
        let flux = aperture(&coadd, place(i), 12.0);
        let mask = coadd.mask[[y.round() as usize, x.round() as usize]];
        let seen: Vec<String> = detections
            .iter()
            .map(|rows| {
                let near: Vec<_> = rows.iter().filter(|r| (r["x"] - x).hypot(r["y"] - y) < 6.0).collect();
                near.iter()
                    .map(|r| format!("{:+.0}{}", r["flux"], if r["dipole"] > 0.0 { "d" } else { "" }))
                    .collect::<Vec<_>>()
                    .join(",")
            })
            .collect();
        let change: Vec<String> =
            (0..4).map(|h| format!("{:+.0}", case.flux * case.course.held_out(h) - expected)).collect();
        println!(
            "{:22} core used mean {:5.2} min {:3.0}; wide mean {:5.2} min {:3.0}; flux/expected {:.4} ({:.0}); mask {:b}; found [{}] of [{}]",
            case.name,
            mean(&core),
            least(&core),
            mean(&wide),
            least(&wide),
            flux / expected,
            expected,
            mask,
            seen.join(" | "),
            change.join(" | ")
        );
    }
    let elsewhere = detections
        .iter()
        .flatten()
        .filter(|r| (0..CASES.len()).all(|i| (r["x"] - place(i)[0]).hypot(r["y"] - place(i)[1]) > 12.0))
        .count();
    for r in detections
        .iter()
        .flatten()
        .filter(|r| (0..CASES.len()).all(|i| (r["x"] - place(i)[0]).hypot(r["y"] - place(i)[1]) > 12.0))
    {
        println!("{r:?}");
    }
    println!("false detections elsewhere: {elsewhere} in {} visits", detections.len());
}
