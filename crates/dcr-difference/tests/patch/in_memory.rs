//! Coadds and templates without files: the same, bit for bit, as those of files.

use std::path::Path;
use std::sync::Arc;

use dcr_coadd::config::{AssembleConfig, PixelsIn, TemplateConfig};
use dcr_coadd::model::Model;
use dcr_coadd::{CoaddError, Coadds, Exposures, InputError, Unmonitored, coadd};
use dcr_difference::{TemplateRequest, matched_templates, template};
use dcr_image::{Exposure, ExposureFile, ExposureInMemory, MaskedImage, OpenOptions};
use ndarray::{Array2, Zip};

use crate::field::{Bench, held_out, iterative, small_field, warps};

/// The exposures of files, with all their pixels in memory.
fn read(paths: &[impl AsRef<Path>]) -> Vec<Arc<dyn Exposure>> {
    let one = |path: &Path| {
        let file = ExposureFile::open(path, &OpenOptions::default()).unwrap();
        Arc::new(ExposureInMemory::of(&file).unwrap()) as Arc<dyn Exposure>
    };
    paths.iter().map(|path| one(path.as_ref())).collect()
}

fn in_memory(bench: &Bench, config: &AssembleConfig) -> Coadds {
    coadd(&Exposures::from(read(&bench.warps)), config, &Unmonitored).unwrap()
}

/// NaN where the other is NaN, and else the same bits.
fn assert_same(got: &Array2<f32>, expected: &Array2<f32>) {
    let same = |a: &f32, b: &f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    assert!(Zip::from(got).and(expected).all(same));
}

fn assert_same_image(got: &MaskedImage, expected: &MaskedImage) {
    assert_same(&got.image, &expected.image);
    assert_same(&got.variance, &expected.variance);
    assert_eq!(got.mask, expected.mask);
}

#[test]
fn coadds_in_memory_are_those_of_files() {
    for config in [AssembleConfig::default(), iterative()] {
        let bench = Bench::new(&warps(&small_field(3)));
        let summary = bench.run(&config).unwrap();
        let coadds = in_memory(&bench, &config);
        assert_eq!(coadds.summary.run, summary.run);
        assert_eq!(coadds.summary.remarks, summary.remarks);
        assert_eq!(coadds.summary.warnings, summary.warnings);
        assert!(coadds.summary.files.is_empty() && coadds.summary.seconds > 0.0);
        let names = [
            "run/subfilter_0.fits",
            "run/subfilter_1.fits",
            "run/subfilter_2.fits",
            "run/coadd.fits",
            "run/plain.fits",
        ];
        let all = coadds.subfilters.iter().chain([&coadds.sum, &coadds.plain]);
        for (name, coadd) in names.into_iter().zip(all) {
            let file = bench.read(name);
            assert_same(&coadd.image, &file.image);
            assert_same(&coadd.variance, &file.variance);
            assert_eq!(*coadd.mask, file.mask, "{name}");
            assert_eq!(coadd.n_image.mapv(f32::from), bench.n_image(name));
        }
    }
}

/// A template needs the one file, wherever it is, and is the same from a model in memory.
#[test]
fn template_needs_one_file_or_none() {
    for config in [AssembleConfig::default(), iterative()] {
        let field = small_field(3);
        let bench = Bench::new(&warps(&field));
        bench.run(&config).unwrap();
        let coadds = in_memory(&bench, &config);
        held_out(&field).write(&bench.path("exposure.fits"));
        let from = |model: &str, output: &str| {
            let request = TemplateRequest {
                coadds: vec![bench.path(model)],
                exposures: vec![bench.path("exposure.fits")],
                output: bench.path(output),
                overwrite: false,
            };
            matched_templates(&request, &TemplateConfig::default(), &Unmonitored).unwrap();
            bench.read(output)
        };
        let by_folder = from("run", "a.fits");
        std::fs::create_dir(bench.path("alone")).unwrap();
        std::fs::copy(bench.path("run/model.fits"), bench.path("alone/moved.fits")).unwrap();
        let by_file = from("alone/moved.fits", "b.fits");
        assert_same_image(&by_file, &by_folder);
        assert!(by_folder.image.iter().filter(|value| value.is_finite()).count() > 1000);

        let exposure = read(&[bench.path("exposure.fits")]).remove(0);
        let of_memory = template(&coadds.model, &exposure, &TemplateConfig::default()).unwrap();
        assert_same(&of_memory.pixels.image, &by_folder.image);
        assert_eq!(of_memory.pixels.mask, by_folder.mask);
        assert_same(&of_memory.pixels.variance, &by_folder.variance);
        let model = Model::open(&bench.path("alone/moved.fits")).unwrap();
        assert_eq!((&model.unit, model.bbox), (&coadds.model.unit, coadds.model.bbox));
        assert_eq!((&model.metadata, &model.planes), (&coadds.model.metadata, &coadds.model.planes));
        assert!(!model.unit.is_empty());
        let of_file = template(&model, &exposure, &TemplateConfig::default()).unwrap();
        assert_eq!(of_file.psf, of_memory.psf);
        assert_eq!(of_file.offset_px(), of_memory.offset_px());
    }
}

/// Without a folder pixels go to that of the operating system, and nothing stays there.
#[test]
fn coadd_in_memory_may_put_pixels_aside() {
    let bench = Bench::new(&warps(&small_field(3)));
    let mut config = iterative();
    let here = in_memory(&bench, &config);
    config.coadd.pixels_in = PixelsIn::Disk;
    let there = in_memory(&bench, &config);
    assert_same(&there.sum.image, &here.sum.image);
    std::fs::create_dir(bench.path("scratch")).unwrap();
    let exposures = Exposures { scratch: Some(bench.path("scratch")), ..Exposures::from(read(&bench.warps)) };
    assert_same(&coadd(&exposures, &config, &Unmonitored).unwrap().sum.image, &here.sum.image);
    assert_eq!(std::fs::read_dir(bench.path("scratch")).unwrap().count(), 0);
}

#[test]
fn bad_exposures_in_memory_are_refused() {
    let bench = Bench::new(&warps(&small_field(2)));
    let run = |visits| coadd(&Exposures::from(visits), &AssembleConfig::default(), &Unmonitored).map(|_| ());
    assert!(matches!(run(vec![]), Err(CoaddError::NoInputs)));
    let mut twice = read(&bench.warps);
    twice[1] = Arc::clone(&twice[0]);
    assert!(matches!(run(twice), Err(CoaddError::Input(InputError::SameVisit { .. }))));
    let file = ExposureFile::open(&bench.warps[1], &OpenOptions::default()).unwrap();
    let other = ExposureInMemory { unit: Some("mag".into()), ..ExposureInMemory::of(&file).unwrap() };
    let mut visits = read(&bench.warps[..1]);
    visits.push(Arc::new(other));
    assert!(matches!(run(visits), Err(CoaddError::Input(InputError::NotFlux { .. }))));
}
