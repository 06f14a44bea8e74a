//! The programs of `mpisync-cli`, built as the tests are. Cargo builds them only with their own package.

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
    // Without cargo the program has to be there.
    if let Some(cargo) = env::var_os("CARGO") {
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
