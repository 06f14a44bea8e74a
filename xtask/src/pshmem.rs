//! The Python package whose state directories mpisync goes on with, for the test of that.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process::run;
use crate::report::say;
use crate::wheels::Pip;
use crate::workspace::Workspace;

/// The package, and what it needs where it runs in one process, without MPI.
pub const PACKAGE: &str = "pshmem==1.3.5";
const NEEDS: &str = "numpy";

/// A Python that has it, in an environment below the target directory.
pub fn python(workspace: &Workspace) -> Result<PathBuf> {
    let dir = workspace.target.join("pshmem");
    let note = dir.join(format!("has-{PACKAGE}"));
    if !note.exists() {
        let pip = Pip::find().context("there is no Python 3 with pip")?;
        say(format!(
            "fetching {PACKAGE}, {NEEDS} from PyPI into {}",
            dir.display()
        ));
        pip.make_environment(&dir)?;
        let mut command = Pip::install_into(&dir);
        command.args(["--no-deps", PACKAGE, NEEDS]);
        run(&mut command).with_context(|| format!("pip cannot install {PACKAGE}"))?;
        fs::write(note, "")?;
    }
    Ok(dir.join("bin/python3"))
}
