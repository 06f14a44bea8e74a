//! The packages of the workspace that are published, as cargo describes them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::output_of;
use crate::workspace::Workspace;

/// A package that is published.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The directory of its `Cargo.toml`.
    pub dir: PathBuf,
    /// Its README.
    pub readme: PathBuf,
    /// The oldest Rust that it promises to compile with.
    pub rust_version: Option<String>,
    /// Whether it is a library that others use, with no macro and no program in it.
    pub is_library: bool,
}

/// The packages without `publish = false`.
pub fn published(workspace: &Workspace) -> Result<Vec<Package>> {
    let mut metadata = workspace.cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1", "--quiet"]);
    let metadata = output_of(&mut metadata).context("`cargo metadata` fails")?;
    let metadata: Value = serde_json::from_str(&metadata).context("`cargo metadata`")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let packages = packages.filter(|package| package["publish"].is_null());
    let packages: Vec<Package> = packages.map(Package::new).collect::<Result<_>>()?;
    ensure!(!packages.is_empty(), "no package is published");
    Ok(packages)
}

impl Package {
    /// From a package of `cargo metadata`.
    fn new(package: &Value) -> Result<Self> {
        let text = |field: &str| package[field].as_str();
        let name = text("name").context("a package has a name")?.to_owned();
        let manifest = text("manifest_path").map(Path::new);
        let dir = manifest.and_then(Path::parent).context("a directory")?;
        let readme = text("readme").with_context(|| format!("{name} has no README"))?;
        let targets = package["targets"].as_array().into_iter().flatten();
        let kinds = targets.flat_map(|target| target["kind"].as_array().into_iter().flatten());
        let kinds: Vec<&str> = kinds.filter_map(Value::as_str).collect();
        Ok(Self {
            dir: dir.to_owned(),
            readme: dir.join(readme),
            rust_version: text("rust_version").map(str::to_owned),
            is_library: kinds.contains(&"lib") && !kinds.contains(&"bin"),
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::alone;

    #[test]
    fn the_library_is_published_and_the_task_runner_is_not() {
        let _alone = alone();
        let packages = published(&Workspace::find().unwrap()).unwrap();
        let named = |name: &str| packages.iter().find(|package| package.name == name);
        let library = named("mpisync").expect("it is published");
        assert!(library.is_library && library.dir.ends_with("mpisync"));
        assert!(!named("mpisync-macros").unwrap().is_library);
        assert!(!named("mpisync-cli").unwrap().is_library);
        assert!(named("xtask").is_none());
    }
}
