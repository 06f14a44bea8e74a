//! The programs of `mpisync-cli`, built as the tests are. Cargo builds them only with their own package, so they are built here,
//! unless the environment variable `TEST_PROGRAMS` is `built`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of this name, which is built first.
///
/// # Panics
/// If it cannot be built.
pub fn program(name: &str) -> PathBuf {
    let here = env::current_exe().expect("this program has a path");
    let directory = here.parent().and_then(Path::parent).expect("two folders");
    let is_built = env::var_os("TEST_PROGRAMS").is_some_and(|value| value == "built");
    // Without cargo the program has to be there.
    if let Some(cargo) = env::var_os("CARGO").filter(|_| !is_built) {
        let mut build = Command::new(cargo);
        build
            .args(["build", "-p", "mpisync-cli", "--bin", name, "--target-dir"])
            .arg(directory.parent().expect("a target directory"));
        if directory.ends_with("release") {
            build.arg("--release");
        }
        let built = build.output().expect("cargo is there");
        assert!(built.status.success(), "{}", text(&built.stderr));
    }
    directory.join(name)
}

/// What a program has printed.
pub fn text(printed: &[u8]) -> String {
    String::from_utf8_lossy(printed).into_owned()
}
