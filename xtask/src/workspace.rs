//! Where things are: the workspace, and the directories that builds go to.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The workspace this task runner belongs to.
pub struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target directory; everything that the task runner makes is below it.
    pub target: PathBuf,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask is not inside a workspace")?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir)?,
            None => root.join("target"),
        };
        Ok(Self {
            root: root.to_owned(),
            target,
        })
    }

    /// Where the PyPI wheels go on a machine where no package may be installed. Scripts in them write their own path without
    /// quotes, so that it must not have blanks.
    pub fn wheels(&self) -> PathBuf {
        without_blanks(&self.target).join("wheels")
    }

    /// Cargo, to be run at the root of the workspace.
    pub fn cargo(&self) -> Command {
        // Cargo says which cargo it is; the one on PATH can be another.
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        command
    }
}

/// This directory, or if there are blanks in its path one that stands for it, for programs that cannot do with blanks.
pub fn without_blanks(dir: &Path) -> PathBuf {
    let has_blanks = |path: &Path| path.to_string_lossy().contains(char::is_whitespace);
    if !has_blanks(dir) {
        return dir.to_owned();
    }
    // This user's own, because programs are run from there.
    let home = env::var_os("HOME").map(PathBuf::from);
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(home?.join(".cache")));
    let cache = cache.filter(|cache| cache.is_absolute() && !has_blanks(cache));
    let Some(cache) = cache else {
        return dir.to_owned();
    };
    let name: String = dir
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    cache.join("mpisync").join(name.trim_matches('-'))
}

/// The first file of this name in the directories of `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| is_program(file))
}

/// Whether this is a file that may be executed.
pub fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
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
