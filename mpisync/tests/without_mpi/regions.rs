//! Regions without MPI: one process, the whole interface.

use mpisync::ndarray::{Array2, ArrayD, Axis, Ix1, Ix2, Ix3, IxDyn, arr1, s};
use mpisync::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, mpisync::Equivalence)]
struct Particle {
    id: u64,
    position: [f64; 3],
}

/// Whether the lock is free.
fn is_free<T: Plain>(region: &Region<T, Ix1>) -> bool {
    let shown = format!("{region:?}");
    shown.contains("writer: None") && shown.contains(", readers: []")
}

#[test]
fn it_is_alone() {
    let region = Region::<f64>::local([4, 6]).expect("room");
    assert_eq!((region.rank(), region.size(), region.nodes()), (0, 1, 1));
    assert_eq!((region.master(), region.name()), (0, "local"));
    assert!(region.is_master());
    assert_eq!((region.shape(), region.len()), (&[4, 6][..], 24));
    assert_eq!((region.ndim(), region.bytes_per_node()), (2, 192));
    assert!(!region.is_empty());
    assert_eq!(region.read().sum(), 0.0);
    region.close().expect("nobody to wait for");
}

#[test]
fn items_are_written_in_every_way() {
    let mut region = Region::<i32, Ix3>::local([2, 3, 4]).expect("room");
    let mut items = region.write();
    items.fill(1);
    items[[1, 2, 3]] = 5;
    items.slice_mut(s![0, .., ..;2]).fill(2);
    items.index_axis_mut(Axis(2), 1).fill(3);
    items.view_mut().mapv_inplace(|item| 10 * item);
    items.as_slice_mut()[0] = 7;
    let block = Array2::from_elem((1, 4), 9).insert_axis(Axis(0));
    items.assign(&block, [1, 0, 0]).expect("inside");
    assert_eq!(items[[1, 2, 3]], 50);
    items.publish().expect("nowhere to");
    let items = items.downgrade().expect("nowhere to");
    let right = [
        7, 30, 20, 10, 20, 30, 20, 10, 20, 30, 20, 10, 9, 9, 9, 9, 10, 30, 10, 10, 10, 30, 10, 50,
    ];
    assert_eq!(items.as_slice().expect("in order"), right);
}

#[test]
fn rows_are_lent_where_there_are_two_dimensions() {
    let mut region = Region::<f64, Ix2>::local([3, 2]).expect("room");
    region.write().row_mut(1).assign(&arr1(&[1.0, 2.0]));
    assert_eq!(region.read().row(1).sum(), 3.0);
}

#[test]
fn structs_are_items() {
    let mut particles = Region::<Particle, Ix1>::local(100).expect("room");
    let last = Particle {
        id: 7,
        position: [0.5; 3],
    };
    particles.write()[99] = last;
    assert_eq!(particles.read()[99], last);
    assert_eq!(particles.bytes_per_node(), 3200);
}

#[test]
fn guards_hold_the_lock() {
    let mut region = Region::<u8, Ix1>::local(1).expect("room");
    {
        let first = region.read();
        let second = region.try_read().expect("the same rank");
        let third = region.read_timeout(Duration::ZERO).expect("the same rank");
        assert_eq!((first[0], second[0], third[0]), (0, 0, 0));
        assert!(!is_free(&region));
    }
    assert!(is_free(&region));
    region.try_write().expect("nobody else")[0] = 1;
    region.write_timeout(Duration::ZERO).expect("nobody else")[0] += 1;
    assert!(is_free(&region));
    assert_eq!(region.read()[0], 2);
}

#[test]
fn a_writer_that_panics_lets_go() {
    let mut region = Region::<u8, Ix1>::local(2).expect("room");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut items = region.write();
        items[0] = 1;
        items[2] = 1;
    }));
    assert!(panicked.is_err());
    assert!(is_free(&region));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        region
            .update(|items| items[5] = 1)
            .expect("a panic goes on");
    }));
    assert!(panicked.is_err());
    assert!(is_free(&region));
    assert_eq!(region.read().to_vec(), [1, 0]);
}

#[test]
fn what_all_ranks_do_one_does_alone() {
    let mut region = Region::<f64>::local([2, 3]).expect("room");
    let row = ArrayD::from_elem(IxDyn(&[1, 3]), 2.0);
    region.set(0, Some(&row), [1, 0]).expect("inside");
    region.set_from_any(Some(&row), [0, 0]).expect("inside");
    assert_eq!(region.read().sum(), 12.0);
    let outside = region.set(0, Some(&row), [0, 1]);
    assert!(matches!(
        outside,
        Err(RegionError::OutOfBounds { axis: 1, .. })
    ));
    let nobody = region.set(1, Some(&row), [0, 0]);
    assert_eq!(
        nobody,
        Err(RegionError::RankOutOfRange {
            argument: "root",
            rank: 1,
            size: 1
        })
    );
    let nothing = region.set_from_any(None::<&ArrayD<f64>>, [0, 0]);
    assert_eq!(nothing, Err(RegionError::NoRoot));
    let sum = region.update(|items| items.sum()).expect("alone");
    assert_eq!(sum, 12.0);
    let failed = region.try_update(|_| Err::<(), _>(anyhow::anyhow!("no file")));
    assert_eq!(failed.expect_err("as it said").to_string(), "no file");
}

#[mpisync::single_write]
fn load(field: &mut Region<f64, Ix1>, value: f64) -> anyhow::Result<f64> {
    field.fill(value);
    field[0] = 0.0;
    Ok(field.sum())
}

#[test]
fn a_function_writes_it() {
    let mut field = Region::local(4).expect("room");
    assert_eq!(load(&mut field, 2.0).expect("alone"), 6.0);
    assert_eq!(field.read()[3], 2.0);
}

#[test]
fn threads_may_read_what_a_guard_shows() {
    let mut region = Region::<u64, Ix1>::local(1000).expect("room");
    region.write().fill(3);
    let items = region.read();
    let (left, right) = items.view().split_at(Axis(0), 400);
    let sum = thread::scope(|scope| {
        let left = scope.spawn(move || left.sum());
        left.join().expect("no panic") + right.sum()
    });
    assert_eq!(sum, 3000);
}

#[test]
fn shapes_that_cannot_be_are_errors() {
    let shape = |shape: &[usize]| Region::<u64>::local(shape).err();
    for shape in [&[usize::MAX][..], &[1 << 40, 1 << 40], &[1 << 62, 0, 4]] {
        let error = Region::<u64>::local(shape).expect_err("too large");
        assert!(matches!(error, CreateError::Shape { .. }), "{error}");
    }
    assert!(shape(&[0, 5]).is_none());
    // It fits into the address space, and not into memory.
    let huge = Region::<u8>::local(isize::MAX as usize).expect_err("too large");
    assert!(matches!(huge, CreateError::NoRoom { .. }), "{huge}");
}

/// A rank that leaks guards can continue to write; its later changes were lent to no one.
#[test]
fn leaked_guards_let_the_region_go() {
    let mut region = Region::<u8, Ix1>::local(2).expect("room");
    std::mem::forget(region.read());
    assert!(!is_free(&region));
    region.write()[0] = 1;
    assert!(is_free(&region));
    let mut items = region.write();
    items[1] = 2;
    std::mem::forget(items);
    region.try_write().expect("nobody else")[0] += 1;
    std::mem::forget(region.write());
    region.write_timeout(Duration::ZERO).expect("nobody else")[0] += 1;
    std::mem::forget(region.write());
    assert_eq!(region.update(|items| items.sum()), Ok(5));
    std::mem::forget(region.write());
    region.set(0, Some(&[4, 5]), 0).expect("inside");
    assert!(is_free(&region));
    std::mem::forget((region.read(), region.read()));
    region.close().expect("nobody to wait for");
}

#[test]
fn data_in_reverse_order_is_copied() {
    let mut region = Region::<u8, Ix2>::local([2, 3]).expect("room");
    let data = Array2::from_shape_fn((2, 3), |(row, column)| (3 * row + column) as u8);
    region
        .set(0, Some(data.slice(s![..;-1, ..;-1])), [0, 0])
        .expect("inside");
    assert_eq!(region.read().as_slice(), Some(&[5, 4, 3, 2, 1, 0][..]));
    let mut items = region.write();
    items
        .slice_mut(s![..;-1, ..;-2])
        .assign(&data.slice(s![.., ..2]));
    assert_eq!(items.as_slice(), Some(&[4, 4, 3, 1, 1, 0][..]));
}

#[test]
fn it_says_what_it_is() {
    let mut region = Region::<f32, Ix2>::local([1000, 2]).expect("room");
    region.write()[[999, 1]] = 0.5;
    let text = region.to_string();
    for words in [
        "Region \"local\"",
        "[1000, 2]",
        "f32",
        "8000 bytes",
        "0.5",
        "...",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert!(text.lines().count() < 30, "{text}");
}

#[test]
fn guards_show_the_items() {
    let mut region = Region::<f32, Ix1>::local(2).expect("room");
    let mut items = region.write();
    items[1] = 0.5;
    assert_eq!(
        (items.rank(), items.to_string()),
        (0, "[0, 0.5]".to_owned())
    );
    drop(items);
    let items = region.read();
    assert_eq!(
        (items.rank(), format!("{items:.1}")),
        (0, "[0.0, 0.5]".to_owned())
    );
}

#[test]
fn parts_are_lent() {
    let mut region = Region::<i32, Ix3>::local([4, 2, 3]).expect("room");
    {
        let mut part = region.write_part(1..3);
        assert_eq!((part.shape(), part.range()), (&[2, 2, 3][..], 1..3));
        assert_eq!((part.rank(), part.size(), part.name()), (0, 1, "local"));
        part.fill(1);
        part[[1, 1, 2]] = 5;
        part.index_axis_mut(Axis(1), 0).fill(2);
        part.slice_mut(s![0, 1, ..]).fill(3);
        part.as_slice_mut()[0] = 7;
        part.view_mut().mapv_inplace(|item| 10 * item);
        let row = Array2::from_elem((1, 3), 4).insert_axis(Axis(0));
        part.assign(&row, [1, 0, 0]).expect("inside");
        let outside = part.assign(&row, [2, 0, 0]);
        assert!(matches!(
            outside,
            Err(RegionError::OutOfBounds {
                axis: 0,
                extent: 2,
                ..
            })
        ));
        part.publish().expect("nowhere to");
    }
    let right = [
        0, 0, 0, 0, 0, 0, 70, 20, 20, 30, 30, 30, 4, 4, 4, 10, 10, 50, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(region.read().as_slice().expect("in order"), right);
    let mut table = Region::<f64, Ix2>::local([3, 2]).expect("room");
    table.write_part(2..).row_mut(0).fill(1.5);
    assert_eq!(table.read().row(2).sum(), 3.0);
    assert_eq!(table.write_part(..=1).sum(), 0.0);
}

#[test]
fn parts_are_inside_the_region() {
    let now = Duration::ZERO;
    let mut region = Region::<f64, Ix2>::local([4, 2]).expect("room");
    for (start, end) in [(0, 5), (3, 2), (4, 5), (5, 5), (usize::MAX, usize::MAX)] {
        let error = region.write_part_timeout(start..end, now).map(drop);
        let rows = 4;
        assert_eq!(
            error,
            Err(RegionError::PartOutOfBounds { start, end, rows })
        );
    }
    let error = region.write_part_timeout(2..=usize::MAX, now).map(drop);
    let words = error.expect_err("outside").to_string();
    assert!(words.contains("inside 0..4"), "{words}");
    let panic = catch_unwind(AssertUnwindSafe(|| drop(region.write_part(3..6))));
    assert!(panic.is_err());
    // An empty part takes no lock, and may be taken at the end.
    for empty in [0..0, 2..2, 4..4] {
        let mut part = region.write_part_timeout(empty, now).expect("inside");
        assert!(part.is_empty() && part.as_slice_mut().is_empty());
        part.fill(1.0);
    }
    assert_eq!(region.read().sum(), 0.0);
    let mut flat = Region::<f64, Ix2>::local([4, 0]).expect("room");
    assert_eq!(flat.write_part(1..3).shape(), [2, 0]);
    let mut none = Region::<f64>::local([0, 3]).expect("room");
    assert!(none.write_part(..).is_empty());
    let mut number = Region::<f64>::local(IxDyn(&[])).expect("room");
    let error = number.write_part_timeout(.., now).map(drop);
    assert_eq!(error, Err(RegionError::NoRows));
}
