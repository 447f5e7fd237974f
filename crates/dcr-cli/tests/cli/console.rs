//! Messages of a running `dcr`, as text and as JSON; completions and manual pages.

use std::process::Command;

use crate::fixture::{Fixture, testdata, text, without_pixels};

/// The lines on stderr of a run in the fixture's directory, each as JSON.
fn json_lines(fixture: &Fixture, arguments: &[&str]) -> Vec<serde_json::Value> {
    let shown = fixture.run(arguments);
    let stderr = shown.split_once("--- stderr\n").map_or("", |(_, stderr)| stderr);
    let parsed = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    stderr.lines().map(parsed).collect()
}

#[test]
fn json_log_has_stages_warnings_and_the_end() {
    let fixture = Fixture::new();
    fixture.field("warps", |visit, warp| if visit == 1003 { without_pixels(warp) } else { warp });
    let lines = json_lines(&fixture, &["assemble", "warps", "-o", "coadds", "--log-format", "json"]);
    let of = |message: &str, key: &str| -> Vec<&serde_json::Value> {
        lines.iter().filter(|line| line["message"] == message).map(|line| &line[key]).collect()
    };
    let stages = ["reading", "coadding", "finding streaks", "solving", "finishing", "writing"];
    assert_eq!(of("stage begins", "stage"), stages);
    assert_eq!(of("stage ends", "stage"), stages);
    assert_eq!(of("stage begins", "steps")[0], 10);
    assert!(of("stage ends", "seconds").iter().all(|seconds| seconds.as_f64().unwrap() >= 0.0));
    assert_eq!(of("dcr ends", "exit_code"), [3]);
    let warnings: Vec<_> = lines.iter().filter(|line| line["level"] == "WARN").collect();
    let dropped = warnings.iter().find(|line| line["message"].as_str().unwrap().contains("was dropped"));
    let subject = dropped.expect("a warning of the dropped visit")["subject"].as_str().unwrap();
    assert!(subject.contains("1003"), "{subject}");
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"].is_string()));
}

#[test]
fn json_log_of_errors_and_of_every_step() {
    let fixture = Fixture::new();
    let lines = json_lines(&fixture, &["assemble", "nowhere.fits", "-o", "out", "--log-format", "json"]);
    assert_eq!(lines[0]["level"], "ERROR");
    assert_eq!(lines[0]["message"], "nowhere.fits: no such file or directory");
    assert_eq!(lines.last().unwrap()["exit_code"], 1);
    let lines = json_lines(&fixture, &["config", "--set", "model.subfilters=0", "--log-format", "json"]);
    assert_eq!((lines[0]["level"].as_str(), lines[1]["exit_code"].as_u64()), (Some("ERROR"), Some(2)));

    let field = testdata("field");
    let lines = json_lines(&fixture, &["assemble", text(&field), "-o", "c", "-vv", "--log-format", "json"]);
    let steps =
        |stage: &str| lines.iter().filter(|line| line["stage"] == stage && line["step"].is_u64()).count();
    assert_eq!(steps("reading"), 10);
    assert!(steps("solving") >= 3 && steps("writing") >= 4);
}

#[test]
fn quiet_says_nothing_unless_something_is_wrong() {
    let fixture = Fixture::new();
    let field = testdata("field");
    assert_eq!(fixture.run(&["assemble", text(&field), "-o", "coadds", "-q"]), "exit code 0\n");
    assert!(fixture.run(&["-q", "assemble", text(&field), "-o", "coadds"]).contains("--- stderr\nerror: "));
    // Requested output is printed even with -q.
    assert!(fixture.run(&["-q", "config", "model.subfilters"]).contains("model.subfilters = 3"));
}

#[test]
fn verbose_tells_stages_in_text() {
    let fixture = Fixture::new();
    let shown = fixture.run(&["assemble", text(&testdata("field")), "-o", "coadds", "-v"]);
    let stderr = shown.split_once("--- stderr\n").expect("a log").1;
    assert!(stderr.starts_with(" INFO stage begins stage=\"reading\" steps=10\n"), "{stderr}");
    assert!(!stderr.contains("left"), "no bars without a terminal: {stderr}");
}

#[test]
fn rust_log_that_is_no_filter_is_refused() {
    let output = dcr(&["config"]).env("RUST_LOG", "dcr=loud").output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: RUST_LOG=dcr=loud: ") && said.contains("RUST_LOG=info"), "{said}");
    let output = dcr(&["config", "-v"]).env("RUST_LOG", "dcr=loud").output().expect("an end");
    assert_eq!(output.status.code(), Some(0), "flags are stronger than the environment");
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = completions(shell);
        for word in ["assemble", "overwrite", "log-format"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// The completion script for a shell.
fn completions(shell: &str) -> String {
    let output = dcr(&["completions", shell]).output().expect("a script");
    assert!(output.status.success(), "{shell}");
    String::from_utf8(output.stdout).expect("text")
}

/// Checks that a shell parses its completion script.
fn shell_reads_its_completions(shell: &str) {
    let fixture = Fixture::new();
    let file = fixture.write("script", completions(shell));
    let output = Command::new(shell).arg("-n").arg(&file).output().expect("the shell");
    assert!(output.status.success(), "{shell}: {output:?}");
}

#[test]
fn man_pages_are_written() {
    let fixture = Fixture::new();
    let pages = man_pages(&fixture);
    for command in ["dcr", "dcr-assemble", "dcr-config", "dcr-inspect", "dcr-subtract", "dcr-template"] {
        assert!(pages.contains(&format!("{command}.1")), "{pages:?}");
    }
}

/// Writes the manual pages into share/man1, and returns their names.
fn man_pages(fixture: &Fixture) -> Vec<String> {
    assert_eq!(fixture.run(&["man", "share/man1"]), "exit code 0\n");
    fixture.files("share/man1")
}

/// The program with arguments, outside any fixture.
fn dcr(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("dcr"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

mod needs_bash {
    use super::*;

    #[test]
    #[ignore = "needs the shell bash"]
    fn completions_are_parsed() {
        shell_reads_its_completions("bash");
    }
}

mod needs_zsh {
    use super::*;

    #[test]
    #[ignore = "needs the shell zsh"]
    fn completions_are_parsed() {
        shell_reads_its_completions("zsh");
    }
}

mod needs_fish {
    use super::*;

    #[test]
    #[ignore = "needs the shell fish"]
    fn completions_are_parsed() {
        shell_reads_its_completions("fish");
    }
}

mod needs_groff {
    use super::*;

    #[test]
    #[ignore = "needs the program groff"]
    fn man_pages_are_read_without_complaint() {
        let fixture = Fixture::new();
        let pages = man_pages(&fixture);
        assert!(pages.len() > 5, "{pages:?}");
        for page in pages {
            let path = fixture.path("share/man1").join(&page);
            let output = Command::new("groff")
                .args(["-k", "-man", "-Tutf8", "-ww", "-z"])
                .arg(&path)
                .output()
                .expect("groff");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{page}: {said}");
        }
    }
}

#[cfg(target_os = "linux")]
mod needs_script {
    use std::process::{Output, Stdio};

    use super::*;

    /// Runs `dcr` with a terminal as stderr, long enough to draw progress bars.
    fn on_a_terminal(options: &str) -> String {
        let fixture = Fixture::new();
        let line = format!(
            "{} assemble {} -o {} {options} --set solver.use_convergence=false --set solver.max_iterations=60",
            assert_cmd::cargo::cargo_bin("dcr").display(),
            testdata("field").display(),
            fixture.path("coadds").display()
        );
        let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
        let Output { status, stdout, .. } = output.expect("script (of util-linux)");
        let shown = String::from_utf8_lossy(&stdout).into_owned();
        assert!(status.success(), "{shown}");
        shown
    }

    #[test]
    #[ignore = "needs the program script, of util-linux"]
    fn progress_bars_on_a_terminal_only() {
        let shown = on_a_terminal("");
        assert!(shown.contains("solving [") && shown.contains("/60"), "{shown}");
        assert!(shown.contains(" s left") && shown.contains("of 10 visits"), "{shown}");
        for options in ["--no-progress", "-q", "--log-format json"] {
            let shown = on_a_terminal(options);
            assert!(!shown.contains("solving ["), "{options}: {shown}");
        }
    }
}
