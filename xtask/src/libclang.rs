//! libclang, with which bindgen reads MPI's C header.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::output_of;
use crate::workspace::Workspace;

/// A libclang that was found.
#[derive(Clone, Debug)]
pub struct Libclang {
    /// The directory it is in.
    pub dir: PathBuf,
    /// Whether bindgen does not find it by itself.
    told: bool,
}

impl Libclang {
    /// The libclang of this machine: the one that `LIBCLANG_PATH` names, an installed one, or a wheel's.
    pub fn find(workspace: &Workspace) -> Option<Self> {
        if let Some(path) = env::var_os("LIBCLANG_PATH").map(PathBuf::from) {
            let dir = if path.is_file() {
                path.parent()?.to_owned()
            } else {
                path
            };
            return has_libclang(&dir).then_some(Self { dir, told: false });
        }
        let dirs = |dirs: Vec<PathBuf>, told| dirs.into_iter().map(move |dir| Self { dir, told });
        let mut all = dirs(system_dirs(), false).chain(dirs(other_dirs(workspace), true));
        all.find(|libclang| has_libclang(&libclang.dir))
    }

    /// What bindgen needs in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = Vec::new();
        if self.told {
            variables.push(("LIBCLANG_PATH", self.dir.display().to_string()));
        }
        // A libclang without the rest of clang lacks the compiler's own headers (stddef.h). The C compiler's serve as
        // well; they are searched last, so that they are used only where clang has none.
        if env::var_os("BINDGEN_EXTRA_CLANG_ARGS").is_none()
            && let Some(dir) = output_of(Command::new("cc").arg("-print-file-name=include"))
            && Path::new(dir.trim()).is_absolute()
        {
            variables.push((
                "BINDGEN_EXTRA_CLANG_ARGS",
                format!("-idirafter {}", dir.trim()),
            ));
        }
        variables
    }
}

/// The directories in which bindgen finds libclang by itself.
fn system_dirs() -> Vec<PathBuf> {
    let fixed = [
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/usr/local/lib64",
        "/Library/Developer/CommandLineTools/usr/lib",
        "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib",
    ];
    let parents = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
    let below = parents.iter().flat_map(|parent| entries(Path::new(parent)));
    // `/usr/lib/x86_64-linux-gnu` itself, and `/usr/lib/llvm-14/lib`.
    let below = below.flat_map(|dir| [dir.join("lib"), dir.join("lib64"), dir]);
    fixed.iter().map(PathBuf::from).chain(below).collect()
}

/// The directories that bindgen has to be given.
fn other_dirs(workspace: &Workspace) -> Vec<PathBuf> {
    let homebrew = ["/opt/homebrew/opt/llvm/lib", "/usr/local/opt/llvm/lib"];
    // A wheel's is in lib/python3.N/site-packages/clang/native.
    let wheels = entries(&workspace.wheels().join("tools/lib"));
    let wheels = wheels.map(|dir| dir.join("site-packages/clang/native"));
    homebrew.iter().map(PathBuf::from).chain(wheels).collect()
}

fn has_libclang(dir: &Path) -> bool {
    entries(dir).any(|file| is_libclang(&file.file_name().unwrap_or_default().to_string_lossy()))
}

/// Whether a file of this name is libclang, and not libclang-cpp or a static library.
fn is_libclang(name: &str) -> bool {
    let is_version = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    let rest = name.strip_prefix("libclang").unwrap_or_default();
    let parts = rest.split_once(".so").or_else(|| rest.split_once(".dylib"));
    parts.is_some_and(|(before, after)| before.chars().chain(after.chars()).all(is_version))
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        let some =
            "libclang.so libclang-14.so.1 libclang.so.13 libclang-14.0.6.so.1 libclang.dylib";
        for name in some.split(' ') {
            assert!(is_libclang(name), "{name}");
        }
        let others = "libclang-cpp.so.14 libclang.a libclangAST.so libLLVM.so libclang_rt.so";
        for name in others.split(' ') {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
