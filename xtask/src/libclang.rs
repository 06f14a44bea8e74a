//! libclang, with which bindgen reads MPI's C header.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

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
    ///
    /// bindgen searches no other place than `LIBCLANG_PATH` if that is set, so a wrong one is an error.
    pub fn find(workspace: &Workspace) -> Result<Option<Self>> {
        match clang_sys::load_manually() {
            Ok(library) => {
                let dir = library.path().parent().map(Path::to_owned);
                return Ok(dir.map(|dir| Self { dir, told: false }));
            }
            Err(cause) => check_named(env::var_os("LIBCLANG_PATH").as_deref(), &cause)?,
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
        });
        Ok(dir.map(|dir| Self { dir, told: true }))
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

/// Checks that the environment names no place when no libclang was found, for this `cause`.
fn check_named(named: Option<&OsStr>, cause: &str) -> Result<()> {
    match named {
        None => Ok(()),
        Some(path) => bail!(
            "LIBCLANG_PATH={} has no libclang that can be loaded; unset it, or set it to the directory with libclang.so \
             ({cause})",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_variable_is_named_as_the_cause() {
        assert!(check_named(None, "none").is_ok());
        let error = check_named(Some("/no/such/place".as_ref()), "none").unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("LIBCLANG_PATH=/no/such/place has no libclang"),
            "{error}"
        );
        assert!(error.contains("unset it"), "{error}");
    }
}
