//! The commands under trial, and what is there before each.

/// A command in a folder with `warps/`, and what it works on.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// Whether a finished run is given as `run/`.
    pub(crate) on_a_run: bool,
    /// Commands that make what is there before, in order.
    pub(crate) before: &'static [&'static [&'static str]],
    /// The command.
    pub(crate) command: &'static [&'static str],
    /// The folder that it writes to.
    pub(crate) output: &'static str,
    /// Options for doing it again.
    pub(crate) again: &'static [&'static str],
    /// Whether `summary.json` says that all is there.
    pub(crate) is_sealed: bool,
}

const ITERATIVE: [&str; 4] = ["--set", "solver.method=iterative", "--set", "model.subfilters=2"];
const OVERWRITE: &[&str] = &["--overwrite"];

/// All scenes.
pub(crate) const SCENES: [Scene; 6] = [
    Scene {
        name: "assemble",
        on_a_run: false,
        before: &[],
        command: &[
            "assemble",
            "warps",
            "-o",
            "out",
            ITERATIVE[0],
            ITERATIVE[1],
            ITERATIVE[2],
            ITERATIVE[3],
            "--set",
            "coadd.pixels_in=disk",
        ],
        output: "out",
        again: OVERWRITE,
        is_sealed: true,
    },
    Scene {
        name: "joint",
        on_a_run: false,
        before: &[],
        command: &[
            "assemble",
            "warps",
            "-o",
            "out",
            "--set",
            "output.compression=gzip",
            "--set",
            "output.input_map=true",
        ],
        output: "out",
        again: OVERWRITE,
        is_sealed: true,
    },
    Scene {
        name: "overwrite",
        on_a_run: false,
        // Three subfilters and another method, with a page: files that the new run does not have.
        before: &[&["assemble", "warps", "-o", "out", "--report"]],
        command: &[
            "assemble",
            "warps",
            "-o",
            "out",
            ITERATIVE[0],
            ITERATIVE[1],
            ITERATIVE[2],
            ITERATIVE[3],
            "--overwrite",
        ],
        output: "out",
        again: &[],
        is_sealed: true,
    },
    Scene {
        name: "template",
        on_a_run: true,
        before: &[],
        command: &["template", "run", "-e", "warps/warp_1001.fits", "warps/warp_1002.fits", "-o", "out"],
        output: "out",
        again: OVERWRITE,
        is_sealed: false,
    },
    Scene {
        name: "subtract",
        on_a_run: true,
        before: &[&["subtract", "run", "-e", "warps/warp_1001.fits", "warps/warp_1002.fits", "-o", "out"]],
        command: &["subtract", "run", "-e", "warps/warp_1001.fits", "-o", "out", "--overwrite"],
        output: "out",
        again: &[],
        is_sealed: true,
    },
    Scene {
        name: "report",
        on_a_run: true,
        before: &[],
        command: &["report", "run"],
        output: "run",
        again: &[],
        is_sealed: true,
    },
];
