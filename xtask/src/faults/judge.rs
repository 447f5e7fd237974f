//! Permitted states after a kill or a fault.

use std::fs;

use anyhow::Result;

use super::blow::Blow;
use super::lab::{Lab, Outcome, Reference, Snapshot, snapshot};
use super::scene::Scene;

/// Maximum time from a request to terminate to the end, in s.
const PROMPT: f64 = 1.0;

/// Result of a trial.
pub(crate) enum Verdict {
    /// All promises kept; with the name of the state found.
    Kept(&'static str),
    /// Broken, with the reason.
    Broken(String),
}

/// Examines the output folder, the exit code, the reaction of a reader, and the result of the next
/// run.
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
    // After a handled signal nothing remains; after a fault, unless it prevents removal.
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
        // A reader completes the folder or refuses it.
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

/// Content of the output folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nothing,
    Old,
    New,
    /// Without the seal.
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
            // Independent files; the next run names the others.
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

/// The problem with the end of the run, if any.
fn wrong_end(blow: &Blow, outcome: &Outcome, state: State) -> Option<String> {
    let code = outcome.code();
    let expected = match blow {
        Blow::ByClock { signal: "KILL", .. } | Blow::AtCall { what: "kill", .. } => {
            [-9, 0, 3].contains(&code)
        }
        // Before the handler is installed, the signal ends the program.
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

/// An unexpected file beside the output.
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
