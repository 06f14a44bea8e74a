//! The program `mpisync-trace`, on folders without traces.

use crate::survey::{TRACE, Told, plain};
use std::fs;
use std::path::Path;

fn run(folder: &Path, arguments: &[&str]) -> Told {
    let mut program = plain(TRACE);
    program.arg(folder).args(arguments);
    Told::by(program)
}

#[test]
fn a_folder_without_traces_is_an_error() {
    let folder = tempfile::tempdir().expect("there is room");
    fs::write(folder.path().join("other"), "").expect("there is room");
    for arguments in [&[][..], &["--json"], &["--no-files", "--top", "3"]] {
        let told = run(folder.path(), arguments).expect(1);
        let path = folder.path().display();
        let error = format!(
            "error: no traces in {path}: the name of none of its files ends with .mpisync-trace\n"
        );
        assert_eq!((&*told.errors, &*told.out), (&*error, ""));
    }
    let gone = folder.path().join("gone");
    let told = run(&gone, &[]).expect(1);
    let start = format!("error: cannot read the folder {}: ", gone.display());
    assert!(told.errors.starts_with(&start), "{}", told.errors);
    let files = fs::read_dir(folder.path()).expect("it is there");
    assert_eq!(files.count(), 1);
}

#[test]
fn wrong_usage_names_the_argument() {
    let told = Told::by(plain(TRACE)).expect(2);
    assert!(told.errors.contains("<DIR>"), "{}", told.errors);
    let told = run(Path::new("."), &["--top", "0"]).expect(2);
    assert!(told.errors.contains("--top <N>"), "{}", told.errors);
}
