//! Commands under trial, with their preparations.

/// A command in a folder with `warps/`, and its inputs.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// Whether a finished run is provided as `run/`.
    pub(crate) on_a_run: bool,
    /// Preparatory commands, in order.
    pub(crate) before: &'static [&'static [&'static str]],
    /// The command.
    pub(crate) command: &'static [&'static str],
    /// Its output folder.
    pub(crate) output: &'static str,
    /// Options for repeating the command.
    pub(crate) again: &'static [&'static str],
    /// Whether `summary.json` seals the output.
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
        // Three subfilters and the other solver, with a report: files that the new run lacks.
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
