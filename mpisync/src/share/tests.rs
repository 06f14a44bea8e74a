//! Values in transfer.

use crate::error::CollectiveError;
use crate::plain::Plain;
use crate::share::layout::Mailbox;
use crate::share::payload::{Encoder, Kind, decode};
use crate::share::stream::{ItemSink, ItemSource, Sink, Source};
use crate::shm::mapping::Mapping;

#[test]
fn references_are_what_they_refer_to() {
    let number = Kind::serde::<Vec<u8>>().number();
    assert_eq!(Kind::serde::<&Vec<u8>>().number(), number);
    assert_eq!(Kind::serde::<&&mut Vec<u8>>().number(), number);
    assert_ne!(Kind::serde::<Vec<i8>>().number(), number);
    let text = Kind::serde::<&str>();
    assert!(Kind::serde::<String>().is(text.number(), text.layout()));
}

#[test]
fn types_of_one_name_differ_in_their_layout() {
    let small = {
        struct Sample {
            _id: u32,
        }
        Kind::serde::<Sample>()
    };
    let large = {
        struct Sample {
            _id: [u32; 2],
        }
        Kind::serde::<Sample>()
    };
    assert_eq!(small.number(), large.number());
    assert!(!small.is(large.number(), large.layout()));
    let (shared, collected) = small.mismatch(large.label().into_owned(), large.layout());
    assert!(shared.ends_with("(8 bytes, alignment 4)"), "{shared}");
    assert!(collected.ends_with("(4 bytes, alignment 4)"), "{collected}");
}

#[test]
fn a_record_is_filled_by_one_and_taken_over_from_the_dead() {
    let mapping = Mapping::private(size_of::<Mailbox>());
    let mailbox: &Mailbox = mapping.get(0);
    let record = &mailbox.records[0];
    let nobody = |_| false;
    let filling = record.try_to_fill(2, nobody).expect("it is free");
    assert!(record.try_to_fill(1, nobody).is_none());
    assert!(record.try_to_fill(1, |rank| rank == 0).is_none());
    // As if the rank had died.
    std::mem::forget(filling);
    let taken_over = record.try_to_fill(1, |rank| rank == 2);
    assert!(record.try_to_fill(0, |rank| rank == 2).is_none());
    drop(taken_over);
    assert!(record.try_to_fill(0, nobody).is_some());
}

#[test]
fn bytes_that_are_left_over_are_an_error() {
    let mut encoder = Encoder::new();
    let bytes = encoder.encode(&(7_u8, 8_u8)).expect("it fits");
    assert_eq!(decode::<(u8, u8)>(bytes), Ok((7, 8)));
    assert!(matches!(
        decode::<u8>(bytes),
        Err(CollectiveError::Decode(_))
    ));
}

/// The items after a transfer in pieces of `piece` bytes.
fn travelled<T: Plain>(items: &[T], piece: usize) -> Vec<T> {
    let mut source = ItemSource::new(items);
    let mut sink = ItemSink::new(source.length());
    assert_eq!(sink.expected(), items.len());
    let mut left = source.length() as usize;
    while left > 0 {
        let mut bytes = vec![0xff; piece.min(left)];
        source.fill(&mut bytes);
        sink.put(&bytes);
        left -= bytes.len();
    }
    sink.into_items()
}

#[test]
fn items_arrive_in_pieces_of_every_size() {
    let items: Vec<[u16; 3]> = (0..50).map(|index| [index, 1, 0xffff]).collect();
    for piece in 1..100 {
        assert_eq!(travelled(&items, piece), items);
        assert_eq!(travelled(&[(); 77], piece), [(); 77]);
    }
    assert!(travelled::<f64>(&[], 8).is_empty());
}

#[test]
fn bytes_beyond_the_last_item_are_left_out() {
    let mut sink = ItemSink::<u32>::new(11);
    sink.put(&[1; 11]);
    assert_eq!(sink.into_items(), [0x0101_0101; 2]);
}

#[test]
#[should_panic(expected = "all bytes of the items have come")]
fn items_of_which_bytes_are_missing_are_none() {
    let mut sink = ItemSink::<u32>::new(8);
    sink.put(&[1; 7]);
    sink.into_items();
}
