//! Damaged files of ../shared, which fuzzing found.

use crate::support::{open, shared};

/// The files found by fuzzing that older versions crashed on, hung on, or read wrongly.
#[test]
#[ignore = "needs the damaged files of ../shared"]
fn damaged_files_of_the_shared_folder_are_refused() {
    let mut count = 0;
    for entry in std::fs::read_dir(shared("cases/damaged")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // One unmasked bright pixel is no damage to the file.
        if !name.ends_with(".fits") || name.starts_with("glitch") {
            continue;
        }
        count += 1;
        let started = std::time::Instant::now();
        let outcome = open(&path).and_then(|file| file.read(file.bbox()));
        let error = outcome.map(|_| ()).expect_err(&name).to_string();
        assert!(started.elapsed().as_secs() < 2, "{name}: {error}");
        assert!(error.contains(&name) && error.contains("HDU"), "{error}");
    }
    assert!(count >= 15, "{count}");
}
