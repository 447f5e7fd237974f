//! The command line.

#![allow(rustdoc::broken_intra_doc_links, reason = "help texts name HDUs in brackets")]

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

/// Headings stand out; the rest is as the terminal has it.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// Options of all commands stand below their own.
const LAST: usize = 900;

/// Coadds without differential chromatic refraction, and templates that match any exposure.
///
/// The air bends blue light more than red, so that one band lands on slightly different pixels in
/// each exposure. dcr cuts the band into subfilters, finds the sky in each from aligned exposures
/// ("warps") taken at different airmass and parallactic angle, and makes the template that matches
/// any other exposure.
#[derive(Debug, Parser)]
#[command(name = "dcr", version, styles = STYLES, max_term_width = 100, after_help = "\
Examples:
  dcr inspect warps/                        what the warps' headers say, and whether they suffice
  dcr assemble warps/ -o coadds             subfilter coadds and the stacked coadd
  dcr template coadds -e new.fits -o out    the template that matches new.fits
  dcr subtract coadds -e new.fits -o diff   new.fits less that template, and what is left
  dcr report coadds                         a page that shows what the run did
  dcr config > dcr.toml                     all settings, explained

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done with inputs dropped, most of a visit not used, or parts not converged; 130 or 143 stopped by Ctrl-C or a request to terminate.")]
pub(crate) struct Arguments {
    /// Say more on stderr: stages and warnings as they come; twice for every step. RUST_LOG has a
    /// finer grain.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = LAST)]
    pub(crate) verbose: u8,
    /// Say nothing but errors: no progress, no summary at the end.
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = LAST)]
    pub(crate) quiet: bool,
    /// Show no progress bars. There are none where stderr is no terminal.
    #[arg(long, global = true, display_order = LAST)]
    pub(crate) no_progress: bool,
    /// Form of what is said on stderr: `text`, or `json` for one object per line, stages and
    /// warnings included.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t, hide_default_value = true,
          hide_possible_values = true, display_order = LAST)]
    pub(crate) log_format: LogFormat,
    /// Number of threads [default: one per core]. The result does not depend on it.
    #[arg(long, global = true, value_name = "N", value_parser = threads, display_order = LAST)]
    pub(crate) threads: Option<usize>,
    /// What to do.
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

/// The form of messages on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Show what is known of exposures: time, airmass, parallactic angle, refraction, PSF, noise.
///
/// Altitude and parallactic angle q are those of the boresight in the middle of the exposure;
/// beside them stand those at its start, and the altitude in the header. DCR is the refraction
/// across the band, and zenith the direction to the zenith (from +x towards +y), both in the middle
/// of the image. Below the table stands what was assumed, and whether the refraction of the set
/// differs enough between exposures to tell colours. Exit code 3 if some files cannot be read.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr inspect warps/
  dcr inspect warps/ --set band.name=lsst-g     for headers that do not tell the band
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

/// Make subfilter coadds and the stacked coadd from warps on one pixel grid.
///
/// DIR receives subfilter_0.fits (the bluest) to subfilter_{N-1}.fits, coadd.fits (their sum),
/// plain.fits (the coadd without correction), model.fits (everything that templates need, in one
/// file) and summary.json. All appear together at the end; if the run fails or is interrupted, none
/// does.
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
    /// Directory for the results.
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// PSF-matched warps of the same visits, paired with WARP by visit: artefacts are looked for in
    /// them (artefacts.find = "static_sky"); a directory stands for the FITS files in it [default:
    /// made where they are needed].
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub(crate) matched: Vec<PathBuf>,
    /// A plain coadd on the same grid to start from [default: one is made].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) template: Option<PathBuf>,
    /// Use only the visits whose numbers stand in this file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) visits: Option<PathBuf>,
    /// Replace the results of an earlier run.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Write report.html as well, as `dcr report` does.
    #[arg(long)]
    pub(crate) report: bool,
    /// The most memory to take, as 6GiB [default: half of what is free].
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_limit: Option<dcr_coadd::config::ByteSize>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Make the template that matches an exposure, from the subfilters of earlier runs.
///
/// Band and subfilters are read from the files in DIR; time, place and weather from the exposure's
/// header. An exposure on the pixels of a coadd, or a part of them, gets the template as it is
/// predicted there. Any other, of another pointing, angle or scale, gets it warped to its own
/// pixels, from all patches that lie under it (template.warp says how).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr template coadds -e new/warp_2001.fits new/warp_2002.fits -o templates
  dcr template patch_* -e exposure.fits -o template.fits")]
pub(crate) struct Template {
    /// Directories with the results of `dcr assemble`, one for each patch.
    #[arg(value_name = "DIR", required = true, value_hint = ValueHint::DirPath)]
    pub(crate) coadds: Vec<PathBuf>,
    /// The exposures to match; a directory stands for the FITS files in it.
    #[arg(short, long, value_name = "EXPOSURE", num_args = 1.., required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) exposures: Vec<PathBuf>,
    /// Directory for `template_<visit>.fits`; or, for a single exposure, a name that ends in .fits.
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::AnyPath)]
    pub(crate) output: PathBuf,
    /// Take the exposure's position as given: do not displace the template of a joint run to where
    /// its stars are; same as --set template.register=false.
    #[arg(long)]
    pub(crate) no_register: bool,
    /// Replace templates that are there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Subtract from each exposure the template that matches it, and find what is left.
///
/// Templates are made from the runs in DIR, as `dcr template` does, or read with -t. OUT receives
/// `difference_<visit>.fits`, with the residuals as a table, `residuals_<visit>.ecsv` and
/// summary.json. The same is done with the plain coadd of the runs in DIR (plain.fits, or else
/// coadd.fits), to show how many false detections the matched template saves.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr subtract coadds -e new/ -o differences
  dcr subtract coadds -e new/ -o differences --match     with PSFs matched first
  dcr subtract -t templates/ -e new/ -o differences      with templates made before")]
pub(crate) struct Subtract {
    /// Directories with the results of `dcr assemble`, one for each patch.
    #[arg(value_name = "DIR", required_unless_present = "templates", value_hint = ValueHint::DirPath)]
    pub(crate) coadds: Vec<PathBuf>,
    /// Templates on the pixels of the exposures, paired with them by visit; a directory stands for
    /// the FITS files in it [default: made from DIR].
    #[arg(short, long, value_name = "TEMPLATE", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub(crate) templates: Vec<PathBuf>,
    /// The exposures; a directory stands for the FITS files in it.
    #[arg(short, long, value_name = "EXPOSURE", num_args = 1.., required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) exposures: Vec<PathBuf>,
    /// Directory for the results.
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// Bring both to one PSF first, by convolving the sharper; same as --set
    /// subtract.match_psf=true.
    #[arg(long = "match")]
    pub(crate) match_psf: bool,
    /// Write the residuals as plain CSV; same as --set subtract.table=csv.
    #[arg(long)]
    pub(crate) csv: bool,
    /// Take the exposures' positions as given; same as --set template.register=false.
    #[arg(long)]
    pub(crate) no_register: bool,
    /// Replace the results of an earlier subtraction.
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Show what a run did as a page to look at: DIR/report.html.
///
/// The page tells how far refraction moved blue light against red, what that leaves of each
/// exposure less the plain coadd and less the matched template, what went in, the convergence, and
/// the coadds, with all numbers as tables. It is one file that opens in any browser and needs no
/// network. Exposures are read from where they were at the time of the run; the page does without
/// those that are gone, and says so.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr report coadds
  dcr assemble warps/ -o coadds --report     both in one go")]
pub(crate) struct Report {
    /// Directory with the results of `dcr assemble`.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
}

/// Print the configuration with every setting explained, as TOML that `--config` takes back.
///
/// Each setting stands with its unit, its value and when to change it. Values that differ from the
/// default have the default beside them; settings that are not set are commented out, with an
/// example.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr config > dcr.toml                          all settings, to be edited
  dcr config model.subfilters                    one setting
  dcr config solver                              one table of settings
  dcr config --preset reference > reference.toml")]
pub(crate) struct Config {
    /// Settings (table.name) or tables to print [default: all].
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Print the page of the book instead.
    #[arg(long, hide = true, conflicts_with = "keys")]
    pub(crate) markdown: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Print a script that completes dcr's commands and options in a shell.
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

/// Write the manual pages, one for each command.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  dcr man ~/.local/share/man/man1     then `man dcr` and `man dcr-assemble`")]
pub(crate) struct Man {
    /// Directory for dcr.1, dcr-assemble.1 and so on; it is made if need be.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
}

/// The exposures.
#[derive(Args, Debug)]
pub(crate) struct Warps {
    /// FITS files; a directory stands for the FITS files in it. Weights, masks and PSFs of
    /// exposures among them are no exposures.
    #[arg(value_name = "WARP", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) warps: Vec<PathBuf>,
}

/// Where settings come from.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings (defaults < preset < --config < --set)")]
pub(crate) struct Settings {
    /// A file of settings, as `dcr config` prints it; those that it leaves out keep their defaults.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// One setting, as model.subfilters=5; an empty value unsets it. May be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Start from `default`, or from `reference` (DcrAssembleCoaddTask, faults included).
    #[arg(long, value_name = "NAME", value_parser = dcr_coadd::config::PRESETS, hide_possible_values = true)]
    pub(crate) preset: Option<String>,
    /// Weight files, as {dir}/{stem}.weight.fits, or HDUs, as {dir}/{stem}.fits[WGT]; same as --set
    /// input.weights=…
    #[arg(long, value_name = "PATTERN")]
    pub(crate) weights: Option<String>,
    /// Mask files, as {dir}/{stem}.mask.fits, or HDUs, as {dir}/{stem}.fits[MSK]; same as --set
    /// input.masks=…
    #[arg(long, value_name = "PATTERN")]
    pub(crate) masks: Option<String>,
}

/// At least one thread.
fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of threads, 1 or more".into()),
        Ok(n) => Ok(n),
    }
}

#[cfg(test)]
mod tests;
