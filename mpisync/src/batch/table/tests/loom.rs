//! All orders in which two ranks can take, open and close.

use crate::batch::table::heap::HeapLedger;
use crate::batch::table::layout::Entry;
use crate::batch::table::memory::LedgerMemory;
use crate::batch::table::tests::ledger;
use crate::batch::table::{Ledger, Offers};
use crate::shm::atomic::Ordering;
use loom::thread;

fn view(ledger: &Ledger<HeapLedger>) -> Ledger<HeapLedger> {
    Ledger {
        memory: ledger.memory.clone(),
    }
}

fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// What is open at the end, the index leads to.
fn check_index(ledger: &Ledger<HeapLedger>) {
    let open = ledger.find(Entry::Open, 0);
    assert_eq!(ledger.index().first(), open, "the index leads to it");
}

#[test]
fn two_take_two() {
    model(4, || {
        let ledger = ledger(2, 2);
        let other = view(&ledger);
        let second = thread::spawn(move || other.take(1, Offers::default()));
        let mine = ledger.take(0, Offers::default()).expect("one for each");
        let theirs = second.join().unwrap().expect("one for each");
        assert_ne!(mine.task, theirs.task);
        check_index(&ledger);
    });
}

#[test]
fn one_opens_again_what_two_want() {
    model(4, || {
        let ledger = ledger(1, 2);
        let other = view(&ledger);
        let second = thread::spawn(move || {
            if let Some(taken) = other.take(1, Offers::default()) {
                assert!(other.finish(1, taken.task, Entry::Open));
            }
        });
        // Not by `take`, which would look for what the index does not know, and set it right.
        if ledger.try_take(0, 0, Entry::Open) {
            assert!(ledger.finish(0, 0, Entry::Open));
        }
        second.join().unwrap();
        assert_eq!(ledger.entry(0), Entry::Open);
        check_index(&ledger);
    });
}

#[test]
fn opened_and_closed_under_one_word() {
    // 65 tasks have two words at the bottom, and one above.
    model(3, || {
        let ledger = ledger(65, 2);
        // Only 63 is open, the last one under its word.
        for task in (0..63).chain([64]) {
            let byte = &ledger.memory.bytes()[task];
            byte.store(Entry::Done as u8, Ordering::SeqCst);
            ledger.index().close(task);
        }
        let other = view(&ledger);
        let second = thread::spawn(move || {
            let taken = other.take(1, Offers::default()).expect("it is open");
            assert!(other.finish(1, taken.task, Entry::Done));
        });
        assert!(ledger.set(3, Entry::Open));
        second.join().unwrap();
        check_index(&ledger);
    });
}

#[test]
fn the_dead_are_buried_while_another_takes() {
    model(4, || {
        let mut ledger = ledger(1, 3);
        // Rank 2 died with the task.
        ledger.take(2, Offers::default()).expect("it is open");
        ledger.memory.dead = vec![2];
        let other = view(&ledger);
        let second = thread::spawn(move || {
            other.bury();
            other.take(1, Offers::default())
        });
        ledger.bury();
        let mine = ledger.take(0, Offers::default());
        let theirs = second.join().unwrap();
        // Who comes late finds that the other has it.
        assert!(mine.is_none() || theirs.is_none(), "one of them at most");
        ledger.bury();
        let is_taken = ledger.entry(0) == Entry::Taken;
        assert_eq!(
            is_taken,
            mine.is_some() || theirs.is_some(),
            "not from a living rank"
        );
        check_index(&ledger);
    });
}
