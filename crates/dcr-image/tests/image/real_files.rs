//! Real and simulated files of the shared folder, where it is present.
use crate::support::*;

#[test]
#[expect(clippy::print_stderr, reason = "smoke")]
fn smoke() {
    let Some(root) = shared("realdata") else { return };
    fn walk(dir: &std::path::Path, out: &mut Vec<std::path::PathBuf>) {
        for e in std::fs::read_dir(dir).unwrap() {
            let p = e.unwrap().path();
            if p.is_dir() { walk(&p, out) } else { out.push(p) }
        }
    }
    let mut files = Vec::new();
    walk(&root, &mut files);
    walk(&shared("sim").unwrap(), &mut files);
    walk(&shared("golden/run_small").unwrap(), &mut files);
    files.sort();
    for f in files {
        let n = f.to_string_lossy().into_owned();
        if !n.to_lowercase().contains(".fits") || n.contains("hatp32") {
            continue;
        }
        match open(&f) {
            Ok(e) => {
                crate::headers::show(&f, e.visit());
                let m = e.read(e.bbox()).unwrap();
                let fin = m.image.iter().filter(|v| v.is_finite()).count();
                let fv = m.variance.iter().filter(|v| v.is_finite()).count();
                let psf = e.psf().map(|p| p.fwhm_px(e.bbox().centre().0, e.bbox().centre().1));
                eprintln!(
                    "{n}: {} fin {fin} var {fv} masked {} unit {:?} planes {} psf {:?} card {:?}",
                    e.bbox(),
                    m.mask.iter().filter(|v| **v != 0).count(),
                    e.unit(),
                    e.mask_planes().len(),
                    psf,
                    e.visit().psf_fwhm_px
                );
            }
            Err(x) => eprintln!("ERR {x}"),
        }
    }
}
