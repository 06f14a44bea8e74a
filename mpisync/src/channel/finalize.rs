//! Closes the channels of a thread when MPI is finalized.
//!
//! Once MPI is finalized, this rank puts and takes no more messages, whether its handles were
//! dropped, forgotten or are still in use. Closing their ends then keeps other ranks from waiting
//! for messages or room in vain.

use crate::channel::message::Message;
use crate::channel::shared::Shared;
use crate::rsmpi;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Once;

trait Close {
    fn close(&self);
}

impl<T: Message + ?Sized> Close for Shared<T> {
    fn close(&self) {
        self.takes.close_producer();
        self.takes.close_consumer();
    }
}

thread_local! {
    static OPEN: RefCell<Vec<Weak<dyn Close>>> = const { RefCell::new(Vec::new()) };
}

/// Closes the channel when MPI is finalized, if it still exists.
pub(super) fn close_at_end<T: Message + ?Sized>(channel: &Rc<Shared<T>>) {
    static AT_END: Once = Once::new();
    AT_END.call_once(|| rsmpi::first_at_end(close_all));
    let channel: Rc<dyn Close> = Rc::<Shared<T>>::clone(channel);
    OPEN.with_borrow_mut(|open| {
        if open.len() == open.capacity() {
            open.retain(|channel| channel.strong_count() > 0);
        }
        open.push(Rc::downgrade(&channel));
    });
}

fn close_all() {
    // If another thread finalizes MPI, or a thread does so while it exits, there is nothing to
    // close here.
    let open = OPEN.try_with(RefCell::take).unwrap_or_default();
    for channel in open.iter().filter_map(Weak::upgrade) {
        channel.close();
    }
}
