//! Ranks that take tasks at the same time.

use crate::batch::directory::Again;
use crate::batch::table::layout::{TableMemory, TaskStatus};
use crate::batch::table::tests::heap::HeapTable;
use crate::batch::table::tests::{table, take, take_up_to};
use crate::batch::table::{TableLimits, Taken, TaskTable};
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
                while let Some(found) = take(&table, rank, NONE) {
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
    assert_eq!(take(&table, 0, NONE), None);
}

/// Each rank takes several tasks at a time, opens some of them again and ends the others, the last
/// one first.
#[test]
fn each_task_is_taken_once_among_several() {
    for (tasks, most) in [(5_000, 7), (5_000, 64), (70_000, 200)] {
        let table = table(tasks, 4);
        let ended: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
        thread::scope(|scope| {
            for rank in 0..4 {
                let (table, ended) = (view(&table), &ended);
                scope.spawn(move || {
                    let mut rounds = 0;
                    loop {
                        let found = take_up_to(&table, rank, NONE, most);
                        if found.is_empty() {
                            return;
                        }
                        rounds += 1;
                        for (index, taken) in found.into_iter().enumerate().rev() {
                            let status = match (rounds + index) % 9 {
                                0 => TaskStatus::Open,
                                _ => TaskStatus::Done,
                            };
                            if status == TaskStatus::Done {
                                ended[taken.task].fetch_add(1, Ordering::SeqCst);
                            }
                            assert!(table.finish(rank, taken, status));
                        }
                        assert_eq!(table.memory.holder(rank).named().count(), 0);
                    }
                });
            }
        });
        // A rank may have ended while the others still opened tasks.
        for taken in std::iter::from_fn(|| take(&table, 0, NONE)) {
            ended[taken.task].fetch_add(1, Ordering::SeqCst);
            assert!(table.finish(0, taken, TaskStatus::Done));
        }
        assert_eq!(table.counts()[TaskStatus::Done as usize], tasks as u64);
        assert!(ended.iter().all(|ended| ended.load(Ordering::SeqCst) == 1));
    }
}

fn numbers(found: &[Taken]) -> Vec<usize> {
    found.iter().map(|taken| taken.task).collect()
}

#[test]
fn several_are_the_first_that_are_open() {
    let table = table(130, 2);
    for task in [0, 3, 64] {
        assert!(table.set(task, TaskStatus::Done));
    }
    let first = take_up_to(&table, 0, NONE, 4);
    assert_eq!(numbers(&first), [1, 2, 4, 5]);
    assert_eq!(table.held(3), [(0, 1), (0, 2), (0, 4)]);
    // Beyond a word of the index, and with what was opened again.
    assert!(table.finish(0, first[2], TaskStatus::Open));
    let second = take_up_to(&table, 1, NONE, 61);
    let right: Vec<usize> = [4].into_iter().chain(6..64).chain([65, 66]).collect();
    assert_eq!(numbers(&second), right);
    // Fewer are left than are asked for.
    let mut rest = Vec::new();
    table.take(0, NONE, 4..200, &mut rest);
    assert_eq!(numbers(&rest), (67..130).collect::<Vec<_>>());
    assert_eq!(take_up_to(&table, 1, NONE, 1), []);
    assert_eq!(table.counts()[TaskStatus::Taken as usize], 127);
}

#[test]
fn several_are_filled_up_with_those_that_are_offered_again() {
    let table = table(6, 1);
    for (task, status) in [
        (0, TaskStatus::Failed),
        (2, TaskStatus::Done),
        (4, TaskStatus::Failed),
    ] {
        assert!(table.set(task, status));
    }
    let again = Again {
        failed: true,
        ..NONE
    };
    let found = take_up_to(&table, 0, again, 4);
    assert_eq!(numbers(&found), [1, 3, 5, 0]);
    assert_eq!(found[3].was, TaskStatus::Failed);
}

#[test]
fn several_of_a_dead_rank_are_opened() {
    let mut table = table(10, 3);
    let found = take_up_to(&table, 1, NONE, 4);
    let other = take_up_to(&table, 2, NONE, 2);
    assert!(table.finish(1, found[1], TaskStatus::Done));
    assert_eq!(table.reclaim(), 0, "it lives");
    table.memory.dead = vec![1];
    assert_eq!(table.reclaim(), 3);
    assert_eq!(table.reclaim(), 0);
    assert_eq!(
        numbers(&take_up_to(&table, 0, NONE, 9)),
        [0, 2, 3, 6, 7, 8, 9]
    );
    assert!(
        !table.finish(1, found[0], TaskStatus::Done),
        "it is another's"
    );
    assert!(table.finish(2, other[1], TaskStatus::Done));
}

#[test]
fn tasks_are_taken_in_order() {
    let table = table(300, 1);
    for task in 0..300 {
        let taken = take(&table, 0, NONE).expect("one is open");
        assert_eq!(taken.task, task);
        table.finish(0, taken, TaskStatus::Done);
    }
    assert!(table.set(250, TaskStatus::Open));
    assert!(table.set(70, TaskStatus::Open));
    let taken = take(&table, 0, NONE).expect("one is open");
    assert_eq!(taken.task, 70);
    table.finish(0, taken, TaskStatus::Failed);
    assert_eq!(take(&table, 0, NONE).map(|taken| taken.task), Some(250));
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
    assert_eq!(take(&table, 0, NONE).map(|taken| taken.task), Some(150));
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
        std::iter::from_fn(|| take(&table, 0, again))
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
    let taken = take(&table, 1, NONE).expect("one is open");
    assert_eq!(table.reclaim(), 0, "it lives");
    table.memory.dead = vec![1];
    assert_eq!(table.reclaim(), 1);
    assert_eq!(table.status(taken.task), TaskStatus::Open);
    let again = take(&table, 0, NONE).expect("it is open");
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
    let taken = take(&table, 0, NONE).expect("one is open");
    table.memory.holder(1).name(0, taken.task);
    table.memory.dead = vec![1];
    assert_eq!(table.reclaim(), 0);
    assert_eq!(table.status(taken.task), TaskStatus::Taken);
    assert!(table.finish(0, taken, TaskStatus::Done));
    assert_eq!(table.reclaim(), 0);
    assert_eq!(table.memory.holder(1).named().count(), 0);
}

#[test]
fn what_is_taken_cannot_be_set() {
    let table = table(2, 1);
    take(&table, 0, NONE);
    assert!(!table.set(0, TaskStatus::Open));
    assert!(table.set(1, TaskStatus::Done));
    assert_eq!(take(&table, 0, NONE), None);
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
    let late = take(&table, 1, NONE).expect("one is open");
    assert_eq!(table.reclaim(), 0, "it has time");
    assert_eq!(table.held(9), [(1, late.task)]);
    thread::sleep(Duration::from_millis(30));
    let fresh = take(&table, 2, NONE).expect("one is open");
    assert_eq!(table.reclaim(), 1);
    assert_eq!(table.held(9), [(2, fresh.task)]);
    let again = take(&table, 0, NONE).expect("it is open again");
    assert_eq!((again.task, again.byte.takings()), (late.task, 2));
    assert!(!table.finish(1, late, TaskStatus::Done), "it came too late");
    assert_eq!(table.status(late.task), TaskStatus::Taken);
    assert!(table.finish(0, again, TaskStatus::Done));
    assert!(table.finish(2, fresh, TaskStatus::Done));
}

#[test]
fn all_that_a_late_rank_has_are_taken_from_it() {
    let mut table = table(4, 2);
    table.limits.time = Some(Duration::from_millis(20));
    let late = take_up_to(&table, 1, NONE, 3);
    assert!(table.finish(1, late[0], TaskStatus::Done));
    assert_eq!(table.reclaim(), 0, "they have time");
    thread::sleep(Duration::from_millis(30));
    assert_eq!(table.reclaim(), 2);
    assert_eq!(numbers(&take_up_to(&table, 0, NONE, 9)), [1, 2, 3]);
    assert!(
        !table.finish(1, late[2], TaskStatus::Done),
        "it came too late"
    );
    assert_eq!(table.memory.holder(1).named().count(), 0);
}

#[test]
fn what_is_late_in_its_last_try_has_failed() {
    for (has_directory, status) in [(false, TaskStatus::Failed), (true, TaskStatus::Elsewhere)] {
        let table = limited(Some(1), has_directory);
        let late = take(&table, 1, NONE).expect("one is open");
        thread::sleep(Duration::from_millis(30));
        assert_eq!(table.reclaim(), 0);
        assert_eq!(table.status(late.task), status);
    }
}

#[test]
fn a_rank_that_is_about_to_take_does_not_make_another_late() {
    let table = limited(None, false);
    // Rank 2 named the task long ago, and has not gone on since.
    table.memory.holder(2).name(0, 0);
    let taken = take(&table, 1, NONE).expect("one is open");
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
        let taken = take(&table, 0, again).expect("it may be tried twice");
        assert!(table.finish(0, taken, status));
    }
    assert_eq!(take(&table, 0, again), None);
}

#[test]
fn a_table_that_has_stopped_gives_nothing() {
    let table = table(2, 1);
    let taken = take(&table, 0, NONE).expect("one is open");
    table.stop(7);
    table.stop(8);
    assert!(table.finish(0, taken, TaskStatus::Open));
    assert_eq!((take(&table, 0, NONE), table.stopped()), (None, 7));
}
