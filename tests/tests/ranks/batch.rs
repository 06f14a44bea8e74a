//! Batches: each task once, by any workers.

pub mod directories;
pub mod ends;
pub mod layouts;
pub mod limits;
pub mod restart;
pub mod several;
pub mod stops;
pub mod tasks;
pub mod trouble;

use mpi::collective::SystemOperation;
use mpi::traits::*;
use mpisync::batch::{Again, BatchError, State};
use mpisync::prelude::*;
use mpisync_tests::job::Job;
use std::sync::atomic::Ordering::SeqCst;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    runs_each_task_once,
    workers_run_together,
    ballots_are_counted,
    all_wait_and_go_on,
);

/// The sizes of workers that divide the number of ranks.
fn sizes(job: &Job) -> impl Iterator<Item = i32> {
    let size = job.size;
    (1..=size).filter(move |each| size % each == 0)
}

/// Runs the remaining tasks, all of which succeed. Returns the indices of this rank's tasks.
fn run_all(batch: &mut Batch) -> Vec<usize> {
    let mut mine = Vec::new();
    while let Some(task) = batch.next_task().unwrap() {
        mine.push(task.index());
        task.done().unwrap();
    }
    mine
}

/// The states of all tasks of a batch.
fn states(batch: &Batch) -> Vec<State> {
    let tasks = 0..batch.tasks();
    tasks.map(|task| batch.state(task).unwrap()).collect()
}

/// The sum over all ranks.
fn sum(job: &Job, mine: usize) -> usize {
    let mut all: u64 = 0;
    let sum = SystemOperation::sum();
    job.world.all_reduce_into(&(mine as u64), &mut all, sum);
    all as usize
}

/// The number of tasks that have a word of their own.
const COUNTED: usize = 2_000;

fn runs_each_task_once(job: &Job) {
    for each in sizes(job) {
        for tasks in [0, 1, 7, 100, 1_000] {
            let mut batch = Batch::builder(&job.world)
                .worker_size(each)
                .tasks(tasks)
                .build()
                .unwrap();
            let mut last = None;
            while let Some(task) = batch.next_task().unwrap() {
                let index = task.index();
                assert!(last < Some(index), "in the order of their numbers");
                last = Some(index);
                assert_eq!(task.was(), State::Open);
                assert_eq!(task.batch().state(index).unwrap(), State::Running);
                if index < COUNTED {
                    job.scratch.word(index).fetch_add(1, SeqCst);
                }
                task.done().unwrap();
            }
            let summary = batch.wait_all().unwrap();
            assert_eq!(
                (summary.done, summary.total()),
                (tasks as u64, tasks as u64)
            );
            job.world.barrier();
            for index in 0..tasks.min(COUNTED) {
                assert_eq!(
                    job.scratch.word(index).load(SeqCst),
                    each as u64,
                    "task {index}"
                );
            }
            job.clear_scratch();
        }
    }
}

fn workers_run_together(job: &Job) {
    for each in sizes(job) {
        let mut batch = Batch::builder(&job.world)
            .worker_size(each)
            .tasks(50)
            .build()
            .unwrap();
        assert_eq!(batch.n_workers(), job.size / each);
        assert_eq!(batch.worker().number(), job.rank / each);
        assert_eq!(batch.worker().rank(), job.rank % each);
        assert_eq!(batch.worker().comm().size(), each);
        assert_eq!(
            batch.worker().try_comm().map(|comm| comm.size()),
            Some(each)
        );
        assert_eq!(batch.worker().comm().rank(), job.rank % each);
        while let Some(task) = batch.next_task().unwrap() {
            // All ranks of the worker have the same task.
            let mut index = task.index() as u64;
            task.worker()
                .comm()
                .process_at_rank(0)
                .broadcast_into(&mut index);
            assert_eq!(index, task.index() as u64);
            task.done().unwrap();
        }
        batch.close().unwrap();
    }
}

fn ballots_are_counted(job: &Job) {
    let mut batch = Batch::builder(&job.world)
        .worker_size(job.size)
        .tasks(4)
        .build()
        .unwrap();
    let last = job.size - 1;
    let mut reopened = 0;
    while let Some(task) = batch.next_task().unwrap() {
        let is_last = job.rank == last;
        match task.index() {
            1 if is_last => task.failed("no such input").unwrap(),
            2 if is_last && reopened < 3 => {
                reopened += 1;
                task.reopen().unwrap();
            }
            2 if reopened < 3 => {
                reopened += 1;
                task.done().unwrap();
            }
            _ => task.done().unwrap(),
        }
    }
    assert_eq!(reopened, 3);
    let states: Vec<State> = (0..4).map(|task| batch.state(task).unwrap()).collect();
    assert_eq!(
        states,
        [State::Done, State::Failed, State::Done, State::Done]
    );
    assert!(matches!(
        batch.state(4),
        Err(BatchError::NoSuchTask { task: 4, tasks: 4 })
    ));
    job.world.barrier();
    let again = Again {
        failed: true,
        ..Again::default()
    };
    let task = batch.next_task_with(again).unwrap().unwrap();
    assert_eq!((task.index(), task.was()), (1, State::Failed));
    task.done().unwrap();
    assert!(batch.next_task_with(again).unwrap().is_none());
}

/// All ranks of a worker wait until no task runs, and then take the open ones.
fn all_wait_and_go_on(job: &Job) {
    let mut batch = Batch::builder(&job.world)
        .worker_size(job.size)
        .tasks(20)
        .build()
        .unwrap();
    for index in 0..20 {
        let _ = batch.wait_all().unwrap();
        let task = batch.next_task().unwrap().unwrap();
        assert_eq!(task.index(), index);
        task.done().unwrap();
    }
}
