//! The code on the README's first page: every rank of a job signs a file that one of them has created.

use mpisync::prelude::*;
use std::{env, fs, fs::File, io::Write, path::*, process};

#[mpisync::single_write] // one rank runs it; all ranks return its value, or its error
fn create(ctrl: &mut WindowController) -> anyhow::Result<PathBuf> {
    let path = env::current_dir()?.join(format!("ranks-{}.txt", process::id()));
    File::create(&path)?;
    Ok(path)
}

#[mpisync::collective] // all ranks run it; an error or a panic on one is an error on all
fn sign(ctrl: &mut WindowController, path: &Path) -> anyhow::Result<()> {
    let _alone = ctrl.write(); // one rank at a time; `ctrl.read()` lets many in
    let mut file = File::options().append(true).open(path)?;
    Ok(writeln!(file, "one more")?)
}

#[mpisync::single_write]
fn count(ctrl: &mut WindowController, path: &Path) -> anyhow::Result<()> {
    let signed = fs::read_to_string(path)?.lines().count();
    println!("{signed} of {} ranks have signed", ctrl.size());
    Ok(fs::remove_file(path)?)
}

fn main() -> anyhow::Result<()> {
    let universe = mpisync::initialize().expect("MPI starts once");
    let mut ctrl = mpisync::sync(&universe.world())?;
    let path = create(&mut ctrl)?;
    sign(&mut ctrl, &path)?;
    count(&mut ctrl, &path)
}
