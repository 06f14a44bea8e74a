//! Where things are: the workspace, and the directories of builds.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use which::which;

use crate::process::{output_of, run, say};

/// The workspace of this task runner.
pub struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target directory; everything that the task runner makes is below it.
    pub target: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let root = root.context("xtask is not inside a workspace")?.to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir)?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The directory of the PyPI wheels on a machine where no package may be installed. Scripts in them contain their own
    /// path without quotes, so that it must not have blanks.
    pub fn wheels(&self) -> PathBuf {
        without_blanks(&self.target).join("wheels")
    }

    /// Cargo, to be run at the root of the workspace.
    pub fn cargo(&self) -> Command {
        // The cargo that runs this program sets `CARGO`; the one on PATH can be another.
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }

    /// Installs a component of the Rust toolchain if it is not there.
    pub fn add_component(&self, name: &str, subcommand: &str) -> Result<()> {
        if output_of(self.cargo().args([subcommand, "--version"])).is_some() {
            return Ok(());
        }
        let rustup = which("rustup").with_context(|| {
            format!("the Rust toolchain has no {name}, and there is no rustup to install it with")
        })?;
        say(format!(
            "installing {name}, a component of the Rust toolchain"
        ));
        run(Command::new(rustup).args(["component", "add", name]))
    }
}

/// This directory, or one of this user that replaces it if its path has blanks.
fn without_blanks(dir: &Path) -> PathBuf {
    let has_blanks = |path: &Path| path.to_string_lossy().contains(char::is_whitespace);
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    match cache.filter(|cache| cache.is_absolute() && !has_blanks(cache)) {
        Some(cache) if has_blanks(dir) => {
            let name = dir
                .to_string_lossy()
                .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            cache.join("mpisync").join(name.trim_matches('-'))
        }
        _ => dir.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_for_one_with_blanks() {
        let plain = Path::new("/a/target");
        assert_eq!(without_blanks(plain), plain);
        let [one, other] = ["/a b/target", "/a c/target"].map(|dir| without_blanks(Path::new(dir)));
        assert!(one.ends_with("mpisync/a-b-target"), "{}", one.display());
        assert_ne!(one, other);
        assert!(!one.to_string_lossy().contains(' '));
    }
}
