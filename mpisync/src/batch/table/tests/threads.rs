//! Ranks that take tasks at the same time.

use crate::batch::directory::Again;
use crate::batch::table::TaskTable;
use crate::batch::table::layout::{TableMemory, TaskStatus};
use crate::batch::table::tests::heap::HeapTable;
use crate::batch::table::tests::table;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const NONE: Again = Again {
    running: false,
    failed: false,
    done: false,
};

fn view(table: &TaskTable<HeapTable>) -> TaskTable<HeapTable> {
    TaskTable {
        memory: table.memory.clone(),
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
                    assert!(table.finish(rank, task, end(task, times)));
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
        assert_eq!(table.take(0, NONE).map(|taken| taken.task), Some(task));
        table.finish(0, task, TaskStatus::Done);
    }
    assert!(table.set(250, TaskStatus::Open));
    assert!(table.set(70, TaskStatus::Open));
    assert_eq!(table.take(0, NONE).map(|taken| taken.task), Some(70));
    table.finish(0, 70, TaskStatus::Failed);
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
            .inspect(|taken| assert!(table.finish(0, taken.task, TaskStatus::Failed)))
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
    assert_eq!(table.take(0, NONE), Some(taken));
    assert_eq!(table.reclaim(), 0, "it is another's now");
    assert!(
        !table.finish(1, 5, TaskStatus::Done),
        "which nobody has taken"
    );
}

#[test]
fn a_dead_rank_that_was_too_late_has_nothing() {
    let mut table = table(10, 3);
    // Rank 1 was about to take it when rank 0 did.
    let taken = table.take(0, NONE).expect("one is open");
    let name = taken.task as u64 + 1;
    table.memory.holder(1).store(name, Ordering::SeqCst);
    table.memory.dead = vec![1];
    assert_eq!(table.reclaim(), 0);
    assert_eq!(table.status(taken.task), TaskStatus::Taken);
    assert!(table.finish(0, taken.task, TaskStatus::Done));
    assert_eq!(table.reclaim(), 0);
    assert_eq!(table.memory.holder(1).load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_taken_cannot_be_set() {
    let table = table(2, 1);
    table.take(0, NONE);
    assert!(!table.set(0, TaskStatus::Open));
    assert!(table.set(1, TaskStatus::Done));
    assert_eq!(table.take(0, NONE), None);
}
