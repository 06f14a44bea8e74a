//! Errors name the place of the attribute, or, with `#[track_caller]`, that of the call.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use std::panic::resume_unwind;

use mpisync::{CollectiveError, Place, WindowController};

const ATTRIBUTE: u32 = line!() + 1;
#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    let _writing = ctrl.write();
    resume_unwind(Box::new("a panic that writes nothing"))
}

#[mpisync::collective]
#[track_caller]
fn tracked(ctrl: &mut WindowController) -> Result<u32, CollectiveError> {
    let _writing = ctrl.write();
    resume_unwind(Box::new("a panic that writes nothing"))
}

fn place(outcome: Result<u32, CollectiveError>) -> Place {
    match outcome {
        Err(CollectiveError::Panicked { place, .. }) => place,
        _ => panic!("{outcome:?}"),
    }
}

fn main() {
    let mut ctrl = WindowController::local();
    let at = place(step(&mut ctrl));
    assert!(file!().ends_with(at.file()), "{at}");
    assert_eq!(at.line(), ATTRIBUTE);

    let (at, line) = (place(tracked(&mut ctrl)), line!());
    assert_eq!(at.line(), line);
}
