//! HDF5 for the examples: an installed one, or else one that is built from source and linked statically.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::output_of;
use crate::workspace::{Workspace, is_program, on_path};

/// Where HDF5 comes from.
#[derive(Clone, Debug)]
pub enum Hdf5 {
    /// An installed one, below this prefix.
    Installed(PathBuf),
    /// Built by the examples' feature `hdf5-static`.
    Static(Tools),
}

/// What it takes to build HDF5, apart from a C compiler.
#[derive(Clone, Debug)]
pub struct Tools {
    cmake: PathBuf,
    /// Ninja, where there is no make.
    ninja: Option<PathBuf>,
}

impl Hdf5 {
    /// An HDF5 that is installed with its headers.
    pub fn installed() -> Option<Self> {
        prefixes()
            .into_iter()
            .find(|prefix| is_serial_hdf5(prefix))
            .map(Self::Installed)
    }

    /// A static HDF5 that wheels were fetched for.
    pub fn from_wheels(workspace: &Workspace) -> Option<Self> {
        let bin = workspace.wheels().join("tools/bin");
        Tools::find(std::slice::from_ref(&bin))
            .filter(|tools| tools.cmake.starts_with(&bin))
            .map(Self::Static)
    }

    /// A static HDF5 with what there is on PATH.
    pub fn from_path() -> Option<Self> {
        Tools::find(&[]).map(Self::Static)
    }

    /// The feature of the examples that this takes.
    pub const fn feature(&self) -> Option<&'static str> {
        match self {
            Self::Installed(_) => None,
            Self::Static(_) => Some("hdf5-static"),
        }
    }

    /// What the build of the HDF5 crates needs in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Installed(prefix) => vec![("HDF5_DIR", prefix.display().to_string())],
            Self::Static(tools) => {
                let mut variables = vec![("CMAKE", tools.cmake.display().to_string())];
                if tools.ninja.is_some() {
                    variables.push(("CMAKE_GENERATOR", String::from("Ninja")));
                }
                variables
            }
        }
    }

    /// The directory that has to be on PATH for the build.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Installed(_) => None,
            Self::Static(tools) => tools.ninja.as_deref()?.parent(),
        }
    }
}

impl std::fmt::Display for Hdf5 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Installed(prefix) => write!(f, "installed below {}", prefix.display()),
            Self::Static(tools) => write!(f, "built from source with {}", tools.cmake.display()),
        }
    }
}

impl Tools {
    /// The tools in these directories or, failing that, on PATH.
    fn find(dirs: &[PathBuf]) -> Option<Self> {
        let find = |name: &str| {
            let mut files = dirs.iter().map(|dir| dir.join(name));
            files
                .find(|file| is_program(file))
                .or_else(|| on_path(name))
        };
        let works = |cmake: &PathBuf| output_of(Command::new(cmake).arg("--version")).is_some();
        let cmake = find("cmake").filter(works)?;
        let ninja = if on_path("make").is_some() {
            None
        } else {
            Some(find("ninja")?)
        };
        Some(Self { cmake, ninja })
    }
}

/// The prefixes that may hold an HDF5, the preferred ones first.
fn prefixes() -> Vec<PathBuf> {
    let named = env::var_os("HDF5_DIR").map(PathBuf::from);
    // Debian keeps the serial library beside the parallel ones, in /usr/lib/ARCHITECTURE/hdf5/serial.
    let multiarch = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let multiarch = multiarch.map(|entry| entry.path().join("hdf5/serial"));
    let fixed = [
        "/usr",
        "/usr/local",
        "/opt/homebrew/opt/hdf5",
        "/usr/local/opt/hdf5",
    ];
    let asked = output_of(Command::new("pkg-config").args(["--variable=prefix", "hdf5"]));
    let asked = asked.map(|prefix| PathBuf::from(prefix.trim()));
    let all = named
        .into_iter()
        .chain(multiarch)
        .chain(fixed.map(PathBuf::from))
        .chain(asked);
    all.collect()
}

/// Whether a library and its headers are here, and are not built for MPI: a parallel HDF5 is tied to one MPI, which
/// need not be the one that is used.
fn is_serial_hdf5(prefix: &Path) -> bool {
    let libraries = [
        "lib/libhdf5.so",
        "lib64/libhdf5.so",
        "lib/libhdf5.dylib",
        "lib64/libhdf5.dylib",
    ];
    let headers = ["include/H5pubconf.h", "include/H5pubconf-64.h"];
    let mut headers = headers
        .iter()
        .filter_map(|name| fs::read_to_string(prefix.join(name)).ok());
    let is_serial = |text: String| !is_parallel(&text);
    libraries.iter().any(|name| prefix.join(name).exists()) && headers.next().is_some_and(is_serial)
}

fn is_parallel(header: &str) -> bool {
    header.lines().any(|line| {
        line.split_whitespace()
            .eq(["#define", "H5_HAVE_PARALLEL", "1"])
    })
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
