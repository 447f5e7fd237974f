//! Pages of real runs of the test field, whole and spoilt one way or another: through the public
//! entry, as a user makes them.

use std::fs;
use std::path::{Path, PathBuf};

use dcr_coadd::config::{AssembleConfig, Method};
use dcr_coadd::{AssembleRequest, Unmonitored, assemble};
use dcr_report::{Report, ReportError, report};

const FIELD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/field");
/// The side of the test field, px.
const SIDE: usize = 144;
/// Variance of its sky.
const SKY_VARIANCE: f32 = 580.0;
/// Visits that a test has which does not need all ten.
const FEW: u64 = 4;

/// A folder with warps, and the run of them.
struct Bench {
    folder: tempfile::TempDir,
    warps: Vec<PathBuf>,
}

impl Bench {
    /// The first `visits` warps of the field in a folder of this name, their bytes changed.
    fn new(name: &str, visits: u64, change: impl Fn(&mut Vec<u8>)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warps = folder.path().join(name);
        fs::create_dir(&warps).unwrap();
        let warps = (1001..1001 + visits).map(|visit| {
            let file = format!("warp_{visit}.fits");
            let mut content = fs::read(Path::new(FIELD).join(&file)).unwrap();
            change(&mut content);
            fs::write(warps.join(&file), content).unwrap();
            warps.join(&file)
        });
        let warps = warps.collect();
        Self { folder, warps }
    }

    fn as_it_is(visits: u64) -> Self {
        Self::new("warps", visits, |_| ())
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn assemble(self, change: impl FnOnce(&mut AssembleConfig)) -> Self {
        let mut config = AssembleConfig::default();
        change(&mut config);
        let request = AssembleRequest {
            warps: self.warps.clone(),
            matched: vec![],
            template: None,
            output: self.run(),
            overwrite: false,
        };
        let summary = assemble(&request, &config, &Unmonitored).unwrap();
        // As `dcr assemble` writes it.
        let text = serde_json::to_string(&summary).unwrap();
        fs::write(self.run().join("summary.json"), text).unwrap();
        self
    }

    fn report(&self) -> Result<Report, ReportError> {
        let summary = fs::read_to_string(self.run().join("summary.json")).unwrap();
        report(&self.run(), &summary, &Unmonitored)
    }

    /// The page, which is whole whatever went in.
    fn page(&self) -> Report {
        let page = self.report().unwrap();
        let html = &page.html;
        for id in ["worst", "inputs", "convergence", "coadds", "visits", "airmass", "colours", "numbers"] {
            assert!(html.contains(&format!("<section id=\"{id}\"")), "{id}");
        }
        assert!(html.ends_with("</html>") && html.contains(&page.headline));
        let told = outside_script(html);
        for word in ["NaN", "null", "inf ", "infinity", "http:", "https:", "src=\"/"] {
            let before = told.split(word).next().unwrap();
            assert!(
                before.len() == told.len(),
                "{word} after …{}",
                &before[before.floor_char_boundary(before.len().saturating_sub(80))..]
            );
        }
        for picture in html.split("<img src=\"").skip(1) {
            assert!(
                picture.starts_with("data:image/png;base64,iVBORw0KGgo"),
                "a picture is a PNG in the page"
            );
        }
        page
    }
}

/// A page without its script, and without pictures.
fn outside_script(html: &str) -> String {
    let body = &html[..html.rfind("<script>").unwrap()];
    body.split("data:image/png;base64,")
        .map(|part| part.split_once('"').map_or(part, |(_, rest)| rest))
        .collect()
}

/// Where the data begin of the HDU with this number, from 0.
fn data_of(content: &[u8], hdu: usize) -> usize {
    let after = |from: usize| {
        let end =
            (from..content.len()).step_by(80).find(|at| content[*at..].starts_with(b"END     ")).unwrap();
        (end / 2880 + 1) * 2880
    };
    // The first has no data, those that follow a plane of the field each.
    let plane = (4 * SIDE * SIDE).next_multiple_of(2880);
    (0..hdu).fold(after(0), |data, i| after(data + if i == 0 { 0 } else { plane }))
}

/// Replaces the pixels of the first image.
fn set_pixels(content: &mut [u8], value: impl Fn(usize) -> f32) {
    let first = data_of(content, 1);
    for (i, pixel) in content[first..first + 4 * SIDE * SIDE].chunks_exact_mut(4).enumerate() {
        pixel.copy_from_slice(&value(i).to_be_bytes());
    }
}

/// Noise of the sky's variance without any source: a sum of twelve even numbers.
fn noise(i: usize) -> f32 {
    let even = |k: usize| {
        let mixed = ((12 * i + k) as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1 << 24) as f32
    };
    SKY_VARIANCE.sqrt() * ((0..12).map(even).sum::<f32>() - 6.0)
}

fn replace(content: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len(), "cards keep their length");
    let at = content.windows(from.len()).position(|window| window == from).unwrap();
    content[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn page_of_the_test_field_says_what_happened() {
    let page = Bench::as_it_is(10).assemble(|_| ()).page();
    assert_eq!(
        page.headline,
        "Refraction separates blue and red light by up to 6.1 px (1.22″), differently in each visit. Subtracted from the worst \
         visit, at airmass 1.00, the standard coadd leaves 16 detections, the matched template none."
    );
    assert_eq!(page.missing, [] as [&str; 0]);
    assert_eq!(page.html.matches("<img ").count(), 16);
    assert!(page.html.len() < 1_000_000, "{}", page.html.len());
    for text in [
        "One least-squares solution of all visits",
        "from the visits alone",
        "The offsets from the WCS are up to",
    ] {
        assert!(page.html.contains(text), "{text}");
    }
    assert!(!page.html.contains("Nothing was solved") && !page.html.contains("The metric is"));
}

#[test]
fn page_of_an_iterative_run_shows_its_metric() {
    let page = Bench::as_it_is(10).assemble(|config| config.solver.method = Method::Iterative).page();
    assert!(
        page.html.contains("The metric is the mean difference")
            && !page.html.contains("least-squares solution of all visits")
    );
}

#[test]
fn page_of_one_subfilter_and_of_five() {
    for n in [1, 5] {
        let page = Bench::as_it_is(FEW).assemble(|config| config.model.subfilters = n).page();
        assert_eq!(page.html.matches("alt=\"Coadd of subfilter").count(), n);
        assert_eq!(page.headline.contains("With a single subfilter, no refraction was modelled."), n == 1);
        assert_eq!(page.html.contains("A single subfilter gives no colours."), n == 1);
    }
}

#[test]
fn page_of_one_visit() {
    let page = Bench::as_it_is(1).assemble(|_| ()).page();
    assert!(
        page.headline.contains("in the only visit") && page.headline.contains("Subtracted from it"),
        "{}",
        page.headline
    );
    assert!(page.html.contains("Only visit: 1001"));
}

#[test]
fn page_without_exposures_says_which_are_missing() {
    let bench = Bench::as_it_is(FEW).assemble(|_| ());
    fs::remove_file(&bench.warps[1]).unwrap();
    fs::write(&bench.warps[2], "no FITS").unwrap();
    let page = bench.page();
    assert_eq!(page.missing.len(), 2, "{:?}", page.missing);
    assert!(page.missing[0].starts_with("visit 1002: ") && page.missing[0].contains("is not there any more"));
    assert!(page.html.contains("2 exposures could not be read: 1002, 1003."));
    for warp in &bench.warps {
        let _ = fs::remove_file(warp);
    }
    let page = bench.page();
    assert!(page.html.contains("No exposure could be read, so the page"));
    assert_eq!(page.html.matches("Exposure − ").count(), 0);
}

#[test]
fn page_escapes_names_of_files() {
    let name = "a<b>&\"c'<script>alert(1)<";
    let page = Bench::new(name, FEW, |_| ()).assemble(|_| ()).page();
    assert!(!page.html.contains("a<b>") && !page.html.contains("alert(1)<"));
    assert!(page.html.contains("a&lt;b&gt;&amp;&quot;c'&lt;script&gt;alert(1)&lt;"));
}

#[test]
fn page_of_exposures_and_coadds_without_a_number() {
    let bench = Bench::as_it_is(FEW).assemble(|_| ());
    let without = |path: &Path| {
        let mut content = fs::read(path).unwrap();
        set_pixels(&mut content, |_| f32::NAN);
        // Files of a run whose sums are wrong are refused.
        for card in content.chunks_exact_mut(80) {
            if card.starts_with(b"DATASUM =") || card.starts_with(b"CHECKSUM=") {
                card[..9].copy_from_slice(b"COMMENT  ");
            }
        }
        fs::write(path, content).unwrap();
    };
    without(&bench.warps[0]);
    let page = bench.page();
    assert!(page.missing[0].contains("have no usable pixel in common"), "{:?}", page.missing);
    bench.warps.iter().for_each(|warp| without(warp));
    for file in ["subfilter_0.fits", "subfilter_1.fits", "subfilter_2.fits", "coadd.fits", "plain.fits"] {
        without(&bench.run().join(file));
    }
    let page = bench.page();
    assert!(page.html.contains("No isolated source is bright enough for a colour."));
}

#[test]
fn page_of_an_empty_sky() {
    let seed = std::cell::Cell::new(0);
    let bench = Bench::new("warps", FEW, |content| {
        seed.set(seed.get() + SIDE * SIDE);
        set_pixels(content, |i| noise(seed.get() + i));
        let mask = data_of(content, 2);
        content[mask..mask + 4 * SIDE * SIDE].fill(0);
    });
    let page = bench.assemble(|_| ()).page();
    assert!(
        page.headline
            .contains("neither the standard coadd nor the matched template leaves a residual detection"),
        "{}",
        page.headline
    );
    assert!(page.html.contains("No isolated source is bright enough"));
}

#[test]
fn page_without_a_psf_counts_nothing_and_says_so() {
    let bench = Bench::new("warps", FEW, |content| {
        replace(content, b"EXTNAME = 'PSF     '", b"EXTNAME = 'XSF     '");
        replace(content, b"PSF-FWHM=", b"XSF-FWHM=");
    });
    let page = bench.assemble(|_| ()).page();
    assert!(page.headline.contains("Without a PSF, detections cannot be counted"), "{}", page.headline);
    assert!(page.html.contains("The coadds have no PSF, which the photometry needs."));
}

#[test]
fn report_of_files_of_several_runs_is_refused() {
    let bench = Bench::as_it_is(FEW).assemble(|_| ());
    let other = Bench::as_it_is(FEW).assemble(|config| config.model.subfilters = 2);
    for file in ["plain.fits", "summary.json"] {
        let own = fs::read(bench.run().join(file)).unwrap();
        fs::copy(other.run().join(file), bench.run().join(file)).unwrap();
        let message = bench.report().unwrap_err().to_string();
        assert!(message.contains(file) && message.contains("files of several runs"), "{message}");
        fs::write(bench.run().join(file), own).unwrap();
    }
    assert!(bench.report().is_ok());
}

#[test]
fn page_does_not_depend_on_the_number_of_threads() {
    for method in [Method::Joint, Method::Iterative] {
        let bench = Bench::as_it_is(10).assemble(|config| config.solver.method = method);
        let pages = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bench.page())
        });
        assert_eq!(pages[0], pages[1], "{method:?}");
    }
}

#[test]
fn report_of_no_run_is_refused() {
    let bench = Bench::as_it_is(FEW).assemble(|_| ());
    let message = |text: &str| report(&bench.run(), text, &Unmonitored).unwrap_err().to_string();
    assert!(message("{}").contains("not a summary of dcr assemble"));
    let elsewhere = report(
        bench.folder.path(),
        &fs::read_to_string(bench.run().join("summary.json")).unwrap(),
        &Unmonitored,
    );
    assert!(matches!(elsewhere, Err(ReportError::Difference(_))));
}
