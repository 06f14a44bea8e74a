//! `#[collective]`: every rank runs the body, and the body may lock, write, and make further
//! collective calls.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create(ctrl: &mut WindowController, n: u32) -> Result<u32, CollectiveError> {
    Ok(n * 2)
}

#[mpisync::collective]
fn step<'a, T>(
    ctrl: &mut WindowController,
    items: &'a mut Vec<T>,
    item: T,
) -> Result<&'a mut T, CollectiveError> {
    let before = create(ctrl, 21)?;
    assert_eq!(before, 42);
    let _writing = ctrl.write();
    items.push(item);
    Ok(items.last_mut().expect("an item was just pushed"))
}

#[mpisync::collective(share = ctrl.size() - 1)]
fn share(mut ctrl: WindowController, fail: bool) -> anyhow::Result<String> {
    if fail {
        anyhow::bail!("no value");
    }
    drop(ctrl.write());
    Ok(format!("from {}", ctrl.rank()))
}

fn main() {
    let mut ctrl = WindowController::local();
    let mut items = vec![1];
    *step(&mut ctrl, &mut items, 2).unwrap() += 5;
    assert_eq!(items, [1, 7]);
    assert!(ctrl.try_write().is_some(), "the body's guard is gone");

    assert_eq!(share(WindowController::local(), false).unwrap(), "from 0");
    let error = share(ctrl, true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no value",
        "the rank that failed keeps its error"
    );
}
