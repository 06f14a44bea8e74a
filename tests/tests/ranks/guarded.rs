//! Memory that ranks guard by a lock, and random ways to take the lock.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use mpisync::WindowController;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::Scratch;

/// The guarded memory of these cases: words of scratch memory from `first` on.
pub struct Guarded<'a> {
    pub scratch: &'a Scratch,
    pub first: usize,
}

/// The number of words of a [`Guarded`]; the last `COPIES` of them must always be equal.
pub const GUARDED: usize = 3 + COPIES;
const COPIES: usize = 4;

impl Guarded<'_> {
    /// Enters as a writer, leaves a new value, and checks that no other rank was inside.
    pub fn write(&self) {
        let (writers, readers) = (self.word(0), self.word(1));
        assert_eq!(writers.fetch_add(1, SeqCst), 0, "two writers at once");
        assert_eq!(readers.load(SeqCst), 0, "a reader beside a writer");
        let value = self.word(2).load(Relaxed) + 1;
        self.word(2).store(value, Relaxed);
        for copy in 0..COPIES {
            self.word(3 + copy).store(value, Relaxed);
        }
        assert_eq!(readers.load(SeqCst), 0, "a reader came in beside a writer");
        assert_eq!(
            writers.fetch_sub(1, SeqCst),
            1,
            "a writer came in beside a writer"
        );
    }

    /// Enters as a reader and checks that the writers left the copies equal.
    pub fn read(&self) {
        let (writers, readers) = (self.word(0), self.word(1));
        readers.fetch_add(1, SeqCst);
        assert_eq!(writers.load(SeqCst), 0, "a writer beside a reader");
        let value = self.word(2).load(Relaxed);
        for copy in 0..COPIES {
            assert_eq!(
                self.word(3 + copy).load(Relaxed),
                value,
                "half-written data"
            );
        }
        assert_eq!(writers.load(SeqCst), 0, "a writer came in beside a reader");
        readers.fetch_sub(1, SeqCst);
    }

    /// The number of writes, if none was lost.
    pub fn count(&self) -> u64 {
        self.word(2).load(SeqCst)
    }

    pub fn word(&self, index: usize) -> &'static std::sync::atomic::AtomicU64 {
        self.scratch.word(self.first + index)
    }
}

/// One random operation. Returns the number of its writes.
pub fn operation(ctrl: &mut WindowController, guarded: &Guarded, rng: &mut Rng) -> u64 {
    let short = Duration::from_micros(rng.below(50));
    match rng.below(20) {
        0..8 => {
            let _guard = ctrl.read();
            guarded.read();
            0
        }
        8 | 9 => {
            let _outer = ctrl.read();
            guarded.read();
            let _inner = ctrl.read();
            guarded.read();
            0
        }
        10 => {
            let _outer = ctrl.read();
            // A reader may always read again, even while a writer waits.
            let _inner = ctrl
                .try_read()
                .expect("the lock is held for reading already");
            guarded.read();
            0
        }
        11 => ctrl.try_read().map_or(0, |_guard| {
            guarded.read();
            0
        }),
        12 => ctrl.read_timeout(short).map_or(0, |_guard| {
            guarded.read();
            0
        }),
        13 => {
            let _guard = ctrl.write();
            guarded.write();
            1
        }
        14 => ctrl.try_write().map_or(0, |_guard| {
            guarded.write();
            1
        }),
        15 => ctrl.write_timeout(short).map_or(0, |_guard| {
            guarded.write();
            1
        }),
        16 => {
            let guard = ctrl.write();
            guarded.write();
            drop(guard.read());
            // The inner guard has released nothing.
            guarded.write();
            2
        }
        17 => {
            let mut guard = ctrl.write();
            guarded.write();
            drop(guard.write());
            guarded.write();
            2
        }
        18 => {
            let guard = ctrl.write();
            guarded.write();
            let before = guarded.count();
            let _guard = guard.downgrade();
            guarded.read();
            assert_eq!(guarded.count(), before, "a writer slipped into a downgrade");
            1
        }
        _ => {
            let guard = ctrl.read();
            guarded.read();
            let _guard = guard.upgrade().expect("no other guard is alive");
            guarded.write();
            1
        }
    }
}
