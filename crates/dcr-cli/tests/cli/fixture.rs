//! A temporary directory to run `dcr` in, and what of its output is the same everywhere.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// The workspace's folder.
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

    /// Copies a file of the test data into the directory, as far as `bytes` if they are given.
    pub(crate) fn copy(&self, of: &str, name: &str, bytes: Option<usize>) -> PathBuf {
        let content = std::fs::read(testdata(of)).expect("test data");
        self.write(name, &content[..bytes.unwrap_or(content.len())])
    }

    /// Runs `dcr` in the directory: exit code, stdout and stderr as a text to be reviewed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = Command::cargo_bin("dcr")
            .expect("the binary")
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

    /// The text without what differs from machine to machine and from run to run.
    fn filtered(&self, text: &str) -> String {
        let folder = self.folder.path().canonicalize().expect("the temporary directory");
        let data = Path::new(WORKSPACE).join("testdata");
        text.replace(&*folder.to_string_lossy(), "[DIR]")
            .replace(&*self.folder.path().to_string_lossy(), "[DIR]")
            .replace(&*data.to_string_lossy(), "[TESTDATA]")
            .replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
    }
}

/// A path in the test data.
pub(crate) fn testdata(name: &str) -> PathBuf {
    Path::new(WORKSPACE).join("testdata").join(name)
}

/// The path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
