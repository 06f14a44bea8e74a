//! All interleavings in which two ranks take, open and close tasks.

use crate::batch::directory::Again;
use crate::batch::table::TaskTable;
use crate::batch::table::layout::{TableMemory, TaskStatus};
use crate::batch::table::tests::heap::HeapTable;
use crate::batch::table::tests::{table, take, take_up_to};
use crate::shm::atomic::Ordering;
use loom::thread;

fn view(table: &TaskTable<HeapTable>) -> TaskTable<HeapTable> {
    TaskTable {
        memory: table.memory.clone(),
        limits: table.limits,
    }
}

fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// The index leads to all tasks that are open at the end.
fn check_index(table: &TaskTable<HeapTable>) {
    let open = table.find(TaskStatus::Open, 0);
    assert_eq!(table.index().first(), open, "the index leads to it");
}

#[test]
fn two_take_two() {
    model(4, || {
        let table = table(2, 2);
        let other = view(&table);
        let second = thread::spawn(move || take(&other, 1, Again::default()));
        let mine = take(&table, 0, Again::default()).expect("one for each");
        let theirs = second.join().unwrap().expect("one for each");
        assert_ne!(mine.task, theirs.task);
        check_index(&table);
    });
}

/// The ranks want more than there are, and one opens the first of what it gets again.
#[test]
fn two_take_several_of_three() {
    model(3, || {
        let table = table(3, 2);
        let other = view(&table);
        let second = thread::spawn(move || take_up_to(&other, 1, Again::default(), 2));
        let mine = take_up_to(&table, 0, Again::default(), 2);
        let first = mine.first().copied();
        if let Some(first) = first {
            assert!(table.finish(0, first, TaskStatus::Open));
        }
        let theirs = second.join().unwrap();
        for kept in mine.iter().skip(1) {
            assert!(theirs.iter().all(|other| other.task != kept.task));
        }
        assert_eq!(table.counts()[TaskStatus::Taken as usize] as usize, {
            mine.len().saturating_sub(1) + theirs.len()
        });
        // A rank that finds a task open again may note that late, when another one has taken it. Then who
        // tries the task corrects the index.
        match table.find(TaskStatus::Open, 0) {
            Some(open) => assert!(table.index().first().is_some_and(|first| first <= open)),
            None => {
                assert_eq!(take(&table, 0, Again::default()), None);
                assert_eq!(table.index().first(), None);
            }
        }
    });
}

#[test]
fn one_opens_again_what_two_want() {
    model(4, || {
        let table = table(1, 2);
        let other = view(&table);
        let second = thread::spawn(move || {
            if let Some(taken) = take(&other, 1, Again::default()) {
                assert!(other.finish(1, taken, TaskStatus::Open));
            }
        });
        // Not by `take`, which would search without the index and correct it.
        if let Some(taken) = table.try_take(0, 0, TaskStatus::Open, 0) {
            assert!(table.finish(0, taken, TaskStatus::Open));
        }
        second.join().unwrap();
        assert_eq!(table.status(0), TaskStatus::Open);
        check_index(&table);
    });
}

#[test]
fn opened_and_closed_under_one_word() {
    // 65 tasks have two words at the bottom, and one above.
    model(3, || {
        let table = table(65, 2);
        // Only 63 is open, the last one under its word.
        for task in (0..63).chain([64]) {
            let byte = &table.memory.bytes()[task];
            byte.store(TaskStatus::Done as u8, Ordering::SeqCst);
            table.index().close(task / 64, 1 << (task % 64));
        }
        let other = view(&table);
        let second = thread::spawn(move || {
            let taken = take(&other, 1, Again::default()).expect("it is open");
            assert!(other.finish(1, taken, TaskStatus::Done));
        });
        assert!(table.set(3, TaskStatus::Open));
        second.join().unwrap();
        check_index(&table);
    });
}

#[test]
fn dead_ranks_are_reclaimed_while_another_takes() {
    model(4, || {
        let mut table = table(1, 3);
        // Rank 2 died with the task.
        take(&table, 2, Again::default()).expect("it is open");
        table.memory.dead = vec![2];
        let other = view(&table);
        let second = thread::spawn(move || {
            other.reclaim();
            take(&other, 1, Again::default())
        });
        table.reclaim();
        let mine = take(&table, 0, Again::default());
        let theirs = second.join().unwrap();
        // The rank that comes late finds that the other one has the task.
        assert!(mine.is_none() || theirs.is_none(), "one of them at most");
        table.reclaim();
        let is_taken = table.status(0) == TaskStatus::Taken;
        assert_eq!(
            is_taken,
            mine.is_some() || theirs.is_some(),
            "not from a living rank"
        );
        check_index(&table);
    });
}
