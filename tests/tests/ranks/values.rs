//! Values that are sent from the writer of a fence to the other ranks.

use std::collections::BTreeMap;

use mpisync::{Access, Equivalence, Plain, WindowController};
use mpisync_tests::job::Job;
use serde::{Deserialize, Serialize};

use crate::common::shared;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    texts_of_many_sizes,
    bytes_of_many_sizes,
    all_kinds_of_values,
    slices_of_many_lengths,
    slices_of_many_types,
);

/// From nothing to 32 MB, around the sizes at which the transfer may change.
fn texts_of_many_sizes(job: &Job) {
    const MEGABYTE: usize = 1 << 20;
    // No power of two is a multiple of its period, so pieces in a wrong order are detected.
    let period: String = (0..251)
        .map(|index| char::from(b'!' + index % 90))
        .collect();
    let text = period.repeat(33 * MEGABYTE / period.len());
    let small = 0..600;
    let pieces = [
        1_020..1_030,
        4_090..4_100,
        32_750..32_775,
        65_520..65_545,
        98_290..98_310,
    ];
    let large = [
        MEGABYTE - 1,
        MEGABYTE,
        10_000_001,
        32 * MEGABYTE,
        5,
        32 * MEGABYTE - 3,
        0,
    ];
    let sizes = small.chain(pieces.into_iter().flatten()).chain(large);

    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for (round, size) in sizes.enumerate() {
        let writer = round as i32 % job.size;
        let value = (job.rank == writer).then(|| text[..size].to_owned());
        let value = shared(&mut ctrl, writer, value).expect("the writer's value");
        // Not assert_eq, which would print the whole values.
        assert!(
            value == text[..size],
            "{} bytes are not the {size} shared",
            value.len()
        );
    }
}

fn bytes_of_many_sizes(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for (round, size) in [0, 1, 127, 128, 445, 446, 447, 448, 449, 1_000, 100_000]
        .into_iter()
        .enumerate()
    {
        let writer = round as i32 % job.size;
        let right: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let mine = if job.rank == writer {
            right.clone()
        } else {
            Vec::new()
        };
        assert!(shared(&mut ctrl, writer, mine) == right, "of {size} bytes");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Circle { radius: f64 },
    Polygon(Vec<(i64, i64)>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header<T> {
    title: String,
    shapes: Vec<Shape>,
    by_name: BTreeMap<String, Option<T>>,
    bounds: [f32; 3],
    letter: char,
}

fn all_kinds_of_values(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        shared(&mut ctrl, writer, ());
        assert!(shared(&mut ctrl, writer, true));
        assert_eq!(shared(&mut ctrl, writer, u128::MAX), u128::MAX);
        assert_eq!(shared(&mut ctrl, writer, i64::MIN), i64::MIN);
        assert!(shared(&mut ctrl, writer, f64::NAN).is_nan());
        assert_eq!(
            shared(&mut ctrl, writer, Some("grün".to_owned())),
            Some("grün".to_owned())
        );
        let header = Header {
            title: "Ergebnisse".to_owned(),
            shapes: vec![
                Shape::Nothing,
                Shape::Circle { radius: 0.5 },
                Shape::Polygon(vec![(1, -1); 50]),
            ],
            by_name: [("a".to_owned(), Some(1_u16)), ("b".to_owned(), None)].into(),
            bounds: [1.0, -2.0, f32::INFINITY],
            letter: 'ß',
        };
        assert_eq!(shared(&mut ctrl, writer, header.clone()), header);
        // A value may be borrowed on the writer and owned on the collectors.
        let text = match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => fence.share("borrowed").map(str::to_owned),
            Access::Excluded(fence) => fence.collect::<String>(),
        };
        assert_eq!(text.unwrap(), "borrowed");
        let items = match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => fence.share(&vec![1_u64, 2]).cloned(),
            Access::Excluded(fence) => fence.collect(),
        };
        assert_eq!(items.unwrap(), [1, 2]);
    }
}

/// The `items` that each rank has after `writer` shared them, in both ways of collecting.
fn slice<T: Plain + PartialEq>(ctrl: &mut WindowController, writer: i32, items: &[T], blank: &T) {
    match ctrl.on(writer).unwrap().single_write() {
        Access::Writer(fence) => fence.share_slice(items).unwrap(),
        Access::Excluded(fence) => {
            let collected: Vec<T> = fence.collect_vec().unwrap();
            assert!(collected == items, "of {} items", items.len());
        }
    }
    match ctrl.on(writer).unwrap().single_write() {
        Access::Writer(fence) => fence.share_slice(items).unwrap(),
        Access::Excluded(fence) => {
            let mut collected = vec![*blank; items.len()];
            fence.collect_into(&mut collected).unwrap();
            assert!(collected == items, "of {} items", items.len());
        }
    }
}

fn slices_of_many_lengths(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let lengths = [
        0, 1, 2, 7, 8, 9, 31, 32, 33, 100, 1_000, 8_191, 8_192, 100_000, 4_194_304,
    ];
    for (round, length) in lengths.into_iter().enumerate() {
        let items: Vec<f64> = (0..length).map(|index| f64::from(index) * 0.5).collect();
        slice(&mut ctrl, round as i32 % job.size, &items, &-1.0);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Equivalence)]
struct Sample {
    // The compiler may reorder these.
    flag: u8,
    kind: u8,
    time: f64,
    channel: u16,
    position: [f32; 3],
    nested: Nested,
}

#[derive(Clone, Copy, Debug, PartialEq, Equivalence)]
struct Nested {
    small: [i32; 2],
    large: u64,
}

fn slices_of_many_types(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let ctrl = &mut ctrl;
    for writer in 0..job.size {
        slice(ctrl, writer, &[1_u8, 2, 255], &0);
        slice(ctrl, writer, &[-1_i16, i16::MIN], &0);
        slice(ctrl, writer, &[i64::MIN, 0, i64::MAX], &1);
        slice(ctrl, writer, &[(); 700], &());
        slice(ctrl, writer, &[0.25_f32; 77], &0.0);
        slice(ctrl, writer, &[usize::MAX; 9], &0);
        let nested = |number: u64| Nested {
            small: [-(number as i32), 5],
            large: number << 40,
        };
        let samples: Vec<Sample> = (0..1_500_u16)
            .map(|number| Sample {
                flag: u8::from(number % 2 == 0),
                kind: 7,
                time: f64::from(number) / 3.0,
                channel: number,
                position: [f32::from(number), -1.0, 0.0],
                nested: nested(number.into()),
            })
            .collect();
        let blank = Sample {
            flag: 0,
            kind: 0,
            time: 0.0,
            channel: 0,
            position: [9.0; 3],
            nested: nested(0),
        };
        for length in [0, 1, 2, 3, 10, 1_500] {
            slice(ctrl, writer, &samples[..length], &blank);
        }
    }
}
