//! The command line.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts name HDUs in brackets")]

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

/// Headings are bold and coloured; other text keeps the terminal's style.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// Display order of the global options: below those of the command.
const LAST: usize = 900;

/// Coadds free of differential chromatic refraction (DCR), and matched templates for other
/// exposures.
///
/// The atmosphere refracts blue light more than red light. A source therefore falls on different
/// pixels in exposures at different airmass, by an amount that depends on its colour. dcr divides
/// the band into subfilters, models the sky in each from aligned exposures ("warps") at different
/// airmass and parallactic angle, and predicts the matched template for any other exposure.
#[derive(Debug, Parser)]
#[command(name = "dcr", version, styles = STYLES, max_term_width = 100, after_help = "\
Examples:
  dcr inspect warps/                        airmass, refraction and defaults of each exposure
  dcr assemble warps/ -o coadds             subfilter coadds and their sum
  dcr template coadds -e new.fits -o out    matched template for new.fits
  dcr subtract coadds -e new.fits -o diff   difference image and table of residuals
  dcr report coadds                         HTML report of the run
  dcr config > dcr.toml                     all settings with explanations

Exit codes: 0 success; 1 failure; 2 usage error; 3 finished, but inputs were dropped, most of a visit was unused, or parts did not converge; 130 interrupted (Ctrl-C); 143 terminated.")]
pub(crate) struct Arguments {
    /// Log stages and warnings to stderr as they occur; -vv logs every step. RUST_LOG sets levels
    /// by module.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = LAST)]
    pub(crate) verbose: u8,
    /// Print errors only: no progress bars, no summary.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = LAST)]
    pub(crate) quiet: bool,
    /// Hide progress bars. They appear only if stderr is a terminal.
    #[arg(long, global = true, display_order = LAST)]
    pub(crate) no_progress: bool,
    /// Log format on stderr: text, or json (one object per line).
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t, hide_default_value = true,
          hide_possible_values = true, display_order = LAST)]
    pub(crate) log_format: LogFormat,
    /// Number of threads [default: one per core]. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", value_parser = threads, display_order = LAST)]
    pub(crate) threads: Option<usize>,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inspect(Inspect),
    Assemble(Assemble),
    Template(Template),
    Subtract(Subtract),
    Report(Report),
    Config(Config),
    Completions(Completions),
    Man(Man),
}

/// Format of the messages on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Plain text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// List the properties of exposures: time, airmass, parallactic angle, refraction, PSF, noise.
///
/// Altitude and parallactic angle q refer to the boresight at mid-exposure; the columns beside them
/// give the values at the start of the exposure and the altitude from the header. DCR is the
/// refraction across the band, and zenith the direction to the zenith (from +x towards +y); both
/// refer to the image centre. Below the table are the defaults applied where headers lack values,
/// and the DCR baseline of the set, which determines how well colours are constrained. The exit
/// code is 3 if some files cannot be read.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr inspect warps/
  dcr inspect warps/ --set band.name=lsst-g     if the headers do not state the band
  dcr inspect warps/ --json > visits.json")]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) warps: Warps,
    /// Print everything as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Make subfilter coadds and the summed coadd from warps on one pixel grid.
///
/// DIR receives subfilter_0.fits (the bluest) to subfilter_{N-1}.fits, coadd.fits (their sum),
/// plain.fits (the standard coadd: the clipped mean of the warps, without DCR correction),
/// model.fits (the input of dcr template and dcr subtract, in one file) and summary.json. All files
/// appear together when the run is complete. A run that fails or is interrupted leaves none.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr assemble warps/ -o coadds
  dcr assemble warps/ -o coadds --set band.name=lsst-g --set model.subfilters=5
  dcr assemble warps/ -o coadds --config dcr.toml --overwrite
  dcr assemble direct/ --matched psfmatched/ -o coadds --set artefacts.find=static_sky")]
pub(crate) struct Assemble {
    #[command(flatten)]
    pub(crate) warps: Warps,
    /// Output directory.
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// PSF-matched warps of the same visits, paired with WARP by visit number, for the static-sky
    /// search for artefacts (needs artefacts.find = "static_sky"). A directory stands for its FITS
    /// files [default: made by convolution].
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub(crate) matched: Vec<PathBuf>,
    /// Starting coadd on the same pixel grid [default: the standard coadd of the warps].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) template: Option<PathBuf>,
    /// Use only the visits listed in this file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) visits: Option<PathBuf>,
    /// Replace the output of an earlier run.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Also write report.html, as `dcr report` does.
    #[arg(long)]
    pub(crate) report: bool,
    /// Memory limit, e.g. 6GiB [default: half of the free memory].
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_limit: Option<dcr_coadd::config::ByteSize>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Make matched templates for exposures from the results of `dcr assemble`.
///
/// Band and model are read from DIR; time, position and weather from the header of the exposure. An
/// exposure on the pixel grid of a coadd gets a template on that grid, without resampling. For any
/// other pointing, rotation or pixel scale, the template is warped to the pixels of the exposure,
/// from all patches that overlap it (see template.warp).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr template coadds -e new/warp_2001.fits new/warp_2002.fits -o templates
  dcr template patch_* -e exposure.fits -o template.fits")]
pub(crate) struct Template {
    /// Output directories of `dcr assemble`, one per patch.
    #[arg(value_name = "DIR", required = true, value_hint = ValueHint::DirPath)]
    pub(crate) coadds: Vec<PathBuf>,
    /// Exposures to predict. A directory stands for its FITS files.
    #[arg(short, long, value_name = "EXPOSURE", num_args = 1.., required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) exposures: Vec<PathBuf>,
    /// Output directory for `template_<visit>.fits`; for a single exposure also a file name in
    /// .fits.
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::AnyPath)]
    pub(crate) output: PathBuf,
    /// Trust the astrometry of the exposure: do not register a joint template to its stars. Same as
    /// --set template.register=false.
    #[arg(long)]
    pub(crate) no_register: bool,
    /// Replace existing templates.
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Subtract the matched template from each exposure, and list the residuals.
///
/// Templates are made from DIR, as `dcr template` does, or read with -t. OUT receives
/// `difference_<visit>.fits` with a table of residuals, `residuals_<visit>.ecsv` and summary.json.
/// The standard coadd in DIR (plain.fits, else coadd.fits) is subtracted as well, for comparison:
/// the summary lists the number of residuals of both.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr subtract coadds -e new/ -o differences
  dcr subtract coadds -e new/ -o differences --match     with PSF matching
  dcr subtract -t templates/ -e new/ -o differences      with existing templates")]
pub(crate) struct Subtract {
    /// Output directories of `dcr assemble`, one per patch.
    #[arg(value_name = "DIR", required_unless_present = "templates", value_hint = ValueHint::DirPath)]
    pub(crate) coadds: Vec<PathBuf>,
    /// Matched templates on the pixel grids of the exposures, paired with them by visit number. A
    /// directory stands for its FITS files [default: made from DIR].
    #[arg(short, long, value_name = "TEMPLATE", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub(crate) templates: Vec<PathBuf>,
    /// Exposures. A directory stands for its FITS files.
    #[arg(short, long, value_name = "EXPOSURE", num_args = 1.., required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) exposures: Vec<PathBuf>,
    /// Output directory.
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// Match the PSFs of exposure and template first, by convolving the sharper image. Same as
    /// --set subtract.match_psf=true.
    #[arg(long = "match")]
    pub(crate) match_psf: bool,
    /// Write the residual tables as plain CSV. Same as --set subtract.table=csv.
    #[arg(long)]
    pub(crate) csv: bool,
    /// Trust the astrometry of the exposures. Same as --set template.register=false.
    #[arg(long)]
    pub(crate) no_register: bool,
    /// Replace the output of an earlier subtraction.
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Write an HTML report of a finished run to DIR/report.html.
///
/// The report shows the refraction across the band, the inputs, the residuals of each exposure
/// against the standard coadd and against the matched template, the convergence and the coadds,
/// with all numbers as tables. It is one self-contained file for any browser and needs no network.
/// Exposures are read from their paths at the time of the run; the report lists those that are
/// missing.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr report coadds
  dcr assemble warps/ -o coadds --report     assemble and report")]
pub(crate) struct Report {
    /// Output directory of `dcr assemble`.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
}

/// Print every setting with its explanation, as a TOML file for `--config`.
///
/// Each setting has its unit, its value and advice on when to change it. Values that differ from
/// the default show the default beside them. Unset settings are commented out, with an example.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr config > dcr.toml                          all settings, for editing
  dcr config model.subfilters                    one setting
  dcr config solver                              one table of settings
  dcr config --preset reference > reference.toml")]
pub(crate) struct Config {
    /// Settings (table.name) or tables to print [default: all].
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Print the settings page of the book instead.
    #[arg(long, hide = true, conflicts_with = "keys")]
    pub(crate) markdown: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Print a shell completion script.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr completions bash > ~/.local/share/bash-completion/completions/dcr
  dcr completions zsh > ~/.zfunc/_dcr
  dcr completions fish > ~/.config/fish/completions/dcr.fish")]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Write the manual pages, one per command.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr man ~/.local/share/man/man1     then `man dcr` and `man dcr-assemble`")]
pub(crate) struct Man {
    /// Output directory for dcr.1, dcr-assemble.1 and so on; created if missing.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
}

/// The input exposures.
#[derive(Args, Debug)]
pub(crate) struct Warps {
    /// FITS files. A directory stands for its FITS files. Weight, mask and PSF files of exposures
    /// in the list are recognised as such.
    #[arg(value_name = "WARP", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) warps: Vec<PathBuf>,
}

/// Sources of settings.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings (defaults < preset < --config < --set)")]
pub(crate) struct Settings {
    /// TOML file of settings, as printed by `dcr config`. Settings it omits keep their defaults.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// One setting, e.g. model.subfilters=5. An empty value unsets it. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Preset: `default`, or `reference` (reproduces LSST's DcrAssembleCoaddTask, known faults
    /// included).
    #[arg(long, value_name = "NAME", value_parser = dcr_coadd::config::PRESETS, hide_possible_values = true)]
    pub(crate) preset: Option<String>,
    /// Weight files, e.g. {dir}/{stem}.weight.fits, or HDUs, e.g. {dir}/{stem}.fits[WGT]. Same as
    /// --set input.weights=PATTERN.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) weights: Option<String>,
    /// Mask files, e.g. {dir}/{stem}.mask.fits, or HDUs, e.g. {dir}/{stem}.fits[MSK]. Same as --set
    /// input.masks=PATTERN.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) masks: Option<String>,
}

/// Parses a thread count of at least one.
fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of threads of at least 1".into()),
        Ok(n) => Ok(n),
    }
}

#[cfg(test)]
mod tests;
