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
    /// Whether bindgen has to be told where it is.
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
        let system = system_dirs()
            .into_iter()
            .find(|dir| has_libclang(dir))
            .map(|dir| Self { dir, told: false });
        system.or_else(|| {
            let extra = other_dirs(workspace)
                .into_iter()
                .find(|dir| has_libclang(dir));
            extra.map(|dir| Self { dir, told: true })
        })
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
    let mut dirs: Vec<PathBuf> = [
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/usr/local/lib64",
        "/Library/Developer/CommandLineTools/usr/lib",
        "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib",
    ]
    .iter()
    .map(PathBuf::from)
    .collect();
    for parent in ["/usr/lib", "/usr/lib64", "/usr/local/lib"] {
        for dir in entries(Path::new(parent)).filter(|dir| dir.is_dir()) {
            // `/usr/lib/x86_64-linux-gnu` itself, and `/usr/lib/llvm-14/lib`.
            dirs.push(dir.join("lib"));
            dirs.push(dir.join("lib64"));
            dirs.push(dir);
        }
    }
    dirs
}

/// The directories that bindgen has to be told of.
fn other_dirs(workspace: &Workspace) -> Vec<PathBuf> {
    let mut dirs = vec![
        PathBuf::from("/opt/homebrew/opt/llvm/lib"),
        PathBuf::from("/usr/local/opt/llvm/lib"),
    ];
    // A wheel's is in lib/python3.N/site-packages/clang/native.
    dirs.extend(
        entries(&workspace.wheels().join("tools/lib"))
            .map(|dir| dir.join("site-packages/clang/native")),
    );
    dirs
}

fn has_libclang(dir: &Path) -> bool {
    entries(dir).any(|file| {
        file.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_libclang)
    })
}

/// Whether a file of this name is libclang, and not libclang-cpp or a static library.
fn is_libclang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let version = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_digit() || c == '.' || c == '-')
    };
    let Some((before, after)) = rest.split_once(".so").or_else(|| rest.split_once(".dylib")) else {
        return false;
    };
    version(before) && version(after)
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        for name in [
            "libclang.so",
            "libclang-14.so.1",
            "libclang.so.13",
            "libclang-14.0.6.so.1",
            "libclang.dylib",
        ] {
            assert!(is_libclang(name), "{name}");
        }
        for name in [
            "libclang-cpp.so.14",
            "libclang.a",
            "libclangAST.so",
            "libLLVM.so",
            "libclang_rt.so",
        ] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
