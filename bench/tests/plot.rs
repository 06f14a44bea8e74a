//! The program that draws, on its command line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const LOCKS: &str = r#"[
  { "case": "read_all", "subject": "mpisync", "mpi": "Open MPI 4.1.4", "ranks": 2, "hosts": 1, "cores": 2,
    "value": 1.0, "min": 0.9, "max": 1.2, "unit": "ns" },
  { "case": "read_all", "subject": "mpi_win_lock", "mpi": "Open MPI 4.1.4", "ranks": 2, "hosts": 1, "cores": 2,
    "value": 60.0, "min": 55.0, "max": 90.0, "unit": "ns" }
]"#;

fn plot(bench: &str, into: &Path, file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plot"))
        .arg(bench)
        .arg("--into")
        .args([into, file])
        .args(["--note", "Nothing else ran."])
        .output()
        .expect("it starts")
}

fn error_of(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn pictures_are_written_into_the_directory() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("lock.json");
    fs::write(&file, LOCKS).expect("there is room");
    let into = folder.path().join("made");
    let output = plot("lock", &into, &file);
    assert!(output.status.success(), "{output:?}");
    let path = into.join("lock-2-ranks.svg");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, format!("wrote {}\n", path.display()));
    let svg = fs::read_to_string(path).expect("it is there");
    assert!(svg.contains("MPI_Win_lock, 60 ns (55 ns to 90 ns)"));
    assert!(svg.contains("Nothing else ran.</text>"));
}

#[test]
fn errors_name_what_is_wrong() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = folder.path().join("lock.json");
    let gone = error_of(&plot("lock", folder.path(), &file));
    assert!(
        gone.starts_with("plot: cannot read ") && gone.contains("lock.json"),
        "{gone}"
    );
    fs::write(&file, "[{}]").expect("there is room");
    let other = error_of(&plot("lock", folder.path(), &file));
    assert!(other.starts_with("plot: cannot read "), "{other}");
    fs::write(&file, LOCKS).expect("there is room");
    let no_directory = error_of(&plot("lock", &file, &file));
    assert!(
        no_directory.starts_with("plot: cannot make "),
        "{no_directory}"
    );
    let no_figure = error_of(&plot("region", folder.path(), &file));
    assert!(no_figure.contains("region has no figure"), "{no_figure}");
}
