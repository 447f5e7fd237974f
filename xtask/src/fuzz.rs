//! `cargo xtask fuzz`: damaged input of every kind, derived from good input and read in child
//! processes.
//!
//! Each run takes a good file or text, damages it at sensitive places of its format, and reads it.
//! A run must end in a result or an error. Findings are panics, crashes, hangs, excessive memory,
//! and HDUs lost without an error. Seed and number reproduce a run: `--first N --runs 1`.

mod mutation;
mod random;
mod seeds;
mod targets;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::random::Random;
use self::seeds::Seeds;
use self::targets::{Outcome, Target};
use crate::workspace::root;

/// Time limit of a run.
const LONGEST_RUN: Duration = Duration::from_secs(10);
/// Time limit for the first run of a child, which prepares the good input.
const LONGEST_START: Duration = Duration::from_secs(300);
/// Address space of a child in KiB.
const MEMORY_KIB: u64 = 4 << 20;
/// Prefixes of a child's output lines.
const RUN: char = '>';
const FINDING: char = '!';
const COUNT: char = '=';

/// Options.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Number of runs.
    #[arg(long, default_value_t = 20_000)]
    runs: u64,
    /// Number of the first run.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Seed of all runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this target: exposure, psf, header, settings, regions or run.
    #[arg(long)]
    target: Option<String>,
    /// Folder for the input of findings.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Run in this process instead of child processes, and log each run.
    #[arg(long, hide = true)]
    child: bool,
}

/// Number of outcomes by target.
type Counts = BTreeMap<(String, String), u64>;

/// Performs all runs and prints the outcomes.
///
/// # Errors
///
/// For any finding, or if child processes cannot be started.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.child {
        return child(arguments);
    }
    let (mut counts, mut findings) = (Counts::new(), Vec::new());
    let end = arguments.first + arguments.runs;
    let mut next = arguments.first;
    while next < end {
        next = watch_child(arguments, next, end, &mut counts, &mut findings)?;
    }
    print_counts(&counts);
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// Starts a child at run `next` and follows it to its end or to the run that ends it; returns the
/// number of the next run.
fn watch_child(
    arguments: &Arguments,
    next: u64,
    end: u64,
    counts: &mut Counts,
    findings: &mut Vec<String>,
) -> Result<u64> {
    let program = std::env::current_exe()?;
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")])
        .arg(program)
        .args(["fuzz", "--child", "--seed", &arguments.seed.to_string()])
        .args(["--first", &next.to_string(), "--runs", &(end - next).to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(target) = &arguments.target {
        command.args(["--target", target]);
    }
    if let Some(keep) = &arguments.keep {
        command.arg("--keep").arg(keep);
    }
    let mut child = command.spawn().context("cannot start a child")?;
    let lines = lines_of(child.stdout.take().context("a child has no output")?);
    let mut running = None;
    loop {
        match lines.recv_timeout(if running.is_some() { LONGEST_RUN } else { LONGEST_START }) {
            Ok(line) => {
                let rest = line.get(1..).unwrap_or_default();
                match line.chars().next() {
                    Some(RUN) => running = Some(rest.parse::<u64>().context("a child counts wrongly")?),
                    Some(FINDING) => findings.push(rest.to_owned()),
                    Some(COUNT) => add_count(rest, counts),
                    _ => {}
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                let run = running.context("a child does not start")?;
                findings.push(format!("run {run}: hangs"));
                return Ok(run + 1);
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait()?;
                if status.success() {
                    return Ok(end);
                }
                let run = running.with_context(|| format!("a child does not start: {status}"))?;
                findings.push(format!("run {run}: {status}"));
                return Ok(run + 1);
            }
        }
    }
}

fn lines_of(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Counts `target outcome` of one run.
fn add_count(line: &str, counts: &mut Counts) {
    if let Some((target, outcome)) = line.split_once(' ') {
        *counts.entry((target.to_owned(), outcome.to_owned())).or_default() += 1;
    }
}

#[expect(clippy::print_stdout, reason = "a table for the terminal")]
fn print_counts(counts: &Counts) {
    println!("{:<10} {:<10} {:>8}", "target", "outcome", "runs");
    for ((target, outcome), count) in counts {
        println!("{target:<10} {outcome:<10} {count:>8}");
    }
    println!("{:<21} {:>8}", "all", counts.values().sum::<u64>());
}

/// Performs the runs in this process, with a line before and after each.
fn child(arguments: &Arguments) -> Result<()> {
    std::panic::set_hook(Box::new(|_| {}));
    let folder = Folder::new()?;
    let only = arguments.target.as_deref().map(Target::named).transpose()?;
    let seeds = Seeds::read(&root(), matches!(only, None | Some(Target::Run)))?;
    let mut out = std::io::stdout().lock();
    for number in arguments.first..arguments.first + arguments.runs {
        writeln!(out, "{RUN}{number}")?;
        out.flush()?;
        let (target, outcome) = one_run(&seeds, only, arguments.seed, number, &folder.0);
        if let Outcome::Finding(reason) = &outcome {
            writeln!(out, "{FINDING}run {number} ({}): {reason}", target.name())?;
            if let Some(keep) = &arguments.keep {
                keep_input(&folder.0, &keep.join(format!("{}_{number}", arguments.seed)))?;
            }
        }
        writeln!(out, "{COUNT}{} {}", target.name(), outcome.name())?;
    }
    Ok(())
}

/// One run: its target and outcome. Its input remains in `folder`.
fn one_run(seeds: &Seeds, only: Option<Target>, seed: u64, number: u64, folder: &Path) -> (Target, Outcome) {
    let mut random = Random::new(seed, number);
    let target = only.unwrap_or_else(|| Target::drawn(&mut random, seeds.has_run()));
    let outcome = catch_unwind(AssertUnwindSafe(|| targets::run(target, seeds, &mut random, folder)));
    let outcome = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome::Finding(format!("panics: {}", text.unwrap_or_default()))
    });
    (target, outcome)
}

fn keep_input(folder: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// A temporary folder of this process for inputs, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("dcr-fuzz-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Errors of removal are ignored.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of the test, some seconds of them.
    const RUNS: u64 = 1500;

    #[test]
    fn short_run_has_no_findings() {
        let folder = tempfile::tempdir().unwrap();
        let seeds = Seeds::read(&root(), false).unwrap();
        let (mut read, mut refused) = (0, 0);
        for number in 0..RUNS {
            match one_run(&seeds, None, 7, number, folder.path()) {
                (_, Outcome::Read) => read += 1,
                (_, Outcome::Refused) => refused += 1,
                (target, Outcome::Finding(reason)) => panic!("run {number} ({}): {reason}", target.name()),
            }
        }
        // Both happen often: damage neither always matters nor ever passes for good input.
        assert!(read > RUNS / 10 && refused > RUNS / 4, "{read} read, {refused} refused");
    }
}
