//! Ranks that hold ranges together.

use crate::rwlock::range::enter_here;
use crate::rwlock::tests::loom::{Act, IMPATIENT_WRITE, READ, WRITE, explore_within};
use crate::shm::wait::Deadline;

/// Takes a range that overlaps those of all others.
const RANGE: Act = |lock, guarded| {
    let open = || lock.write(|| Deadline::NEVER);
    enter_here(lock, 0..1, Deadline::NEVER, open).expect("waits for ever");
    // SAFETY: no other rank has the range; loom reports any other access at the same time.
    guarded.with_mut(|value| unsafe { *value += 1 });
    lock.leave_range();
    1
};

/// Takes another range.
const DISJOINT: Act = |lock, _| {
    let open = || lock.write(|| Deadline::NEVER);
    enter_here(lock, 1..2, Deadline::NEVER, open).expect("waits for ever");
    lock.leave_range();
    0
};

#[test]
fn ranges_that_overlap_exclude_each_other() {
    explore_within(2, &[RANGE, RANGE]);
}

#[test]
fn a_writer_excludes_ranges() {
    explore_within(2, &[RANGE, WRITE]);
    explore_within(1, &[RANGE, IMPATIENT_WRITE]);
}

#[test]
fn a_reader_excludes_ranges() {
    explore_within(2, &[RANGE, READ]);
}

#[test]
fn the_last_one_releases_the_lock() {
    explore_within(1, &[DISJOINT, RANGE, READ]);
}

#[test]
fn the_lock_goes_from_ranges_to_a_writer_and_back() {
    explore_within(1, &[DISJOINT, RANGE, WRITE]);
}
