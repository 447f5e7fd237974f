//! A temporary directory for runs of `dcr`, and output without machine-dependent parts.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Root folder of the workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A temporary directory.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the directory.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file in the temporary directory");
        path
    }

    /// Copies a file of the test data into the directory, truncated to `bytes` if given.
    pub(crate) fn copy(&self, of: &str, name: &str, bytes: Option<usize>) -> PathBuf {
        let content = std::fs::read(testdata(of)).expect("test data");
        self.write(name, &content[..bytes.unwrap_or(content.len())])
    }

    /// Copies the warps of the test field into the folder `name`; `change` can alter the bytes of
    /// each.
    pub(crate) fn field(&self, name: &str, change: impl Fn(u64, Vec<u8>) -> Vec<u8>) {
        std::fs::create_dir(self.path(name)).expect("a folder");
        for visit in 1001..=1010 {
            let file = format!("warp_{visit}.fits");
            let content = std::fs::read(testdata(&format!("field/{file}"))).expect("test data");
            self.write(&format!("{name}/{file}"), change(visit, content));
        }
    }

    /// File names in a folder of the directory, sorted; empty if it does not exist.
    pub(crate) fn files(&self, name: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(name)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs `dcr` in the directory; returns exit code, stdout and stderr as one text.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.run_command(Command::cargo_bin("dcr").expect("the binary"), arguments)
    }

    /// As `run`, as the user nobody, which only the superuser can do.
    #[cfg(unix)]
    pub(crate) fn run_as_nobody(&self, arguments: &[&str]) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        use std::os::unix::process::CommandExt as _;
        const NOBODY: u32 = 65_534;
        // The folder and the build directory need not be accessible to other users.
        std::fs::set_permissions(self.path(""), std::fs::Permissions::from_mode(0o755)).expect("permissions");
        let program = self.path("dcr");
        std::fs::copy(assert_cmd::cargo::cargo_bin("dcr"), &program).expect("a copy of the binary");
        let mut command = std::process::Command::new(&program);
        command.uid(NOBODY).gid(NOBODY);
        self.run_command(Command::from_std(command), arguments)
    }

    fn run_command(&self, mut command: Command, arguments: &[&str]) -> String {
        let output = command
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .env("RUST_BACKTRACE", "0")
            .args(arguments)
            .output()
            .expect("an end of the run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().map_or_else(|| "a signal".into(), |code| code.to_string());
        let mut shown = format!("exit code {code}\n");
        for (name, text) in [("stdout", text(&output.stdout)), ("stderr", text(&output.stderr))] {
            if !text.is_empty() {
                shown.push_str(&format!("--- {name}\n{text}"));
            }
        }
        self.filtered(&shown)
    }

    /// The text without parts that differ between machines or runs.
    fn filtered(&self, text: &str) -> String {
        let folder = self.folder.path().canonicalize().expect("the temporary directory");
        let data = Path::new(WORKSPACE).join("testdata");
        let text = text
            .replace(&*folder.to_string_lossy(), "[DIR]")
            .replace(&*self.folder.path().to_string_lossy(), "[DIR]")
            .replace(&*data.to_string_lossy(), "[TESTDATA]")
            .replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
        without_measurements(&text)
    }
}

/// The text without run identifiers, and the lines of `took` without their numbers.
fn without_measurements(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with("took ") {
            let words = line.split(' ').map(|word| {
                let number = word.trim_end_matches([',', ')', ';', '\n']);
                if number.parse::<f64>().is_ok() { word.replace(number, "[N]") } else { word.to_owned() }
            });
            shown.push_str(&words.collect::<Vec<_>>().join(" "));
        } else if let Some((before, after)) = line.split_once("run ").filter(|_| line.starts_with("coadd ")) {
            let after = after.split_once(',').map_or("", |(_, after)| after);
            shown.push_str(&format!("{before}run [RUN],{after}"));
        } else {
            shown.push_str(line);
        }
    }
    shown
}

/// The file with one text of its header replaced by another of the same length.
pub(crate) fn with_card(mut content: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "cards keep their length");
    let mut changed = 0;
    for at in 0..content.len() - from.len() {
        if &content[at..at + from.len()] == from.as_bytes() {
            content[at..at + from.len()].copy_from_slice(to.as_bytes());
            changed += 1;
        }
    }
    assert!(changed > 0, "{from:?} is in the header");
    content
}

/// The file with every pixel of its first image NaN.
pub(crate) fn without_pixels(mut content: Vec<u8>) -> Vec<u8> {
    let end = |from: usize| {
        let card = (from..content.len()).step_by(80).find(|at| content[*at..].starts_with(b"END     "));
        (card.expect("END") / 2880 + 1) * 2880
    };
    let first = end(end(0));
    let bytes = 4 * 144 * 144;
    for pixel in content[first..first + bytes].chunks_exact_mut(4) {
        pixel.copy_from_slice(&f32::NAN.to_be_bytes());
    }
    content
}

/// A path in the test data.
pub(crate) fn testdata(name: &str) -> PathBuf {
    Path::new(WORKSPACE).join("testdata").join(name)
}

/// The path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
