//! The batch: tasks for groups of ranks.

use crate::argument::{self, Out, count, text};
use crate::comm::{Creation, creation};
use crate::handle::{self, Object};
use crate::status::{call, mpisync_status};
use mpi::ffi::MPI_Comm;
use mpisync::batch::{BatchError, Summary};
use mpisync::{Batch, Task};
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::Held;
use std::ffi::{c_char, c_int};

/// Tasks that groups of ranks, the workers, take one after the other.
pub struct mpisync_batch {
    _opaque: [u8; 0],
}

/// The numbers of a batch's tasks in each state.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct mpisync_summary {
    /// Not taken yet.
    pub open: i64,
    /// A worker has them.
    pub running: i64,
    /// Done.
    pub done: i64,
    /// Failed.
    pub failed: i64,
    /// Their state in the state directory is none of these.
    pub invalid: i64,
}

impl From<Summary> for mpisync_summary {
    fn from(summary: Summary) -> Self {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        mpisync_summary {
            open: number(summary.open),
            running: number(summary.running),
            done: number(summary.done),
            failed: number(summary.failed),
            invalid: number(summary.invalid),
        }
    }
}

impl Object for Held<Batch> {
    type Opaque = mpisync_batch;
}

/// Makes a batch of `tasks` tasks on `comm`, for workers of `worker_size` ranks each. Collective.
/// `state_dir` is a directory that keeps the states of the tasks between jobs, or NULL. `name` is for
/// messages, and may be NULL. `root` is the rank on whose node the table of tasks lies. All are the
/// same on all ranks.
///
/// Errors: those of mpisync_controller_new(), and MPISYNC_ERR_TASK if the state directory cannot be
/// used.
///
/// # Safety
/// As for mpisync_controller_new(); `state_dir` is NULL or a text that ends with 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_batch_new(
    comm: MPI_Comm,
    name: *const c_char,
    root: c_int,
    tasks: i64,
    worker_size: c_int,
    state_dir: *const c_char,
    batch: *mut *mut mpisync_batch,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what these need.
        let (creation, state_dir) = unsafe {
            (
                creation::<Held<Batch>>(comm, name, batch)?,
                text(state_dir, "state_dir")?,
            )
        };
        let Creation { comm, name, place } = creation;
        let tasks = count(tasks, "tasks")?;
        let builder = Batch::builder(&*comm)
            .root(root)
            .name(name)
            .worker_size(worker_size)
            .tasks(tasks);
        let builder = match state_dir {
            Some(directory) => builder.state_dir(directory),
            None => builder,
        };
        handle::store(place, Held::new(builder.build()?))
    })
}

/// Takes the next task for this rank's worker. Collective in the worker. `task` receives its number,
/// counted from 0. Each rank of the worker ends it by mpisync_batch_task_done(),
/// mpisync_batch_task_failed() or mpisync_batch_task_reopen().
///
/// After MPISYNC_END a task that still runs may become open again: its worker reopens it, or a rank of
/// that worker dies. So wait by mpisync_batch_wait_all() then, and if the summary has open tasks, take
/// tasks again. A loop until MPISYNC_END alone may leave tasks.
///
/// Errors: MPISYNC_END if no task is open now; MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_HELD if
/// this rank has not ended its task, MPISYNC_ERR_TASK, MPISYNC_ERR_DIVERGED, MPISYNC_ERR_RANK_DIED,
/// MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED.
///
/// # Safety
/// `task` is NULL or points to a variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_batch_next_task(
    batch: *mut mpisync_batch,
    task: *mut i64,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what `Out` needs.
        let number = unsafe { Out::new(task, "task") }?;
        handle::with::<Held<Batch>, _>(batch, |held| {
            if !held.hold_some(|batch| Ok(batch.next_task()?.map(|task| vec![task])))? {
                let message = "no task is open now; tasks that run may become open again, so call mpisync_batch_wait_all".to_owned();
                return Err(Failure::new(Kind::End, message));
            }
            held.with_guard(|tasks| number.set(tasks[0].index() as i64))
        })
    })
}

fn end_task(
    batch: *mut mpisync_batch,
    end: impl FnMut(Task<'_>) -> Result<(), BatchError>,
) -> Result<(), Failure> {
    handle::with::<Held<Batch>, _>(batch, |held| {
        // There is one at a time here.
        Ok(held.release(|tasks, _| tasks.into_iter().try_for_each(end))??)
    })
}

/// Ends the task on this rank: it is done. Collective in the worker: its first rank waits for the
/// others.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_NOT_HELD if this rank has no task, MPISYNC_ERR_TASK if the task
/// is not done because of its state directory or another rank of the worker, MPISYNC_ERR_RANK_DIED,
/// MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_batch_task_done(batch: *mut mpisync_batch) -> mpisync_status {
    call(|| end_task(batch, |task| task.done()))
}

/// Ends the task on this rank: it has failed, for this reason, which may be NULL. Collective in the
/// worker: its first rank waits for the others. Bytes of the reason that are not UTF-8 are replaced.
///
/// Errors: those of mpisync_batch_task_done().
///
/// # Safety
/// `reason` is NULL or a text that ends with 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_batch_task_failed(
    batch: *mut mpisync_batch,
    reason: *const c_char,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises it.
        let reason = unsafe { argument::reason(reason) };
        let reason = reason.as_deref().unwrap_or("no reason was given");
        end_task(batch, |task| task.failed(reason))
    })
}

/// Opens the task again, for any worker. Collective in the worker.
///
/// Errors: those of mpisync_batch_task_done().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_batch_task_reopen(batch: *mut mpisync_batch) -> mpisync_status {
    call(|| end_task(batch, |task| task.reopen()))
}

/// Waits until no task runs, also of other workers, and counts the tasks. Collective in the worker. If
/// some are open, they were opened again: call mpisync_batch_next_task() again.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_HELD if this rank has a task,
/// MPISYNC_ERR_TASK, MPISYNC_ERR_RANK_DIED, MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED.
///
/// # Safety
/// `summary` is NULL or points to a variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_batch_wait_all(
    batch: *mut mpisync_batch,
    summary: *mut mpisync_summary,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what `Out` needs.
        let summary = unsafe { Out::new(summary, "summary") }?;
        handle::with::<Held<Batch>, _>(batch, |held| {
            summary.set(held.owner()?.wait_all()?.into());
            Ok(())
        })
    })
}

/// Frees the memory of the batch on all ranks. Collective. As mpisync_controller_close().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_batch_close(batch: *mut mpisync_batch) -> mpisync_status {
    call(|| Ok(handle::take_free::<Batch>(batch)?.close()?))
}

/// Drops the batch on this rank. Local. A task that this rank has is open again, for other workers, if this
/// is the first rank of its worker. Of another rank, it has failed if the first rank says that it is done.
/// The other ranks of the worker get MPISYNC_ERR_RANK_ENDED in their next calls. As
/// mpisync_controller_free().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_batch_free(batch: *mut mpisync_batch) -> mpisync_status {
    call(|| handle::free::<Held<Batch>>(batch))
}
