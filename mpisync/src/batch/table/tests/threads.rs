//! Ranks that take tasks at the same time.

use crate::batch::directory::Again;
use crate::batch::table::layout::{TableMemory, TaskStatus};
use crate::batch::table::tests::heap::HeapTable;
use crate::batch::table::tests::table;
use crate::batch::table::{TableLimits, TaskTable};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const NONE: Again = Again {
    running: false,
    failed: false,
    done: false,
};

fn view(table: &TaskTable<HeapTable>) -> TaskTable<HeapTable> {
    TaskTable {
        memory: table.memory.clone(),
        limits: table.limits,
    }
}

/// Lets `ranks` threads take tasks until none is left; `end` returns the outcome of a task by the
/// number of times it was taken.
fn share_out(
    table: &TaskTable<HeapTable>,
    ranks: usize,
    end: impl Fn(usize, u32) -> TaskStatus + Sync,
) {
    let tasks = table.memory.tasks();
    let taken: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
    let held: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        for rank in 0..ranks {
            let (table, taken, held, end) = (view(table), &taken, &held, &end);
            scope.spawn(move || {
                while let Some(found) = table.take(rank, NONE) {
                    let task = found.task;
                    assert_eq!(held[task].swap(1, Ordering::SeqCst), 0, "one at a time");
                    let times = taken[task].fetch_add(1, Ordering::SeqCst);
                    held[task].store(0, Ordering::SeqCst);
                    assert!(table.finish(rank, found, end(task, times)));
                }
            });
        }
    });
}

#[test]
fn each_task_is_taken_once() {
    for tasks in [0, 1, 63, 64, 65, 4_096, 4_097, 70_000] {
        let table = table(tasks, 4);
        share_out(&table, 4, |_, times| {
            assert_eq!(times, 0);
            TaskStatus::Done
        });
        assert_eq!(table.counts()[TaskStatus::Done as usize], tasks as u64);
    }
}

#[test]
fn tasks_that_are_opened_again_are_found_again() {
    let table = table(5_000, 4);
    share_out(&table, 4, |task, times| {
        if times < task as u32 % 4 {
            TaskStatus::Open
        } else {
            TaskStatus::Done
        }
    });
    assert_eq!(table.counts()[TaskStatus::Done as usize], 5_000);
    assert_eq!(table.take(0, NONE), None);
}

#[test]
fn tasks_are_taken_in_order() {
    let table = table(300, 1);
    for task in 0..300 {
        let taken = table.take(0, NONE).expect("one is open");
        assert_eq!(taken.task, task);
        table.finish(0, taken, TaskStatus::Done);
    }
    assert!(table.set(250, TaskStatus::Open));
    assert!(table.set(70, TaskStatus::Open));
    let taken = table.take(0, NONE).expect("one is open");
    assert_eq!(taken.task, 70);
    table.finish(0, taken, TaskStatus::Failed);
    assert_eq!(table.take(0, NONE).map(|taken| taken.task), Some(250));
}

#[test]
fn the_index_leads_past_what_is_closed() {
    // By the index only, because a search without it would find a task, too.
    let table = table(1_000_000, 1);
    for task in 0..1_000_000 {
        assert!(table.set(task, TaskStatus::Done));
    }
    assert_eq!(table.index().first(), None);
    for task in [999_999, 123_456, 0] {
        assert!(table.set(task, TaskStatus::Open));
        assert_eq!(table.index().first(), Some(task));
    }
}

#[test]
fn what_the_index_does_not_know_is_found() {
    // As left by a rank that was killed between the byte and the index.
    let table = table(200, 1);
    for task in 0..200 {
        table.set(task, TaskStatus::Done);
    }
    let byte = &table.memory.bytes()[150];
    byte.store(TaskStatus::Open as u8, Ordering::SeqCst);
    assert_eq!(table.take(0, NONE).map(|taken| taken.task), Some(150));
}

#[test]
fn each_is_offered_again_once() {
    let table = table(100, 2);
    for task in 0..100 {
        let status = [
            TaskStatus::Done,
            TaskStatus::Failed,
            TaskStatus::Elsewhere,
            TaskStatus::Invalid,
        ][task % 4];
        table.set(task, status);
    }
    let count = |again| {
        std::iter::from_fn(|| table.take(0, again))
            .inspect(|taken| assert!(table.finish(0, *taken, TaskStatus::Failed)))
            .count()
    };
    assert_eq!(count(NONE), 0);
    let failed = Again {
        failed: true,
        ..NONE
    };
    assert_eq!(count(failed), 25, "those that fail again are not offered");
    let all = Again {
        running: true,
        failed: true,
        done: true,
    };
    assert_eq!(count(all), 50);
    assert_eq!(count(all), 0);
}

#[test]
fn what_a_dead_rank_has_taken_is_opened() {
    let mut table = table(10, 3);
    let taken = table.take(1, NONE).expect("one is open");
    assert_eq!(table.reclaim(), 0, "it lives");
    table.memory.dead = vec![1];
    assert_eq!(table.reclaim(), 1);
    assert_eq!(table.status(taken.task), TaskStatus::Open);
    let again = table.take(0, NONE).expect("it is open");
    assert_eq!((again.task, again.was), (taken.task, taken.was));
    assert_eq!(table.reclaim(), 0, "it is another's now");
    assert!(
        !table.finish(1, taken, TaskStatus::Done),
        "it has the task no more"
    );
    assert!(table.finish(0, again, TaskStatus::Done));
}

#[test]
fn a_dead_rank_that_was_too_late_has_nothing() {
    let mut table = table(10, 3);
    // Rank 1 was about to take it when rank 0 did.
    let taken = table.take(0, NONE).expect("one is open");
    let name = taken.task as u64 + 1;
    table.memory.holder(1).task.store(name, Ordering::SeqCst);
    table.memory.dead = vec![1];
    assert_eq!(table.reclaim(), 0);
    assert_eq!(table.status(taken.task), TaskStatus::Taken);
    assert!(table.finish(0, taken, TaskStatus::Done));
    assert_eq!(table.reclaim(), 0);
    assert_eq!(table.memory.holder(1).task.load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_taken_cannot_be_set() {
    let table = table(2, 1);
    table.take(0, NONE);
    assert!(!table.set(0, TaskStatus::Open));
    assert!(table.set(1, TaskStatus::Done));
    assert_eq!(table.take(0, NONE), None);
}

fn limited(tries: Option<u32>, has_directory: bool) -> TaskTable<HeapTable> {
    let mut table = table(2, 3);
    table.limits = TableLimits {
        tries,
        time: Some(Duration::from_millis(20)),
        has_directory,
    };
    table
}

#[test]
fn what_is_late_is_taken_from_its_rank() {
    let table = limited(None, false);
    let late = table.take(1, NONE).expect("one is open");
    assert_eq!(table.reclaim(), 0, "it has time");
    assert_eq!(table.held(9), [(1, late.task)]);
    thread::sleep(Duration::from_millis(30));
    let fresh = table.take(2, NONE).expect("one is open");
    assert_eq!(table.reclaim(), 1);
    assert_eq!(table.held(9), [(2, fresh.task)]);
    let again = table.take(0, NONE).expect("it is open again");
    assert_eq!((again.task, again.byte.takings()), (late.task, 2));
    assert!(!table.finish(1, late, TaskStatus::Done), "it came too late");
    assert_eq!(table.status(late.task), TaskStatus::Taken);
    assert!(table.finish(0, again, TaskStatus::Done));
    assert!(table.finish(2, fresh, TaskStatus::Done));
}

#[test]
fn what_is_late_in_its_last_try_has_failed() {
    for (has_directory, status) in [(false, TaskStatus::Failed), (true, TaskStatus::Elsewhere)] {
        let table = limited(Some(1), has_directory);
        let late = table.take(1, NONE).expect("one is open");
        thread::sleep(Duration::from_millis(30));
        assert_eq!(table.reclaim(), 0);
        assert_eq!(table.status(late.task), status);
    }
}

#[test]
fn a_rank_that_is_about_to_take_does_not_make_another_late() {
    let table = limited(None, false);
    // Rank 2 named the task long ago, and has not gone on since.
    table.memory.holder(2).task.store(1, Ordering::SeqCst);
    let taken = table.take(1, NONE).expect("one is open");
    assert_eq!((taken.task, table.reclaim()), (0, 0));
    assert!(table.finish(1, taken, TaskStatus::Done));
}

#[test]
fn what_has_failed_in_its_last_try_is_not_taken() {
    let mut table = table(1, 1);
    table.limits.tries = Some(2);
    let again = Again {
        failed: true,
        ..NONE
    };
    for status in [TaskStatus::Open, TaskStatus::Failed] {
        let taken = table.take(0, again).expect("it may be tried twice");
        assert!(table.finish(0, taken, status));
    }
    assert_eq!(table.take(0, again), None);
}

#[test]
fn a_table_that_has_stopped_gives_nothing() {
    let table = table(2, 1);
    let taken = table.take(0, NONE).expect("one is open");
    table.stop(7);
    table.stop(8);
    assert!(table.finish(0, taken, TaskStatus::Open));
    assert_eq!((table.take(0, NONE), table.stopped()), (None, 7));
}
