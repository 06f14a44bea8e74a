//! A batch.

use anyhow::{Context, Result};
use mpisync::Batch;
use mpisync::batch::BatchError;

use crate::cell::{Cell, VICTIM};

/// Each rank is a worker, and the victim has the only task.
pub fn for_each(cell: &Cell) -> Result<()> {
    let mut batch = Batch::builder(&cell.world).tasks(1).build()?;
    if cell.is_victim() {
        let task = batch.next_task()?.context("the task is open")?;
        cell.strike_with(task)?.done()?;
        return Ok(());
    }
    cell.await_victim();
    cell.answer(run_rest(&mut batch))
}

fn run_rest(batch: &mut Batch) -> Result<(), BatchError> {
    batch.for_each(|_, _| Ok::<(), String>(())).map(drop)
}

/// The victim and another rank are a worker, and have the only task. The other one goes on with it if it is open again.
pub fn done_in_its_worker(cell: &Cell) -> Result<()> {
    let mut batch = in_pairs(cell)?;
    if !is_in_pair(&batch) {
        cell.stand_by(())
    }
    let task = batch.next_task()?.context("the task is open")?;
    if cell.is_victim() {
        cell.strike_with(task)?.done()?;
        run_rest(&mut batch)?;
        return Ok(());
    }
    let outcome = task.done();
    if outcome.is_ok() {
        // One that panics has dropped its task, and has yet to drop its batch.
        cell.await_fault();
    }
    cell.answer(outcome.and_then(|()| run_rest(&mut batch)))
}

/// The same, for the ranks of another worker.
pub fn for_each_beside_its_worker(cell: &Cell) -> Result<()> {
    let mut batch = in_pairs(cell)?;
    if is_in_pair(&batch) {
        let task = batch.next_task()?.context("the task is open")?;
        if cell.is_victim() {
            cell.strike_with(task)?.done()?;
            return Ok(());
        }
        cell.stand_by(task.done())
    }
    cell.await_victim();
    cell.answer(run_rest(&mut batch))
}

fn in_pairs(cell: &Cell) -> Result<Batch> {
    let batch = Batch::builder(&cell.world).worker_size(2).tasks(1);
    Ok(batch.build()?)
}

fn is_in_pair(batch: &Batch) -> bool {
    batch.worker().members().contains(&VICTIM)
}
