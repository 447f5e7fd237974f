//! The help texts.

use crate::fixture::Fixture;

#[test]
fn help_of_every_command() {
    let fixture = Fixture::new();
    insta::assert_snapshot!("help", fixture.run(&["--help"]));
    insta::assert_snapshot!("help_inspect", fixture.run(&["inspect", "--help"]));
    insta::assert_snapshot!("help_assemble", fixture.run(&["assemble", "--help"]));
    insta::assert_snapshot!("help_template", fixture.run(&["template", "--help"]));
    insta::assert_snapshot!("help_subtract", fixture.run(&["subtract", "--help"]));
    insta::assert_snapshot!("help_config", fixture.run(&["config", "--help"]));
    insta::assert_snapshot!("help_completions", fixture.run(&["completions", "--help"]));
    insta::assert_snapshot!("help_man", fixture.run(&["man", "--help"]));
}

#[test]
fn usage_errors_end_with_2() {
    let fixture = Fixture::new();
    for arguments in
        [&[][..], &["frobnicate"], &["inspect"], &["assemble", "a.fits"], &["--threads", "0", "config"]]
    {
        assert!(fixture.run(arguments).starts_with("exit code 2\n"), "{arguments:?}");
    }
}
