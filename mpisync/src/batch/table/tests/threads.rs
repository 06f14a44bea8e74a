//! Ranks that take tasks at the same time.

use crate::batch::table::heap::HeapLedger;
use crate::batch::table::layout::Entry;
use crate::batch::table::memory::LedgerMemory;
use crate::batch::table::tests::ledger;
use crate::batch::table::{Ledger, Offers};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const NONE: Offers = Offers {
    elsewhere: false,
    failed: false,
    done: false,
};

fn view(ledger: &Ledger<HeapLedger>) -> Ledger<HeapLedger> {
    Ledger {
        memory: ledger.memory.clone(),
    }
}

/// Lets `ranks` threads take tasks until there are none; `end` says what becomes of a task that was taken so often.
fn share_out(ledger: &Ledger<HeapLedger>, ranks: usize, end: impl Fn(usize, u32) -> Entry + Sync) {
    let tasks = ledger.memory.tasks();
    let taken: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
    let held: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        for rank in 0..ranks {
            let (ledger, taken, held, end) = (view(ledger), &taken, &held, &end);
            scope.spawn(move || {
                while let Some(found) = ledger.take(rank, NONE) {
                    let task = found.task;
                    assert_eq!(held[task].swap(1, Ordering::SeqCst), 0, "one at a time");
                    let times = taken[task].fetch_add(1, Ordering::SeqCst);
                    held[task].store(0, Ordering::SeqCst);
                    assert!(ledger.finish(rank, task, end(task, times)));
                }
            });
        }
    });
}

#[test]
fn each_task_is_taken_once() {
    for tasks in [0, 1, 63, 64, 65, 4_096, 4_097, 70_000] {
        let ledger = ledger(tasks, 4);
        share_out(&ledger, 4, |_, times| {
            assert_eq!(times, 0);
            Entry::Done
        });
        assert_eq!(ledger.counts()[Entry::Done as usize], tasks as u64);
    }
}

#[test]
fn tasks_that_are_opened_again_are_found_again() {
    let ledger = ledger(5_000, 4);
    share_out(&ledger, 4, |task, times| {
        if times < task as u32 % 4 {
            Entry::Open
        } else {
            Entry::Done
        }
    });
    assert_eq!(ledger.counts()[Entry::Done as usize], 5_000);
    assert_eq!(ledger.take(0, NONE), None);
}

#[test]
fn tasks_are_taken_in_order() {
    let ledger = ledger(300, 1);
    for task in 0..300 {
        assert_eq!(ledger.take(0, NONE).map(|taken| taken.task), Some(task));
        ledger.finish(0, task, Entry::Done);
    }
    assert!(ledger.set(250, Entry::Open));
    assert!(ledger.set(70, Entry::Open));
    assert_eq!(ledger.take(0, NONE).map(|taken| taken.task), Some(70));
    ledger.finish(0, 70, Entry::Failed);
    assert_eq!(ledger.take(0, NONE).map(|taken| taken.task), Some(250));
}

#[test]
fn the_index_leads_past_what_is_closed() {
    // With the index alone, for without it a task would be found as well.
    let ledger = ledger(1_000_000, 1);
    for task in 0..1_000_000 {
        assert!(ledger.set(task, Entry::Done));
    }
    assert_eq!(ledger.index().first(), None);
    for task in [999_999, 123_456, 0] {
        assert!(ledger.set(task, Entry::Open));
        assert_eq!(ledger.index().first(), Some(task));
    }
}

#[test]
fn what_the_index_does_not_know_is_found() {
    // As after a rank that was killed between the byte and the index.
    let ledger = ledger(200, 1);
    for task in 0..200 {
        ledger.set(task, Entry::Done);
    }
    let byte = &ledger.memory.bytes()[150];
    byte.store(Entry::Open as u8, Ordering::SeqCst);
    assert_eq!(ledger.take(0, NONE).map(|taken| taken.task), Some(150));
}

#[test]
fn each_is_offered_again_once() {
    let ledger = ledger(100, 2);
    for task in 0..100 {
        let entry = [Entry::Done, Entry::Failed, Entry::Elsewhere, Entry::Invalid][task % 4];
        ledger.set(task, entry);
    }
    let count = |offers| {
        std::iter::from_fn(|| ledger.take(0, offers))
            .inspect(|taken| assert!(ledger.finish(0, taken.task, Entry::Failed)))
            .count()
    };
    assert_eq!(count(NONE), 0);
    let failed = Offers {
        failed: true,
        ..NONE
    };
    assert_eq!(count(failed), 25, "those that fail again are not offered");
    let all = Offers {
        elsewhere: true,
        failed: true,
        done: true,
    };
    assert_eq!(count(all), 50);
    assert_eq!(count(all), 0);
}

#[test]
fn what_a_dead_rank_has_taken_is_opened() {
    let mut ledger = ledger(10, 3);
    let taken = ledger.take(1, NONE).expect("one is open");
    assert_eq!(ledger.bury(), 0, "it lives");
    ledger.memory.dead = vec![1];
    assert_eq!(ledger.bury(), 1);
    assert_eq!(ledger.entry(taken.task), Entry::Open);
    assert_eq!(ledger.take(0, NONE), Some(taken));
    assert_eq!(ledger.bury(), 0, "it is another's now");
    assert!(!ledger.finish(1, 5, Entry::Done), "which nobody has taken");
}

#[test]
fn a_dead_rank_that_was_too_late_has_nothing() {
    let mut ledger = ledger(10, 3);
    // Rank 1 was about to take it when rank 0 did.
    let taken = ledger.take(0, NONE).expect("one is open");
    let name = taken.task as u64 + 1;
    ledger.memory.holder(1).store(name, Ordering::SeqCst);
    ledger.memory.dead = vec![1];
    assert_eq!(ledger.bury(), 0);
    assert_eq!(ledger.entry(taken.task), Entry::Taken);
    assert!(ledger.finish(0, taken.task, Entry::Done));
    assert_eq!(ledger.bury(), 0);
    assert_eq!(ledger.memory.holder(1).load(Ordering::SeqCst), 0);
}

#[test]
fn what_is_taken_cannot_be_set() {
    let ledger = ledger(2, 1);
    ledger.take(0, NONE);
    assert!(!ledger.set(0, Entry::Open));
    assert!(ledger.set(1, Entry::Done));
    assert_eq!(ledger.take(0, NONE), None);
}
