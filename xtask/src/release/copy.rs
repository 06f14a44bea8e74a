//! A copy of the workspace, in which cargo and its tools may change files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::output_of;
use crate::release::published::Package;
use crate::workspace::Workspace;

/// A copy below the target directory.
pub struct Copy {
    /// The directory of the workspace's `Cargo.toml`.
    pub root: PathBuf,
}

impl Copy {
    /// Copies the files that git knows, as they are in the work tree, and leaves `members` as the only members.
    pub fn new(workspace: &Workspace, name: &str, members: &[Package]) -> Result<Self> {
        let root = workspace.target.join("release-check").join(name);
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let mut list = Command::new("git");
        list.current_dir(&workspace.root).args(["ls-files", "-z"]);
        let files = output_of(&mut list).context("`git ls-files` fails")?;
        for file in files.split_terminator('\0') {
            let (from, to) = (workspace.root.join(file), root.join(file));
            fs::create_dir_all(to.parent().unwrap_or(&root))?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        let dirs: Vec<&Path> = members
            .iter()
            .map(|member| member.dir.strip_prefix(&workspace.root))
            .collect::<Result<_, _>>()?;
        let manifest = root.join("Cargo.toml");
        let text = with_members(&fs::read_to_string(&manifest)?, &dirs);
        fs::write(&manifest, text.context("Cargo.toml has a list of members")?)?;
        Ok(Self { root })
    }
}

/// The manifest of a workspace, with these members instead of its own.
fn with_members(manifest: &str, members: &[&Path]) -> Option<String> {
    let (before, rest) = manifest.split_once("\nmembers = [")?;
    let (_, after) = rest.split_once(']')?;
    let after = after
        .lines()
        .filter(|line| !line.starts_with("default-members = "));
    let after: Vec<&str> = after.collect();
    Some(format!(
        "{before}\nmembers = {members:?}{}\n",
        after.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_replaced() {
        let manifest = "[workspace]\nresolver = \"3\"\nmembers = [\n    \"a\",\n    \"b\",\n]\n\
            default-members = [\"b\"]\n\n[workspace.package]\nkeywords = [\"x\"]\n";
        let expected = "[workspace]\nresolver = \"3\"\nmembers = [\"c/d\"]\n\n[workspace.package]\nkeywords = [\"x\"]\n";
        let members = with_members(manifest, &[Path::new("c/d")]);
        assert_eq!(members.as_deref(), Some(expected));
        assert_eq!(with_members("[workspace]\n", &[]), None);
    }
}
