//! The layout of a queue, and the arithmetic of positions.

use crate::channel::ring::layout::{Shape, SlotState};
use crate::channel::ring::memory::{Layout, MessageLayout};
use crate::channel::ring::tests::laps_before_the_end;

#[test]
fn positions_wrap_around_with_every_capacity() {
    for capacity in 1..20 {
        let shape = Shape::new(capacity);
        let first = laps_before_the_end(shape, 3);
        let mut position = first;
        for count in 0..6 * capacity {
            assert_eq!(shape.index(position) as u64, count % capacity);
            assert_eq!(shape.distance(first, position), count);
            assert_eq!(shape.distance(position, first), 0_u64.wrapping_sub(count));
            for ahead in 0..=capacity {
                let later = shape.after(position, ahead);
                assert_eq!(shape.distance(position, later), ahead);
            }
            let taken = shape.stamp_after(position);
            let lap_later = shape.after(position, capacity);
            assert_eq!(taken, shape.stamp(lap_later, SlotState::Free));
            assert_eq!(shape.one_lap_before(lap_later), position);
            position = shape.next(position);
        }
    }
}

#[test]
fn small_slots_share_a_line_and_large_ones_do_not() {
    assert_eq!(MessageLayout::of::<()>().stride(), Some(8));
    assert_eq!(MessageLayout::of::<u8>().stride(), Some(16));
    assert_eq!(MessageLayout::of::<[u64; 2]>().stride(), Some(32));
    assert_eq!(MessageLayout::of::<[u8; 56]>().stride(), Some(64));
    assert_eq!(MessageLayout::of::<[u8; 57]>().stride(), Some(128));
    assert_eq!(MessageLayout::of::<u128>().stride(), Some(32));
}

#[test]
fn what_does_not_fit_has_no_layout() {
    assert!(Layout::of(MessageLayout::of::<u64>(), 0, 1).is_none());
    assert!(Layout::of(MessageLayout::of::<u64>(), usize::MAX, 1).is_none());
    assert!(Layout::of(MessageLayout::of::<u64>(), usize::MAX / 64, 1).is_none());
    assert!(Layout::of(MessageLayout::of::<[u8; 1 << 20]>(), 1 << 40, 1).is_some());
    assert!(Layout::of(MessageLayout::of::<[u8; 1 << 20]>(), 1 << 44, 1).is_none());
    assert!(Layout::of(MessageLayout::of::<u64>(), 1, 1).is_some());
}
