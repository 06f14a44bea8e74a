//! The names of a user and those of the macros do not interfere.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use ::mpisync::{CollectiveError as Failure, WindowController as Ctl};

/// Has the library's name.
mod mpisync {
    pub use ::mpisync::{collective, single_write};
}

/// Has the name of the crate that defines `Result`.
mod core {
    pub const NAME: &str = "core";
}

/// Not that of `std`.
type Result<T> = std::result::Result<T, Failure>;

#[mpisync::single_write(ctrl = fence, rank = rank)]
fn locals(fence: &mut Ctl, rank: i32, outcome: i32, call: i32) -> Result<(i32, i32, i32, String)> {
    Ok((fence.rank() + rank, outcome, call, core::NAME.to_owned()))
}

#[mpisync::collective(ctrl = call, share = rank)]
fn locals_of_collective(call: &mut Ctl, rank: i32, outcome: i32) -> Result<i32> {
    drop(call.write());
    Ok(rank + outcome)
}

/// The library under another name, as in a crate that renamed it.
mod renamed {
    pub use ::mpisync as sync;
}

#[renamed::sync::single_write(crate = renamed::sync, ctrl = ctrl)]
fn through_another_name(
    ctrl: &mut Ctl,
) -> std::result::Result<i32, renamed::sync::CollectiveError> {
    Ok(ctrl.size())
}

/// Two controllers, of which the named one is locked, and the other one is free.
#[mpisync::single_write(ctrl = b)]
fn second_of_two(a: &mut ::mpisync::WindowController, b: &mut Ctl) -> Result<i32> {
    drop(a.write());
    Ok(b.rank())
}

fn main() {
    let (mut a, mut b) = (Ctl::local(), Ctl::local());
    assert_eq!(
        locals(&mut a, 0, 2, 3).unwrap(),
        (0, 2, 3, "core".to_owned())
    );
    assert_eq!(locals_of_collective(&mut a, 0, 8).unwrap(), 8);
    assert_eq!(through_another_name(&mut a).unwrap(), 1);
    assert_eq!(second_of_two(&mut a, &mut b).unwrap(), 0);
}
