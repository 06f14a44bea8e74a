//! The channels of this thread that end with MPI.
//!
//! Once MPI ends, this rank puts and takes nothing any more, whether its ends were dropped,
//! forgotten or are still held. So they are closed then, and no rank waits for messages that cannot
//! come, or for room.

use crate::channel::ends::Ends;
use crate::plain::Plain;
use crate::rsmpi;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Once;

trait Close {
    fn close(&self);
}

impl<T: Plain> Close for Ends<T> {
    fn close(&self) {
        self.queue().close_producer();
        self.queue().close_consumer();
    }
}

thread_local! {
    static OPEN: RefCell<Vec<Weak<dyn Close>>> = const { RefCell::new(Vec::new()) };
}

/// Has the ends closed when MPI ends, if they are still there.
pub(super) fn close_at_end<T: Plain>(ends: &Rc<Ends<T>>) {
    static AT_END: Once = Once::new();
    AT_END.call_once(|| rsmpi::first_at_end(close_all));
    let ends: Rc<dyn Close> = Rc::<Ends<T>>::clone(ends);
    OPEN.with_borrow_mut(|open| {
        if open.len() == open.capacity() {
            open.retain(|ends| ends.strong_count() > 0);
        }
        open.push(Rc::downgrade(&ends));
    });
}

fn close_all() {
    // Where another thread ends MPI, or a thread ends it in its last moments, there is nothing here to close.
    let open = OPEN.try_with(RefCell::take).unwrap_or_default();
    for ends in open.iter().filter_map(Weak::upgrade) {
        ends.close();
    }
}
