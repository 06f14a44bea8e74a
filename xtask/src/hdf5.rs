//! HDF5 for the examples: an installed one, or else one that is built from source and linked statically.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use which::which;

use crate::process::output_of;
use crate::workspace::Workspace;

/// Where HDF5 comes from.
#[derive(Clone, Debug)]
pub enum Hdf5 {
    /// An installed one, below this prefix.
    Installed(PathBuf),
    /// Built with this cmake by the examples' feature `hdf5-static`.
    Static(PathBuf),
}

impl Hdf5 {
    /// An HDF5 that is installed with its headers, or the tools of wheels that build one, or (if it `may_be_built`) those on
    /// PATH.
    pub fn find(workspace: &Workspace, may_be_built: bool) -> Option<Self> {
        let works = |cmake: &PathBuf| output_of(Command::new(cmake).arg("--version")).is_some();
        let on_path = || {
            let can_build = may_be_built && (has_make() || which("ninja").is_ok());
            which("cmake").ok().filter(|_| can_build)
        };
        let wheel = || Some(workspace.wheels().join("cmake/bin/cmake")).filter(works);
        let mut prefixes = prefixes().into_iter();
        let installed = prefixes.find(|prefix| is_serial_hdf5(prefix));
        let cmake = || wheel().or_else(|| on_path().filter(works));
        installed
            .map(Self::Installed)
            .or_else(|| cmake().map(Self::Static))
    }

    /// The feature of the examples that this takes.
    pub const fn feature(&self) -> Option<&'static str> {
        match self {
            Self::Installed(_) => None,
            Self::Static(_) => Some("mpisync-examples/hdf5-static"),
        }
    }

    /// What the build of the HDF5 crates needs in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Installed(prefix) => vec![("HDF5_DIR", prefix.display().to_string())],
            Self::Static(cmake) => {
                let mut variables = vec![("CMAKE", cmake.display().to_string())];
                if !has_make() {
                    variables.push(("CMAKE_GENERATOR", String::from("Ninja")));
                }
                variables
            }
        }
    }

    /// The directory that has to be on PATH for the build: that of ninja.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Installed(_) => None,
            Self::Static(cmake) => cmake.parent(),
        }
    }
}

impl fmt::Display for Hdf5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed(prefix) => write!(f, "installed below {}", prefix.display()),
            Self::Static(cmake) => write!(f, "built from source with {}", cmake.display()),
        }
    }
}

/// Whether there is make. Ninja takes its place otherwise.
fn has_make() -> bool {
    which("make").is_ok()
}

/// The prefixes that may hold an HDF5, the preferred ones first.
fn prefixes() -> Vec<PathBuf> {
    const FIXED: [&str; 4] = [
        "/usr",
        "/usr/local",
        "/opt/homebrew/opt/hdf5",
        "/usr/local/opt/hdf5",
    ];
    let named = env::var_os("HDF5_DIR").map(PathBuf::from);
    // Debian keeps the serial library beside the parallel ones, in /usr/lib/ARCHITECTURE/hdf5/serial.
    let multiarch = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let multiarch = multiarch.map(|entry| entry.path().join("hdf5/serial"));
    let asked = output_of(Command::new("pkg-config").args(["--variable=prefix", "hdf5"]));
    let asked = asked.map(|prefix| PathBuf::from(prefix.trim()));
    let all = named.into_iter().chain(multiarch);
    all.chain(FIXED.map(PathBuf::from)).chain(asked).collect()
}

/// Whether a library and its headers are here, and are not built for MPI: a parallel HDF5 is tied to one MPI, which
/// need not be the one that is used.
fn is_serial_hdf5(prefix: &Path) -> bool {
    let read = |name| fs::read_to_string(prefix.join("include").join(name)).ok();
    let header = read("H5pubconf.h").or_else(|| read("H5pubconf-64.h"));
    let is_serial = header.is_some_and(|header| !is_parallel(&header));
    let has =
        |name| prefix.join("lib").join(name).exists() || prefix.join("lib64").join(name).exists();
    is_serial && (has("libhdf5.so") || has("libhdf5.dylib"))
}

fn is_parallel(header: &str) -> bool {
    let define = ["#define", "H5_HAVE_PARALLEL", "1"];
    header
        .lines()
        .any(|line| line.split_whitespace().eq(define))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parallel_hdf5_is_recognised() {
        assert!(is_parallel("/* MPI */\n#define H5_HAVE_PARALLEL 1\n"));
        assert!(!is_parallel(
            "/* #undef H5_HAVE_PARALLEL */\n#define H5_HAVE_SZLIB_H 1\n"
        ));
    }
}
