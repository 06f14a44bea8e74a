//! The fields of the words.

use crate::rwlock::layout::*;
use crate::shm::segment::MAX_RANKS;

#[test]
fn a_slot_tells_waiting_from_reading() {
    for openings in [0, 1, 2, u32::MAX - 1, u32::MAX] {
        let slot = waiting_since(openings);
        assert!(slot != IDLE && slot != READING);
        assert_ne!(slot, waiting_since(openings.wrapping_add(1)));
    }
}

#[test]
fn turn_fields_do_not_touch() {
    let turn = Turn(Turn::URGENT + BIASED + 3 * Turn::ONE_WAITER).held_by(MAX_RANKS - 1);
    assert_eq!(turn.owner(), Some(MAX_RANKS - 1));
    assert_eq!(turn.waiters(), 3);
    assert!(turn.is_urgent());
    assert_eq!(turn.without_waiter().waiters(), 2);
    assert_eq!(turn.released().owner(), None);
    let rest = turn.calmed().released();
    assert_eq!(rest, Turn(3 * Turn::ONE_WAITER + BIASED));
}

#[test]
fn a_gate_only_goes_on() {
    for openings in [0, 1, (1 << 30) - 1, u32::MAX] {
        let (open, closed) = (GlobalGate::open(openings), GlobalGate::closed(openings));
        let next = GlobalGate::open(openings.wrapping_add(1));
        assert!(closed.is_past(open) && next.is_past(closed) && next.is_past(open));
        assert!(!open.is_past(closed) && !closed.is_past(next) && !open.is_past(next));
        let biased = GlobalGate(open.0 | BIASED);
        assert!(!biased.is_past(open) && !open.is_past(biased));
        assert_eq!(closed.as_biased_as(biased).openings(), closed.openings());
    }
}
