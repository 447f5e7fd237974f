//! `cargo xtask faults`: kills and system-call faults at random points of every command that
//! writes.
//!
//! Each trial runs `dcr` once in a small synthetic scene. It is killed or asked to end at a random
//! time or system call, or one system call fails. Afterwards the output folder must hold the
//! complete earlier result, the complete new one, or one that readers refuse; the exit code must
//! say which; and the next run must remove all leftovers. Trials follow from the seed, except for
//! the arrival time of a signal by the clock.

#![expect(clippy::print_stdout, reason = "the table is what the command is for")]

mod blow;
mod judge;
mod lab;
mod scene;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};

use self::blow::Blow;
use self::judge::{Verdict, judge};
use self::lab::{Lab, Reference};
use self::scene::SCENES;

/// Errors injected into each class of calls, as on Linux: EIO, ENOSPC, EACCES, EMFILE, EINTR,
/// ENOLCK, ENOSYS, EDQUOT.
const FAULTS: [(&str, &[&str]); 11] = [
    ("open", &["5", "13", "24", "28"]),
    ("read", &["5", "5", "4", "short"]),
    ("write", &["5", "28", "122", "4", "short"]),
    ("sync", &["5", "28"]),
    ("rename", &["5", "28", "13"]),
    ("unlink", &["5", "13"]),
    ("mkdir", &["5", "28", "13"]),
    ("lock", &["37", "38", "5"]),
    ("seek", &["5"]),
    ("stat", &["5", "13"]),
    ("list", &["5"]),
];

/// Options.
pub(crate) struct Options {
    /// Number of trials with a signal.
    pub(crate) kills: usize,
    /// Number of trials with a fault.
    pub(crate) faults: usize,
    pub(crate) seed: u64,
    /// The program; by default the one beside this one.
    pub(crate) dcr: Option<PathBuf>,
    /// Name of the only scene to run.
    pub(crate) scene: Option<String>,
}

/// Runs all trials, prints a table, and fails on any breach.
pub(crate) fn run(options: &Options) -> Result<()> {
    let lab = Lab::prepare(options.dcr.as_deref())?;
    let mut random = Random(options.seed);
    let scenes: Vec<_> =
        SCENES.iter().filter(|s| options.scene.as_deref().is_none_or(|name| name == s.name)).collect();
    if scenes.is_empty() {
        bail!("there is no such scene; there are {}", SCENES.map(|scene| scene.name).join(", "));
    }
    let references: Vec<Reference> =
        scenes.iter().map(|scene| lab.reference(scene)).collect::<Result<_>>()?;
    for (scene, reference) in scenes.iter().zip(&references) {
        println!("{}: {:.1} s, calls {:?}", scene.name, reference.seconds, reference.calls);
    }
    let mut tally: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
    let (mut broken, mut slowest) = (Vec::new(), 0.0_f64);
    for trial in 0..options.kills + options.faults {
        let which = trial % scenes.len();
        let (scene, reference) = (scenes[which], &references[which]);
        let is_kill = trial < options.kills;
        let blow = if is_kill { kill(&mut random, reference) } else { fault(&mut random, reference) };
        let outcome = lab.strike(scene, &blow)?;
        if let Some(seconds) = outcome.seconds_to_end {
            slowest = slowest.max(seconds);
        }
        let verdict = judge(&lab, scene, reference, &blow, &outcome)?;
        let kind = if is_kill { "kill" } else { "fault" };
        let name = match &verdict {
            Verdict::Kept(name) => (*name).to_owned(),
            Verdict::Broken(why) => {
                let line = format!("trial {trial}, {}, {blow:?}: {why}", scene.name);
                println!("BROKEN {line}");
                broken.push(line);
                "BROKEN".to_owned()
            }
        };
        *tally.entry((scene.name, kind, name)).or_default() += 1;
    }
    println!("| scene | trial | result | count |\n|---|---|---|---|");
    for ((scene, kind, name), count) in &tally {
        println!("| {scene} | {kind} | {name} | {count} |");
    }
    println!("\nlongest time from a request to terminate to the end: {slowest:.2} s");
    if !broken.is_empty() {
        bail!("{} of {} trials broke a promise", broken.len(), options.kills + options.faults);
    }
    println!("{} kills and {} faults: every promise kept", options.kills, options.faults);
    Ok(())
}

/// A signal by the clock, or at a call that changes files.
fn kill(random: &mut Random, reference: &Reference) -> Blow {
    let hard = random.below(2) == 0;
    if random.below(2) == 0 {
        // Slightly longer than the run, because its end matters most.
        let seconds = 1.1 * reference.seconds * random.below(1 << 20) as f64 / f64::from(1 << 20);
        return Blow::ByClock { signal: if hard { "KILL" } else { "TERM" }, seconds };
    }
    let classes = ["rename", "unlink", "mkdir", "sync", "write", "open", "lock"];
    at_call(random, reference, &classes, |_| if hard { "kill" } else { "term" })
}

fn fault(random: &mut Random, reference: &Reference) -> Blow {
    let number = random.below(1 << 20) as usize;
    let classes = FAULTS.map(|(class, _)| class);
    let mut blow = at_call(random, reference, &classes, |class| {
        let errors = FAULTS.iter().find(|(c, _)| *c == class).map_or(&["5"][..], |(_, errors)| errors);
        errors[number % errors.len()]
    });
    if let Blow::AtCall { sticky, class, what, .. } = &mut blow {
        // A full or broken disk stays so; an interruption does not.
        *sticky = random.below(3) == 0 && !["4", "short"].contains(what) && *class != "lock";
    }
    blow
}

/// A call of one of the classes that occur in the run.
fn at_call(
    random: &mut Random,
    reference: &Reference,
    classes: &[&'static str],
    what: impl Fn(&'static str) -> &'static str,
) -> Blow {
    let made: Vec<_> = classes
        .iter()
        .filter_map(|class| Some((*class, *reference.calls.get(*class)?)))
        .filter(|(_, calls)| *calls > 0)
        .collect();
    let (class, calls) = made[random.below(made.len() as u64) as usize];
    Blow::AtCall { class, at: 1 + random.below(calls), what: what(class), sticky: false }
}

/// Random numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}
