//! Where things are: the workspace, and the directories of builds.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

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
}

/// This directory, or one that replaces it if its path has blanks.
fn without_blanks(dir: &Path) -> PathBuf {
    let has_blanks = |path: &Path| path.to_string_lossy().contains(char::is_whitespace);
    if !has_blanks(dir) {
        return dir.to_owned();
    }
    // A directory of this user, because programs are run from it.
    let variable = |name| env::var_os(name).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let Some(cache) = cache.filter(|cache| cache.is_absolute() && !has_blanks(cache)) else {
        return dir.to_owned();
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = dir.to_string_lossy().chars().map(plain).collect();
    cache.join("mpisync").join(name.trim_matches('-'))
}

/// The first program of this name in the directories of `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut files = env::split_paths(&path).map(|dir| dir.join(name));
    files.find(|file| is_program(file))
}

/// Whether this is a file that may be executed.
pub fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let is_executable = |data: std::fs::Metadata| data.permissions().mode() & 0o111 != 0;
    file.is_file() && file.metadata().is_ok_and(is_executable)
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
