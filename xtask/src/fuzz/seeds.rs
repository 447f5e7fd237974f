//! Good input from which damaged input is derived.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use dcr_coadd::config::AssembleConfig;
use dcr_coadd::{AssembleRequest, Unmonitored, assemble};

/// Warps of the good run.
const WARPS: [&str; 3] = ["warp_1001.fits", "warp_1004.fits", "warp_1008.fits"];
/// Files of a run read by templates and reports.
const RUN_FILES: [&str; 6] =
    ["subfilter_0.fits", "subfilter_1.fits", "subfilter_2.fits", "model.fits", "coadd.fits", "summary.json"];

/// Good files and texts.
#[derive(Debug)]
pub(super) struct Seeds {
    /// Exposures, plain and compressed by each algorithm.
    pub(super) exposures: Vec<Vec<u8>>,
    /// Files of PSFs.
    pub(super) psfs: Vec<Vec<u8>>,
    /// Files of a run by name; empty without a run.
    pub(super) run: Vec<(&'static str, Vec<u8>)>,
    /// A warp to make templates for.
    pub(super) warp: Vec<u8>,
    /// All settings.
    pub(super) settings: String,
    /// A region file.
    pub(super) regions: &'static str,
}

impl Seeds {
    /// Reads the good files of the repository, and makes a run if required.
    pub(super) fn read(root: &Path, with_run: bool) -> Result<Self> {
        let data = root.join("crates/dcr-image/tests/data");
        let mut exposures = Vec::new();
        let mut psfs = Vec::new();
        let mut names: Vec<PathBuf> =
            fs::read_dir(&data)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
        names.sort();
        for path in names.iter().filter(|path| path.extension().is_some_and(|extension| extension == "fits"))
        {
            let bytes = fs::read(path).with_context(|| path.display().to_string())?;
            let is_psf = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("psf"));
            if is_psf { psfs.push(bytes) } else { exposures.push(bytes) }
        }
        let warps = root.join("testdata/field");
        let warp = fs::read(warps.join(WARPS[0])).context("testdata")?;
        exposures.push(warp.clone());
        psfs.push(warp.clone());
        let settings = toml::to_string(&AssembleConfig::default())?;
        let run = if with_run { made_run(&warps)? } else { Vec::new() };
        let regions = "fk5\ncircle(53.1, -27.8, 30\")\nbox(3:32:24,-27:48:00,10\",20\",30)\nimage\n\
                       ellipse(10,20,3,4,5)\n-polygon(1,2,3,4,5,6.5)\n# comment\nphysical; point(3,4)\n";
        Ok(Self { exposures, psfs, run, warp, settings, regions })
    }

    /// Whether there is a run.
    pub(super) fn has_run(&self) -> bool {
        !self.run.is_empty()
    }
}

/// The files of a run of three warps.
fn made_run(warps: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let folder = std::env::temp_dir().join(format!("dcr-fuzz-run-{}", std::process::id()));
    let request = AssembleRequest {
        warps: WARPS.iter().map(|name| warps.join(name)).collect(),
        matched: vec![],
        template: None,
        output: folder.clone(),
        overwrite: true,
    };
    assemble(&request, &AssembleConfig::default(), &Unmonitored).context("a run to be damaged")?;
    let files = RUN_FILES.iter().map(|&name| Ok((name, fs::read(folder.join(name))?))).collect();
    fs::remove_dir_all(&folder)?;
    files
}
