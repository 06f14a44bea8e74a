//! Parameters whose kind the macros do not know by the names of their types: aliases, a user's own
//! `Region`, and parameters with `#[cfg]`.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use std::io;

use mpisync::ndarray::Ix2;
use mpisync::{CollectiveError, WindowController};

type Field = mpisync::Region<u32, Ix2>;
type Ctl = WindowController;

/// Not mpisync's.
struct Region {
    rows: usize,
}

#[mpisync::single_write]
fn fill(field: &mut Field, value: u32, log: &mut Vec<u32>) -> io::Result<u32> {
    log.push(value);
    field.row_mut(0).fill(value);
    field[[1, 1]] = 5;
    Ok(field.sum())
}

#[mpisync::single_write(rank = field.size() - 1)]
fn fill_on(field: &mut Field) -> Result<u32, CollectiveError> {
    field.fill(1);
    Ok(field.sum())
}

#[mpisync::single_write(ctrl = field)]
fn fill_part(field: &mut Field, part: &mut Region) -> Result<u32, CollectiveError> {
    for row in 0..part.rows {
        field.row_mut(row).fill(2);
    }
    part.rows = 0;
    Ok(field.sum())
}

#[mpisync::single_write]
fn size(ctl: &mut Ctl) -> Result<i32, CollectiveError> {
    Ok(ctl.size())
}

#[mpisync::single_write(rank = 1)]
fn on_a_rank_that_is_not_there(ctl: &mut Ctl) -> io::Result<i32> {
    Ok(ctl.rank())
}

#[mpisync::collective]
fn rank(ctl: &mut Ctl) -> Result<i32, CollectiveError> {
    Ok(ctl.rank())
}

#[mpisync::single_write]
fn configured(
    #[cfg(windows)] ctrl: &mut WindowController,
    #[cfg(not(windows))] ctrl: &mut Field,
) -> Result<(), CollectiveError> {
    ctrl.fill(4);
    Ok(())
}

#[mpisync::single_write]
fn configured_out(
    #[cfg(windows)] _old: &mut WindowController,
    ctrl: &mut WindowController,
) -> Result<i32, CollectiveError> {
    Ok(ctrl.master())
}

fn main() {
    let mut field = Field::local([2, 3]).unwrap();
    let mut log = Vec::new();
    assert_eq!(fill(&mut field, 1, &mut log).unwrap(), 8);
    assert_eq!(log, [1]);
    assert_eq!(fill_on(&mut field).unwrap(), 6);
    let mut part = Region { rows: 1 };
    assert_eq!(fill_part(&mut field, &mut part).unwrap(), 9);
    assert_eq!(part.rows, 0);
    configured(&mut field).unwrap();
    assert_eq!(field.read().sum(), 24);

    let mut ctl = Ctl::local();
    assert_eq!(size(&mut ctl).unwrap(), 1);
    assert_eq!(rank(&mut ctl).unwrap(), 0);
    assert_eq!(configured_out(&mut ctl).unwrap(), 0);
    let error = on_a_rank_that_is_not_there(&mut ctl).unwrap_err();
    let source = error
        .get_ref()
        .and_then(|source| source.downcast_ref::<CollectiveError>());
    assert!(matches!(
        source,
        Some(CollectiveError::NoSuchRank { rank: 1, size: 1 })
    ));
}
