//! Verifies the file.

use std::path::Path;

use anyhow::{Context, ensure};
use mpisync::{
    batch::{
        State,
        directory::{Directory, Options},
    },
    prelude::*,
};

use crate::{map::Parameter, store::Store};

/// Verifies that the file has a result for each task that is done and no other results, and that
/// each equals a direct computation; each rank computes some of them. Collective.
///
/// # Errors
/// Names the first task with a wrong result.
#[mpisync::collective]
pub fn check(ctrl: &mut WindowController, dir: &Path, store: &Store) -> anyhow::Result<String> {
    let tasks = Directory::open(dir, Options::default())?;
    let summary = tasks.summary()?;
    ensure!(
        summary.total() > 0 && summary.is_over(),
        "the sweep is not over: {summary}; start it again without --check"
    );
    let mut done = Vec::new();
    for (task, name) in tasks.names().iter().enumerate() {
        if tasks.state(task)? == State::Done {
            done.push((task, name));
        }
    }
    let file = store.path().display();
    let _readers = ctrl.read();
    let found = store.names()?;
    let found = found.with_context(|| format!("there is no {file}"))?;
    ensure!(
        found.iter().eq(done.iter().map(|&(_, name)| name)),
        "{file} has {} results, and {} tasks are done; they are not the same",
        found.len(),
        done.len()
    );
    for (task, name) in every(&done, ctrl.rank(), ctrl.size()) {
        let right = Parameter::of(*task, tasks.names().len()).outcome();
        ensure!(
            store.read(name)?.is_close_to(&right),
            "the result of task {name} in {file} differs from a direct computation"
        );
    }
    Ok(format!(
        "{summary}\nverified: {} datasets in {file}",
        done.len()
    ))
}

/// The part that this rank checks.
fn every<T>(all: &[T], rank: i32, ranks: i32) -> impl Iterator<Item = &T> {
    all.iter().skip(rank as usize).step_by(ranks as usize)
}
