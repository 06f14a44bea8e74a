//! The words of a wait queue.

use crate::wait_queue::layout::{FreePermits, MOST_PERMITS, Want};

#[test]
fn the_fields_of_free_permits_do_not_overlap() {
    let free_permits = FreePermits::of(MOST_PERMITS);
    let crowded = FreePermits(free_permits.0 + 7 * FreePermits::ONE_NEWCOMER).served();
    assert_eq!(crowded.permits(), MOST_PERMITS);
    assert_eq!(crowded.waiters(), 7);
    assert!(crowded.is_served() && !crowded.unserved().is_served());
    let rest = crowded.without(MOST_PERMITS);
    assert_eq!((rest.permits(), rest.waiters()), (0, 7));
    assert_ne!(crowded.changed(), crowded);
    assert_eq!(crowded.changed().waiters(), 7);
    let last = FreePermits(!FreePermits::WAITERS).changed();
    assert_eq!((last.waiters(), last.permits()), (0, MOST_PERMITS));
}

#[test]
fn a_want_is_one_of_three() {
    for ticket in [0, 1, u64::MAX >> 2] {
        let (waiting, granted) = (Want::waiting(ticket), Want::granted(ticket));
        assert!(waiting.is_waiting() && !waiting.is_granted());
        assert!(granted.is_granted() && !granted.is_waiting());
        assert_eq!((waiting.ticket(), granted.ticket()), (ticket, ticket));
    }
    assert!(!Want::NOTHING.is_waiting() && !Want::NOTHING.is_granted());
}
