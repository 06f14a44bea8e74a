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
    /// The libclang of this machine: the one that bindgen finds (it asks the same crate), Homebrew's, or a wheel's.
    pub fn find(workspace: &Workspace) -> Option<Self> {
        if let Ok(library) = clang_sys::load_manually() {
            let dir = library.path().parent()?.to_owned();
            return Some(Self { dir, told: false });
        }
        // `lib/python3.N/site-packages/clang/native` of a virtual environment.
        let wheels = fs::read_dir(workspace.wheels().join("libclang/lib"));
        let wheels = wheels.into_iter().flatten().flatten();
        let wheels = wheels.map(|python| python.path().join("site-packages/clang/native"));
        let mut dirs = [PathBuf::from("/opt/homebrew/opt/llvm/lib")]
            .into_iter()
            .chain(wheels);
        let dir = dirs.find(|dir| {
            ["libclang.so", "libclang.dylib"]
                .iter()
                .any(|name| dir.join(name).exists())
        })?;
        Some(Self { dir, told: true })
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
            let option = format!("-idirafter {}", dir.trim());
            variables.push(("BINDGEN_EXTRA_CLANG_ARGS", option));
        }
        variables
    }
}
