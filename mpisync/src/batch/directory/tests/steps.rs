//! Actions of another job between two steps of a job.

use std::cell::RefCell;

type Visit = Box<dyn FnOnce()>;

thread_local! {
    static VISIT: RefCell<Option<(&'static str, Visit)>> = const { RefCell::new(None) };
}

/// Runs `visit` when this thread next reaches the step `name`.
pub(super) fn at(name: &'static str, visit: impl FnOnce() + 'static) {
    VISIT.set(Some((name, Box::new(visit))));
}

/// Whether no action waits for its step any more.
pub(super) fn all_reached() -> bool {
    VISIT.with_borrow(Option::is_none)
}

pub(in crate::batch::directory) fn reached(name: &'static str) {
    let visit = VISIT.with_borrow_mut(|visit| match visit {
        Some((expected, _)) if *expected == name => visit.take(),
        _ => None,
    });
    if let Some((_, visit)) = visit {
        visit();
    }
}
