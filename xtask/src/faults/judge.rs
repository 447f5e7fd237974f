//! What a run may leave behind after a kill or a fault.

use std::fs;

use anyhow::Result;

use super::blow::Blow;
use super::lab::{Lab, Outcome, Reference, Snapshot, snapshot};
use super::scene::Scene;

/// Longest time from a request to terminate to the end, in s.
const PROMPT: f64 = 1.0;

/// Whether promises were kept.
pub(crate) enum Verdict {
    /// They were; the name of what is there.
    Kept(&'static str),
    /// Why they were not.
    Broken(String),
}

/// Looks at the output folder, at the exit code, at what a reader makes of the folder, and at what
/// the next run makes of it.
pub(crate) fn judge(
    lab: &Lab,
    scene: &Scene,
    reference: &Reference,
    blow: &Blow,
    outcome: &Outcome,
) -> Result<Verdict> {
    let output = lab.trial().join(scene.output);
    let there = snapshot(&output)?;
    let state = State::of(&there, scene, reference);
    let broken = |why: String| {
        let said = outcome.stderr.trim();
        Ok(Verdict::Broken(format!("{why}; exit {}, {state:?}, said {said:?}", outcome.code())))
    };
    if outcome.timed_out {
        return broken("it hangs".into());
    }
    if let Some(why) = wrong_end(blow, outcome, state) {
        return broken(why);
    }
    if let State::Mixed(why) = state {
        return broken(format!("partial or mixed: {why} ({})", names(&there)));
    }
    let hidden = there.keys().any(|name| name.starts_with('.'));
    // A signal that a program obeys leaves nothing; nor does a fault, unless it keeps the program from removing it.
    let can_clean = match blow {
        Blow::ByClock { .. } => !blow.kills(),
        Blow::AtCall { class, what, .. } => {
            !blow.kills()
                && (*what == "term" || !["unlink", "rename", "list", "open", "lock", "stat"].contains(class))
        }
    };
    if can_clean && hidden && state != State::Incomplete {
        return broken(format!("leftovers: {}", names(&there)));
    }
    let made_in_vain = state == State::Nothing && output.exists() && !scene.is_there_before(reference);
    if can_clean && made_in_vain {
        return broken("an empty folder is left".into());
    }
    if state == State::Incomplete && scene.is_sealed {
        // Whoever reads it finishes it, or refuses it.
        let probe = lab.again(&["template", scene.output, "-e", "warps/warp_1001.fits", "-o", "probe"])?;
        let finished = State::of(&snapshot(&output)?, scene, reference) == State::New;
        let read = lab.trial().join("probe").exists();
        if read && !finished {
            return broken(format!("an incomplete run was read: {}", probe.stderr));
        }
    }
    if hidden || state == State::Incomplete {
        let command = [scene.command, scene.again].concat();
        let next = lab.again(&command)?;
        let after = snapshot(&output)?;
        if !next.succeeds() || after != reference.new {
            return broken(format!("the next run: {} ({})", next.stderr, names(&after)));
        }
    }
    if let Some(stray) = stray(lab, scene)? {
        return broken(format!("{stray} is left beside the output"));
    }
    Ok(Verdict::Kept(match (state, hidden) {
        (State::Incomplete, _) => "incomplete, refused or finished",
        (State::New, _) if outcome.succeeds() => "new",
        (State::New, _) => "new, though it ended with an error",
        (State::Old, true) => "old, leftovers removed by the next run",
        (State::Nothing, true) => "nothing, leftovers removed by the next run",
        (State::Old, false) => "old",
        _ => "nothing",
    }))
}

/// What is in the output folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nothing,
    Old,
    New,
    /// Without the file that says that all is there.
    Incomplete,
    Mixed(&'static str),
}

impl State {
    fn of(there: &Snapshot, scene: &Scene, reference: &Reference) -> Self {
        let files: Snapshot =
            there.iter().filter(|(name, _)| !name.starts_with('.')).map(|(k, v)| (k.clone(), *v)).collect();
        if files == reference.new {
            Self::New
        } else if files == reference.old {
            if files.is_empty() { Self::Nothing } else { Self::Old }
        } else if scene.is_sealed && !files.contains_key("summary.json") {
            Self::Incomplete
        } else if !scene.is_sealed && there.keys().any(|name| name.starts_with(".unfinished")) {
            // Files that stand for themselves; the next run names the others.
            Self::Incomplete
        } else if files
            .keys()
            .any(|name| !reference.new.contains_key(name) && !reference.old.contains_key(name))
        {
            Self::Mixed("a file that no run writes")
        } else {
            Self::Mixed("files of several runs, or not all of one")
        }
    }
}

impl Scene {
    fn is_there_before(&self, reference: &Reference) -> bool {
        !reference.old.is_empty()
    }
}

/// What is wrong with the way the run ended.
fn wrong_end(blow: &Blow, outcome: &Outcome, state: State) -> Option<String> {
    let code = outcome.code();
    let expected = match blow {
        Blow::ByClock { signal: "KILL", .. } | Blow::AtCall { what: "kill", .. } => {
            [-9, 0, 3].contains(&code)
        }
        // Before it listens for signals, the system ends the program.
        _ if blow.asks() => [143, -15, 0, 3].contains(&code),
        _ => [0, 1, 2, 3].contains(&code),
    };
    if !expected {
        return Some("an end that was not asked for".into());
    }
    if outcome.succeeds() && state != State::New {
        return Some("it says that all went well".into());
    }
    if code == 1 && !outcome.stderr.lines().any(|line| line.starts_with("error: ")) {
        return Some("it fails without a word".into());
    }
    if outcome.stderr.contains("panicked") {
        return Some("it panics".into());
    }
    match outcome.seconds_to_end {
        Some(seconds) if seconds > PROMPT => Some(format!("it took {seconds:.2} s to end")),
        _ => None,
    }
}

/// Something that the scene has no name for, beside its output.
fn stray(lab: &Lab, scene: &Scene) -> Result<Option<String>> {
    for entry in fs::read_dir(lab.trial())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if ![scene.output, "warps", "run", "probe"].contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn names(there: &Snapshot) -> String {
    there.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
