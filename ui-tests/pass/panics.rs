//! A body that panics. In a `single_write` the panic continues on the rank where it happened; in a
//! `collective` all ranks get it as the same error. In both cases the lock is released.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use std::panic::{self, AssertUnwindSafe};

use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create(ctrl: &mut WindowController, panic: bool) -> Result<u32, CollectiveError> {
    assert!(!panic, "rank {} panics", ctrl.rank());
    Ok(1)
}

#[mpisync::collective]
fn step(ctrl: &mut WindowController, panic: bool) -> Result<u32, CollectiveError> {
    let _writing = ctrl.write();
    assert!(!panic, "in the middle of a step");
    Ok(2)
}

/// The panics here are expected, so they are not printed.
fn quietly<T>(call: impl FnOnce() -> T) -> std::thread::Result<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    panic::set_hook(hook);
    outcome
}

fn main() {
    let mut ctrl = WindowController::local();

    let panic = quietly(|| create(&mut ctrl, true)).expect_err("the panic goes on");
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "rank 0 panics");
    assert_eq!(create(&mut ctrl, false).unwrap(), 1);

    let outcome = quietly(|| step(&mut ctrl, true)).expect("the panic is an error");
    let Err(CollectiveError::Panicked { rank, message, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((rank, message.as_str()), (0, "in the middle of a step"));
    assert_eq!(step(&mut ctrl, false).unwrap(), 2);
    assert!(ctrl.try_write().is_some(), "the lock is free again");
}
