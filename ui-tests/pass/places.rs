//! Errors name the place of the call.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use std::panic::resume_unwind;

use mpisync::{CollectiveError, Place, WindowController};

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    let _writing = ctrl.write();
    resume_unwind(Box::new("a panic that writes nothing"))
}

/// Has the attribute already.
#[mpisync::collective]
#[track_caller]
fn tracked(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    let _writing = ctrl.write();
    resume_unwind(Box::new("a panic that writes nothing"))
}

/// Has the attribute under a condition that does not hold.
#[mpisync::collective]
#[cfg_attr(any(), track_caller)]
fn configured(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    let _writing = ctrl.write();
    resume_unwind(Box::new("a panic that writes nothing"))
}

fn place(outcome: Result<u32, CollectiveError>) -> Place {
    match outcome {
        Err(CollectiveError::Panicked { place, .. }) => place,
        _ => panic!("{outcome:?}"),
    }
}

#[mpisync::single_write(ctrl = WindowController::local())]
fn main() -> Result<(), CollectiveError> {
    let mut ctrl = WindowController::local();
    let (at, line) = (place(step(&mut ctrl)), line!());
    assert!(file!().ends_with(at.file()), "{at}");
    assert_eq!(at.line(), line);

    let (at, line) = (place(tracked(&mut ctrl)), line!());
    assert_eq!(at.line(), line);

    let (at, line) = (place(configured(&mut ctrl)), line!());
    assert_eq!(at.line(), line);
    Ok(())
}
