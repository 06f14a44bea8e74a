//! Values that travel from the writer of a fence to the other ranks.

use std::collections::BTreeMap;

use mpi::traits::Equivalence;
use mpisync::{Access, FenceError, WindowController};
use mpisync_tests::job::{Case, Job};
use serde::{Deserialize, Serialize};

use crate::common::shared;

pub const CASES: &[Case] = &[
    ("bytes_of_many_sizes", bytes_of_many_sizes),
    ("all_kinds_of_values", all_kinds_of_values),
    ("slices_of_many_lengths", slices_of_many_lengths),
    ("slices_of_many_types", slices_of_many_types),
];

fn byte(index: usize) -> u8 {
    (index % 251) as u8
}

/// From nothing to 32 MB, around the sizes at which the way of travelling may change.
fn bytes_of_many_sizes(job: &Job) {
    const SIZES: &[usize] = &[
        0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 55, 56, 63, 64, 65, 100, 119, 120, 127,
        128, 129, 250, 255, 256, 257, 511, 512, 513, 1_000, 1_023, 1_024, 1_025, 4_000, 4_095,
        4_096, 4_097, 8_192, 16_384, 65_535, 65_536, 65_537, 262_144, 1_048_576, 1_048_577,
        33_554_432, 5, 33_554_431, 0,
    ];
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for (round, &size) in SIZES.iter().enumerate() {
        let writer = round as i32 % job.size;
        let value = (job.rank == writer).then(|| (0..size).map(byte).collect::<Vec<u8>>());
        let value = shared(&mut ctrl, writer, value).expect("the writer's value");
        assert_eq!(value.len(), size);
        let wrong = value
            .iter()
            .enumerate()
            .find(|(index, found)| **found != byte(*index));
        assert_eq!(wrong, None, "of {size} bytes");
    }
    for size in 0..600 {
        let value: String = (0..size)
            .map(|index| char::from(b'a' + (index % 26) as u8))
            .collect();
        assert_eq!(shared(&mut ctrl, size % job.size, value.clone()), value);
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
        // A value may be borrowed where it is shared and owned where it is collected.
        let text = match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => fence.share("borrowed").map(str::to_owned),
            Access::Excluded(fence) => fence.collect::<String>(),
        };
        // Whether `&str` counts as `String` is for the library to say, but it must say it.
        match text {
            Ok(text) => assert_eq!(text, "borrowed"),
            Err(error) => assert!(matches!(error, FenceError::TypeMismatch { .. }), "{error}"),
        }
    }
}

/// What all ranks have of `items` after `writer` shared them, in both ways of collecting.
fn slice<T: Equivalence + Clone + PartialEq>(
    ctrl: &mut WindowController,
    writer: i32,
    items: &[T],
    blank: &T,
) {
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
            let mut collected = vec![blank.clone(); items.len()];
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
    // The compiler may order these as it likes and leaves gaps: a plain copy of the bytes would still be right,
    // but the datatype has to be too.
    flag: bool,
    time: f64,
    channel: u16,
    position: [f32; 3],
    nested: Nested,
}

/// Derived as a program does that has MPI through the library alone.
#[derive(Clone, Copy, Debug, PartialEq, Equivalence)]
#[mpi(crate = "::mpisync::mpi")]
struct Nested {
    small: i8,
    large: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Equivalence)]
struct Empty;

fn slices_of_many_types(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let ctrl = &mut ctrl;
    for writer in 0..job.size {
        slice(ctrl, writer, &[1_u8, 2, 255], &0);
        slice(ctrl, writer, &[-1_i16, i16::MIN], &0);
        slice(ctrl, writer, &[i64::MIN, 0, i64::MAX], &1);
        slice(ctrl, writer, &[true, false, true], &false);
        slice(ctrl, writer, &[0.25_f32; 77], &0.0);
        slice(ctrl, writer, &[usize::MAX; 9], &0);
        slice(ctrl, writer, &[Empty; 3], &Empty);
        let nested = |number: u64| Nested {
            small: -((number % 100) as i8),
            large: number << 40,
        };
        let samples: Vec<Sample> = (0..1_500_u16)
            .map(|number| Sample {
                flag: number % 2 == 0,
                time: f64::from(number) / 3.0,
                channel: number,
                position: [f32::from(number), -1.0, 0.0],
                nested: nested(number.into()),
            })
            .collect();
        let blank = Sample {
            flag: false,
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
