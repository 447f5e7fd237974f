//! Interrupted and killed runs, concurrent runs, and incomplete runs.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, testdata, text};

/// Maximum time from a request to the end.
const PROMPT: Duration = Duration::from_secs(1);
/// Enough iterations for minutes.
const ENDLESS: [&str; 8] = [
    "--set",
    "solver.method=iterative",
    "--set",
    "solver.min_iterations=100000",
    "--set",
    "solver.max_iterations=100000",
    "--set",
    "solver.use_convergence=false",
];

fn dcr(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("dcr"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Starts a long run into `folder`, and waits until it writes there.
fn endless(folder: &Path) -> Child {
    let field = testdata("field");
    let run = dcr(&[&["assemble", text(&field), "-o", text(folder)][..], &ENDLESS].concat()).spawn();
    wait_for(|| folder.join(".dcr-lock").exists());
    std::thread::sleep(Duration::from_millis(300));
    run.expect("a run")
}

fn wait_for(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(signal: &str, run: &Child) {
    let sent = Command::new("kill").args([signal, &run.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

/// The end of a run after a request to end, which must come soon.
fn prompt_end(mut run: Child) -> (ExitStatus, String) {
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = run.try_wait().expect("a state") {
            break status;
        }
        if asked.elapsed() > 20 * PROMPT {
            run.kill().expect("kill");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
    let mut said = String::new();
    run.stderr.take().expect("stderr").read_to_string(&mut said).expect("text");
    (status, said)
}

#[test]
fn signals_end_a_run_at_once_and_leave_nothing() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        if signal == "-HUP" && hang_ups_are_ignored() {
            continue;
        }
        let fixture = Fixture::new();
        let run = endless(&fixture.path("a/b"));
        send(signal, &run);
        let (status, said) = prompt_end(run);
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(said.ends_with("error: stopped on request; nothing was written\n"), "{said}");
        assert!(!fixture.path("a").exists(), "{:?}", fixture.files("a/b"));
    }
}

/// Whether this test runs under `nohup`, which its children inherit.
fn hang_ups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 != 0)
}

/// A second signal while the run is still stopping.
#[test]
fn signals_in_a_row_leave_nothing_either() {
    let fixture = Fixture::new();
    let run = endless(&fixture.path("coadds"));
    send("-TERM", &run);
    send("-TERM", &run);
    send("-INT", &run);
    assert_eq!(prompt_end(run).0.code(), Some(143));
    assert!(!fixture.path("coadds").exists());
}

/// The reader of stderr does not read.
#[test]
fn signal_is_obeyed_while_stderr_is_blocked() {
    let fixture = Fixture::new();
    let (field, folder) = (testdata("field"), fixture.path("coadds"));
    let line = ["assemble", text(&field), "-o", text(&folder), "-vvv", "--log-format", "json"];
    let run = dcr(&[&line[..], &ENDLESS].concat()).spawn().expect("a run");
    wait_for(|| folder.join(".dcr-lock").exists());
    std::thread::sleep(Duration::from_millis(1500));
    send("-TERM", &run);
    assert_eq!(prompt_end(run).0.code(), Some(143));
    assert!(!folder.exists());
}

/// Hang-ups are ignored, as under `nohup`.
#[cfg(target_os = "linux")]
#[test]
fn hang_up_that_is_ignored_stays_ignored() {
    let fixture = Fixture::new();
    let script = format!(
        "trap '' HUP; exec {} assemble {} -o {} -q",
        assert_cmd::cargo::cargo_bin("dcr").display(),
        testdata("field").display(),
        fixture.path("coadds").display()
    );
    let mut run = Command::new("sh").args(["-c", &script]).spawn().expect("a shell");
    wait_for(|| fixture.path("coadds/.dcr-lock").exists());
    send("-HUP", &run);
    assert_eq!(run.wait().expect("an end").code(), Some(0));
}

#[test]
fn second_run_into_a_folder_is_refused_and_the_first_goes_on() {
    let fixture = Fixture::new();
    let folder = fixture.path("coadds");
    let mut run = endless(&folder);
    let field = testdata("field");
    let shown = fixture.run(&["assemble", text(&field), "-o", text(&folder), "--overwrite"]);
    let words = format!("another run of dcr is writing to this folder (process {} on ", run.id());
    assert!(shown.starts_with("exit code 1\n") && shown.contains(&words), "{shown}");
    assert!(run.try_wait().expect("a state").is_none(), "the first goes on");
    send("-TERM", &run);
    prompt_end(run);
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let fixture = Fixture::new();
    let mut run = endless(&fixture.path("coadds"));
    send("-KILL", &run);
    run.wait().expect("an end");
    let left = fixture.files("coadds");
    assert!(left.iter().any(|name| name.starts_with(".unfinished-")), "{left:?}");
    let field = testdata("field");
    let shown = fixture.run(&["assemble", text(&field), "-o", "coadds", "-q"]);
    assert_eq!(shown, "exit code 0\n");
    let files = fixture.files("coadds");
    assert!(files.contains(&"summary.json".to_owned()), "{files:?}");
    assert!(files.iter().all(|name| !name.starts_with('.')), "{files:?}");
}

#[test]
fn run_without_its_summary_or_with_that_of_another_is_refused() {
    let fixture = Fixture::new();
    let (field, exposure) = (testdata("field"), testdata("heldout/warp_5001.fits"));
    let assemble = |folder: &str, options: &[&str]| {
        let shown = fixture
            .run(&[&["assemble", text(&field), "-o", folder, "-q"][..], &ENDLESS[..2], options].concat());
        assert_eq!(shown, "exit code 0\n");
    };
    assemble("one", &[]);
    assemble("two", &["--set", "model.subfilters=2"]);
    std::fs::rename(fixture.path("one/summary.json"), fixture.path("kept.json")).unwrap();
    for line in [
        &["template", "one", "-e", text(&exposure), "-o", "out"][..],
        &["subtract", "one", "-e", text(&exposure), "-o", "out"],
    ] {
        let shown = fixture.run(line);
        assert!(shown.contains("one/summary.json: there is no such file beside the coadds"), "{shown}");
        assert!(shown.contains("incomplete") && shown.starts_with("exit code 1\n"), "{shown}");
    }
    assert!(fixture.run(&["report", "one"]).contains("cannot read one/summary.json"));
    std::fs::copy(fixture.path("two/summary.json"), fixture.path("one/summary.json")).unwrap();
    for line in [&["template", "one", "-e", text(&exposure), "-o", "out"][..], &["report", "one"]] {
        let shown = fixture.run(line);
        assert!(shown.contains("the folder holds files of several runs"), "{shown}");
    }
    assert!(!fixture.path("out").exists());
    // The output of another command does not count as an earlier run.
    let shown = fixture.run(&["subtract", "two", "-e", text(&exposure), "-o", "two", "--overwrite"]);
    assert!(shown.contains("two: this folder holds coadds, whose summary.json would be lost"), "{shown}");
    assert!(fixture.path("two/summary.json").exists());
}

/// Another run with fewer files, and a report of the earlier one.
#[test]
fn overwritten_run_leaves_none_of_its_files() {
    let fixture = Fixture::new();
    let field = testdata("field");
    let assemble = |options: &[&str]| {
        fixture.run(&[&["assemble", text(&field), "-o", "coadds", "-q"][..], options].concat())
    };
    assert_eq!(assemble(&["--report"]), "exit code 0\n");
    for name in ["subfilter_2.fits", "model.fits", "report.html"] {
        assert!(fixture.files("coadds").contains(&name.to_owned()), "{name}");
    }
    fixture.write("coadds/notes.txt", "mine");
    assert_eq!(
        assemble(&["--overwrite", ENDLESS[0], ENDLESS[1], "--set", "model.subfilters=2"]),
        "exit code 0\n"
    );
    let files = [
        "coadd.fits",
        "model.fits",
        "notes.txt",
        "plain.fits",
        "subfilter_0.fits",
        "subfilter_1.fits",
        "summary.json",
    ];
    assert_eq!(fixture.files("coadds"), files);
}
