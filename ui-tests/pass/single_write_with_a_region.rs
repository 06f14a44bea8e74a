//! `#[single_write]` on functions that write a region: in the body the parameter's name is that of
//! the write guard.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]
#![allow(clippy::float_cmp)] // The numbers here are sums of halves, which floats have exactly.

use mpisync::ndarray::{Dimension, Ix2, s};
use mpisync::{CollectiveError, Plain, Region, RegionWriteGuard, WindowController};

#[mpisync::single_write]
fn start(field: &mut Region<f64>) -> Result<f64, CollectiveError> {
    field[[0, 1]] = 1.0;
    field.slice_mut(s![2.., ..]).fill(0.5);
    Ok(field.sum())
}

/// By value, on a selected rank, with another parameter that is changed.
#[mpisync::single_write(rank = field.size() - 1)]
fn last(mut field: Region<f64, Ix2>, log: &mut Vec<usize>) -> anyhow::Result<(i32, f64)> {
    if field.is_empty() {
        anyhow::bail!("no items");
    }
    log.push(field.len());
    row(field, "1")?;
    Ok((0, field[[1, 0]]))
}

/// A function that takes the guard.
fn row(field: &mut RegionWriteGuard<'_, f64, Ix2>, row: &str) -> anyhow::Result<()> {
    field.row_mut(row.parse()?).fill(3.0);
    Ok(())
}

#[mpisync::single_write(rank = 0)]
fn generic<T: Plain, D: Dimension>(
    field: &mut mpisync::Region<T, D>,
    item: T,
) -> Result<usize, CollectiveError> {
    field.fill(item);
    Ok(field.len())
}

/// The name of a region that the body does not use.
#[mpisync::single_write]
fn unused(field: &mut Region<u8>) -> Result<u8, CollectiveError> {
    Ok(7)
}

/// A region that is read while another one is written: only one of them is a mutable reference.
#[mpisync::single_write]
fn copy(from: &Region<f64>, to: &mut Region<f64>) -> anyhow::Result<()> {
    Ok(to.assign(from.read().view(), [0, 0])?)
}

/// The region that `ctrl` names.
#[mpisync::single_write(ctrl = b)]
fn second_of_two(a: &mut Region<u8>, b: &mut Region<u8>) -> Result<u8, CollectiveError> {
    a.write().fill(2);
    b.fill(1);
    Ok(a.read()[[0]] + b[[0]])
}

/// If there is also a controller, it is used, and the region is an ordinary parameter.
#[mpisync::single_write]
fn beside(
    field: &mut Region<u8>,
    ctrl: &mut WindowController,
) -> Result<(i32, u8), CollectiveError> {
    field.write()[[0]] = 9;
    Ok((ctrl.rank(), field.read()[[0]]))
}

#[mpisync::single_write(ctrl = field)]
fn named(ctrl: &mut WindowController, field: &mut Region<u8>) -> Result<u8, CollectiveError> {
    let _alone = ctrl.write();
    field[[0]] += 1;
    Ok(field[[0]])
}

/// Every rank runs this one, which needs a controller in addition to the region.
#[mpisync::collective]
fn step(ctrl: &mut WindowController, field: &mut Region<u8>) -> Result<u8, CollectiveError> {
    drop(ctrl.write());
    field.write()[[0]] += 1;
    unused(field)
}

struct Steps(u32);

impl Steps {
    #[mpisync::single_write]
    #[track_caller]
    fn next(&mut self, field: &mut Region<f64>) -> Result<u32, CollectiveError> {
        self.0 += 1;
        field[[0, 0]] = self.0.into();
        Ok(self.0)
    }
}

fn main() -> anyhow::Result<()> {
    let mut field = Region::local([4, 6])?;
    assert_eq!(start(&mut field)?, 7.0);
    assert_eq!(Steps(4).next(&mut field)?, 5);
    assert_eq!(field.read()[[0, 0]], 5.0);
    let mut copied = Region::local([5, 6])?;
    copy(&field, &mut copied)?;
    assert_eq!(copied.read().sum(), 12.0);
    assert!(copy(&copied, &mut field).is_err(), "too many rows");
    assert_eq!(generic(&mut field, 0.0)?, 24);

    let mut log = Vec::new();
    assert_eq!(last(Region::local([2, 2])?, &mut log)?, (0, 3.0));
    assert!(last(Region::local([0, 2])?, &mut log).is_err());
    assert_eq!(log, [4]);

    let mut ctrl = WindowController::local();
    let (mut a, mut b) = (Region::local([1])?, Region::local([1])?);
    assert_eq!(unused(&mut a)?, 7);
    assert_eq!(second_of_two(&mut a, &mut b)?, 3);
    assert_eq!(beside(&mut a, &mut ctrl)?, (0, 9));
    assert_eq!(named(&mut ctrl, &mut b)?, 2);
    assert_eq!(step(&mut ctrl, &mut b)?, 7);
    assert_eq!(b.read()[[0]], 3);
    Ok(())
}
