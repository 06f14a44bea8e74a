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
