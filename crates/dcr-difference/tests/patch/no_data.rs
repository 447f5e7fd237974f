//! Exposures without weights whose borders are filled with a constant.

use dcr_coadd::config::WithoutVariance;
use dcr_image::fits::{ExposureToWrite, ImageHdu, Pixels, WriteOptions, write_exposure};
use dcr_image::header::Card;
use ndarray::s;

use crate::field::{Bench, Warp, iterative, small_field, warps};

/// Writes a warp again, its image and PSF only.
fn write_bare(warp: &Warp, path: &std::path::Path) {
    let primary: Vec<Card> = warp.header.iter().cloned().collect();
    let mut images = vec![
        ImageHdu::new("IMAGE", Pixels::F32(warp.pixels.image.view()))
            .on_grid(&warp.wcs, &warp.pixels.bbox)
            .with_unit("electron"),
    ];
    images.extend(warp.psf.as_ref().map(|psf| ImageHdu::new("PSF", Pixels::F32(psf.view()))));
    let exposure = ExposureToWrite { primary, images, tables: vec![] };
    write_exposure(path, &exposure, WriteOptions { overwrite: true, compress: false }).unwrap();
}

#[test]
fn borders_of_zeros_are_no_data_and_are_told_with_their_number() {
    let mut warps = warps(&small_field(4));
    for (i, columns) in [18, 0, 6, 24].into_iter().enumerate() {
        warps[i].pixels.image.slice_mut(s![.., ..columns]).fill(0.0);
    }
    let bench = Bench::new(&warps);
    warps.iter().zip(&bench.warps).for_each(|(warp, path)| write_bare(warp, path));
    let mut config = iterative();
    config.input.missing_variance = WithoutVariance::Estimate;
    let told = bench.run(&config).unwrap();
    let warning = told.warnings.iter().find(|warning| warning.text.contains("exactly 0")).unwrap();
    assert_eq!(warning.subject, "3 visits, 1001 to 1004");
    assert!(
        warning.text.ends_with(&format!("treated as missing data. ({} pixels)", 96 * (18 + 6 + 24))),
        "{warning:?}"
    );
    let n_image = bench.n_image("run/plain.fits");
    for (x, visits) in [(2, 1.0), (5, 1.0), (6, 2.0), (17, 2.0), (18, 3.0), (23, 3.0), (24, 4.0), (100, 4.0)]
    {
        assert_eq!(n_image[[50, x]], visits, "column {x}");
    }
}
