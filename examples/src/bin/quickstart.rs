//! The code on the README's first page: the ranks of a job count themselves in a file.

use mpisync::prelude::*;
use std::{env, fs, path::*, process};

#[mpisync::single_write] // one rank runs it, all return its value or its error
fn create(ctrl: &mut WindowController) -> anyhow::Result<PathBuf> {
    let path = env::temp_dir().join(format!("ranks-{}.txt", process::id()));
    fs::write(&path, "0")?;
    Ok(path)
}

#[mpisync::collective] // all ranks run it, an error on one is an error on all
fn count_me(ctrl: &mut WindowController, path: &Path) -> anyhow::Result<()> {
    let _alone = ctrl.write(); // one rank at a time; `ctrl.read()` lets many in
    let ranks: i32 = fs::read_to_string(path)?.parse()?;
    fs::write(path, (ranks + 1).to_string())?;
    Ok(())
}

#[mpisync::single_write]
fn finish(ctrl: &mut WindowController, path: &Path) -> anyhow::Result<i32> {
    let ranks = fs::read_to_string(path)?.parse()?;
    fs::remove_file(path)?;
    Ok(ranks)
}

fn main() -> anyhow::Result<()> {
    let universe = mpisync::mpi::initialize().expect("MPI starts once");
    let mut ctrl = mpisync::sync(&universe.world())?;
    let path = create(&mut ctrl)?;
    count_me(&mut ctrl, &path)?;
    let ranks = finish(&mut ctrl, &path)?;
    assert_eq!(ranks, ctrl.size());
    println!("rank {}: there are {ranks} of us", ctrl.rank());
    Ok(())
}
