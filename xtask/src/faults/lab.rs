//! The trial folder: the field, prepared scenes, and single runs.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::blow::Blow;
use super::scene::Scene;
use crate::testdata;

/// The fault-injection library.
const SHIM: &str = include_str!("shim.c");
/// Pixels along each side of the field, and its visits.
const FIELD: (usize, usize) = (72, 5);
/// Time limit of a run.
const PATIENCE: Duration = Duration::from_secs(120);
/// Keys of a summary that differ between runs.
const MEASURED: [&str; 3] = ["seconds", "stages", "peak_memory_bytes"];

/// All files of a folder, hidden ones included, with a hash of their content.
pub(crate) type Snapshot = BTreeMap<String, u64>;

/// Place of the trials.
pub(crate) struct Lab {
    folder: TempDir,
    dcr: PathBuf,
}

/// A scene without faults.
pub(crate) struct Reference {
    /// Output folder before the run; empty if missing.
    pub(crate) old: Snapshot,
    /// Output folder after the run.
    pub(crate) new: Snapshot,
    /// Duration in s.
    pub(crate) seconds: f64,
    /// Number of calls in each class.
    pub(crate) calls: BTreeMap<String, u64>,
}

/// Outcome of a run.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    pub(crate) timed_out: bool,
    /// Time from a request to terminate by the clock to the end.
    pub(crate) seconds_to_end: Option<f64>,
}

impl Outcome {
    /// Whether all results were written, with or without warnings.
    pub(crate) fn succeeds(&self) -> bool {
        matches!(self.status.code(), Some(0 | 3))
    }

    /// The exit code, or minus the signal.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or(0))
    }
}

impl Lab {
    /// Draws the field, builds the fault library, and makes a finished run.
    pub(crate) fn prepare(dcr: Option<&Path>) -> Result<Self> {
        ensure!(cfg!(target_os = "linux"), "faults are injected with LD_PRELOAD, which only Linux has");
        let dcr = match dcr {
            Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
            None => std::env::current_exe()?.with_file_name("dcr"),
        };
        ensure!(
            dcr.is_file(),
            "{}: there is no such program; build it, or name it with --dcr",
            dcr.display()
        );
        let lab = Self { folder: tempfile::tempdir()?, dcr };
        let source = lab.path("shim.c");
        fs::write(&source, SHIM)?;
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(lab.path("shim.so")).arg(&source).arg("-ldl");
        ensure!(cc.status().context("a C compiler, cc, is needed")?.success(), "cc failed");
        testdata::write_large(&lab.path("warps"), FIELD.0, FIELD.1, false)?;
        fs::rename(lab.path("warps/heldout"), lab.path("heldout"))?;
        lab.must(lab.folder.path(), &["assemble", "warps", "-o", "run"])?;
        Ok(lab)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Folder of the current trial.
    pub(crate) fn trial(&self) -> PathBuf {
        self.path("trial")
    }

    /// Runs the scene without a fault.
    pub(crate) fn reference(&self, scene: &Scene) -> Result<Reference> {
        let given = self.path(&format!("given-{}", scene.name));
        fs::create_dir(&given)?;
        copy(&self.path("warps"), &given.join("warps"))?;
        if scene.on_a_run {
            copy(&self.path("run"), &given.join("run"))?;
        }
        for command in scene.before {
            self.must(&given, command)?;
        }
        self.set_up(scene)?;
        let output = self.trial().join(scene.output);
        let old = snapshot(&output)?;
        let counts = self.path("counts");
        let started = Instant::now();
        let mut command = self.command(scene.command);
        command.env("FAULT_COUNTS", &counts);
        let outcome = end_of(command.spawn()?, None)?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(
            outcome.succeeds(),
            "{} fails by itself ({}): {}",
            scene.name,
            outcome.code(),
            outcome.stderr
        );
        let counts = fs::read_to_string(&counts).context("the counts of calls")?;
        let calls = counts.lines().filter_map(|line| line.split_once(' '));
        let calls = calls.filter_map(|(class, n)| Some((class.to_owned(), n.parse().ok()?))).collect();
        Ok(Reference { old, new: snapshot(&output)?, seconds, calls })
    }

    /// Restores the trial folder to the state before the scene.
    fn set_up(&self, scene: &Scene) -> Result<()> {
        let trial = self.trial();
        if trial.exists() {
            fs::remove_dir_all(&trial)?;
        }
        copy(&self.path(&format!("given-{}", scene.name)), &trial)
    }

    /// Runs a scene with a disturbance.
    pub(crate) fn strike(&self, scene: &Scene, blow: &Blow) -> Result<Outcome> {
        self.set_up(scene)?;
        let mut command = self.command(scene.command);
        if let Blow::AtCall { class, at, what, sticky } = blow {
            command.env("FAULT_CALL", class).env("FAULT_AT", at.to_string()).env("FAULT_DO", what);
            if *sticky {
                command.env("FAULT_STICKY", "1");
            }
        }
        end_of(command.spawn()?, Some(blow))
    }

    /// Runs a command in the trial's folder without a fault.
    pub(crate) fn again(&self, arguments: &[&str]) -> Result<Outcome> {
        end_of(self.command(arguments).spawn()?, None)
    }

    /// `dcr` in the trial folder, with the fault library preloaded.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.plain(&self.trial(), arguments);
        command.env("LD_PRELOAD", self.path("shim.so")).env("FAULT_UNDER", self.folder.path());
        command
    }

    fn plain(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.dcr);
        command.args(arguments).current_dir(folder).env_remove("RUST_LOG").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn must(&self, folder: &Path, arguments: &[&str]) -> Result<()> {
        let outcome = end_of(self.plain(folder, arguments).spawn()?, None)?;
        ensure!(outcome.succeeds(), "dcr {}: {}", arguments.join(" "), outcome.stderr);
        Ok(())
    }
}

/// Waits for the end of a run, and signals it at the given time.
fn end_of(mut run: Child, blow: Option<&Blow>) -> Result<Outcome> {
    use std::io::Read;
    let started = Instant::now();
    let pipe = run.stderr.take().context("stderr")?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // An unreadable stderr counts as empty.
        let _ = { pipe }.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let (mut asked, mut timed_out) = (None, false);
    let status = loop {
        if let Some(status) = run.try_wait()? {
            break status;
        }
        match blow {
            Some(Blow::ByClock { signal, seconds })
                if asked.is_none() && started.elapsed().as_secs_f64() >= *seconds =>
            {
                let kill =
                    Command::new("kill").arg(format!("-{signal}")).arg(run.id().to_string()).output()?;
                asked = kill.status.success().then(Instant::now);
            }
            _ => (),
        }
        if started.elapsed() > PATIENCE {
            timed_out = true;
            run.kill()?;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let is_request = blow.is_some_and(Blow::asks);
    let seconds_to_end = asked.filter(|_| is_request).map(|asked: Instant| asked.elapsed().as_secs_f64());
    let stderr = reader.join().unwrap_or_default();
    Ok(Outcome { status, stderr, timed_out, seconds_to_end })
}

/// All files of a folder; of a summary, the parts that do not differ between runs.
pub(crate) fn snapshot(folder: &Path) -> Result<Snapshot> {
    let mut out = Snapshot::new();
    if !folder.exists() {
        return Ok(out);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            out.insert(name + "/", 0);
            continue;
        }
        let mut bytes = fs::read(&path)?;
        if name == "summary.json"
            && let Ok(mut summary) = serde_json::from_slice::<serde_json::Map<_, _>>(&bytes)
        {
            MEASURED.iter().for_each(|key| drop(summary.remove(*key)));
            bytes = serde_json::to_vec(&summary)?;
        }
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        out.insert(name, hasher.finish());
    }
    Ok(out)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else if fs::copy(&source, &target)? == 0 {
            bail!("{}: empty", source.display());
        }
    }
    Ok(())
}
