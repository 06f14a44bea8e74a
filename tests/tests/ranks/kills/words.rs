//! The words of scratch memory, in which the ranks check each other.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, SystemTime};

use super::RANKS;
use super::round::Round;

// A word for each rank.
pub const PROCESS: usize = 0;
// Others.
/// How many permits each rank has.
const PERMITS: usize = 10;
pub const ARRIVED: usize = 20;
pub const FAILED_TO_MAKE: usize = 30;
/// Which ranks are done with their part of a step.
pub const FINISHED: usize = 100;
/// How many ranks have come to a step, or run the body of a call.
pub const COME: usize = 200;
/// Who has computed a value.
pub const COMPUTED: usize = 300;
/// Who runs a task.
pub const TASKS: usize = 400;
/// What a latch has counted.
pub const COUNTED: usize = 700;
/// Who is inside a lock, 16 words a lock.
const INSIDE: usize = 800;

/// Permits of the semaphore.
pub const MOST_PERMITS: u32 = 3;

impl Round<'_> {
    /// A rank is alone with what `lock` guards, for a moment.
    pub fn alone(&self, lock: usize) {
        self.enter(lock);
        self.linger();
        self.alone_no_more(lock);
    }

    /// The end of [`enter`](Self::enter).
    pub fn alone_no_more(&self, lock: usize) {
        let word = self.job.scratch.word(INSIDE + 16 * lock);
        let left = word.swap(0, SeqCst);
        assert_eq!(
            left,
            self.rank() as u64 + 1,
            "another writer in lock {lock}"
        );
    }

    /// A writer comes, and stays.
    pub fn enter(&self, lock: usize) {
        let first = INSIDE + 16 * lock;
        let writer = self.job.scratch.word(first);
        let before = writer.swap(self.rank() as u64 + 1, SeqCst);
        self.is_free(before, "two writers", lock);
        for rank in 0..RANKS {
            let reader = self.job.scratch.word(first + 1 + rank).load(SeqCst);
            self.is_free(reader, "a reader beside a writer", lock);
        }
    }

    /// Readers are inside what `lock` guards, and no writer.
    pub fn among_readers(&self, lock: usize) {
        let first = INSIDE + 16 * lock;
        let reader = self.job.scratch.word(first + 1 + self.rank() as usize);
        reader.store(self.rank() as u64 + 1, SeqCst);
        let writer = self.job.scratch.word(first).load(SeqCst);
        self.is_free(writer, "a writer beside a reader", lock);
        self.linger();
        reader.store(0, SeqCst);
    }

    /// The rank + 1 that is inside, if any, is dead.
    fn is_free(&self, inside: u64, fault: &str, lock: usize) {
        let rank = inside as i32 - 1;
        assert!(
            inside == 0 || self.is_dead(rank),
            "{fault} in lock {lock}: rank {rank} lives"
        );
    }

    /// This rank has permits, for a moment.
    pub fn with_permits(&self, count: u32) {
        let word = self.job.scratch.word(PERMITS);
        // A byte a rank, so that all are seen at one instant.
        let mine = u64::from(count) << (8 * self.rank());
        let before = word.fetch_add(mine, SeqCst).to_le_bytes();
        let living = (0..RANKS).filter(|rank| before[*rank] > 0 && !self.is_dead(*rank as i32));
        let all = count + living.map(|rank| u32::from(before[rank])).sum::<u32>();
        assert!(all <= MOST_PERMITS, "{all} permits are out: {before:?}");
        self.linger();
        word.fetch_sub(mine, SeqCst);
    }

    /// This rank does something that one rank does, and another one only if that is dead.
    pub fn only_one(&self, word: usize, what: &str) {
        let word = self.job.scratch.word(word);
        let before = word.swap(self.rank() as u64 + 1, SeqCst);
        let rank = before as i32 - 1;
        assert!(
            before == 0 || self.is_dead(rank),
            "{what}: rank {rank} does it, too, and lives"
        );
    }

    /// The end of [`only_one`](Self::only_one) for what may be done again.
    pub fn forget(&self, word: usize) {
        self.job.scratch.word(word).store(0, SeqCst);
    }

    /// Keeps what this rank has for some time, often enough that one is killed meanwhile.
    pub fn linger(&self) {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let random = time.map_or(0, |time| time.subsec_nanos() / 8);
        if random.is_multiple_of(4) {
            thread::sleep(Duration::from_micros((random % 300).into()));
        }
    }
}
