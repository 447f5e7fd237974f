//! A whole patch: files in, files out.

use std::path::{Path, PathBuf};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use dcr_coadd::config::{AssembleConfig, PixelsIn};
use dcr_coadd::{AssembleRequest, Unmonitored, assemble};

fn patch(c: &mut Criterion) {
    let field = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/field");
    let mut warps: Vec<PathBuf> = std::fs::read_dir(field)
        .expect("testdata is in the repository")
        .map(|entry| entry.expect("its files can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "fits"))
        .collect();
    warps.sort();
    let output = tempfile::tempdir().expect("there is a folder for temporary files");
    let request = AssembleRequest {
        warps,
        matched: vec![],
        template: None,
        output: output.path().join("coadds"),
        overwrite: true,
    };
    let mut group = c.benchmark_group("patch");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for (name, pixels_in) in [("in memory", PixelsIn::Memory), ("on disk", PixelsIn::Disk)] {
        let mut config = AssembleConfig::default();
        config.coadd.pixels_in = pixels_in;
        let summary = assemble(&request, &config, &Unmonitored).expect("testdata can be assembled");
        group.throughput(Throughput::Elements((summary.bbox.area() * summary.visits.len()) as u64));
        group.bench_function(name, |b| b.iter(|| assemble(&request, &config, &Unmonitored).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, patch);
criterion_main!(benches);
