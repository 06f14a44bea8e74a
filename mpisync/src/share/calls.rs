//! The fenced calls that a rank makes on an object.

use crate::location::CallSite;
use crate::net::Link;
use crate::share::mailbox::MailboxMemory;
use crate::share::post::{Call, Post};
use crate::share::remote::Mailboxes;
use crate::shm::block::Block;
use crate::shm::domain::Domain;
use crate::shm::layout::Part;
use std::cell::Cell;
use std::time::Duration;

/// An object's mailbox, as one rank sees it, and the fenced calls that this rank has made through
/// it.
pub(crate) struct Calls {
    mailbox: MailboxMemory,
    /// Those of other nodes, where there are any.
    mailboxes: Option<Mailboxes>,
    /// The number of the last call that this rank has begun.
    last: Cell<u64>,
}

impl Calls {
    /// The calls on an object whose mailbox lies where `part` finds it in a view of the object's
    /// block.
    pub(crate) fn new(
        block: &Block,
        link: Option<&Link>,
        part: impl Fn(&Block) -> Part<'_>,
    ) -> Self {
        let mailbox = |block: &Block| MailboxMemory::new(part(block));
        Calls {
            mailbox: mailbox(block),
            mailboxes: link.map(|link| Mailboxes::open(link, mailbox)),
            last: Cell::new(0),
        }
    }

    /// Begins the next call.
    pub(crate) fn begin(&self, domain: &Domain) -> Call {
        let call = self.last().next(domain.epoch());
        self.last.set(call.0);
        call
    }

    /// The last call that this rank has begun.
    pub(crate) fn last(&self) -> Call {
        Call(self.last.get())
    }

    /// The last call, or that before the first one of this epoch.
    pub(crate) fn last_in_epoch(&self, domain: &Domain) -> Call {
        self.last().within(domain.epoch())
    }

    /// This rank's part in a call that it has made at `site`, on the object of `block`.
    pub(crate) fn post<'a>(&'a self, block: &'a Block, call: Call, site: CallSite) -> Post<'a> {
        Post {
            block,
            mailbox: &self.mailbox,
            mailboxes: self.mailboxes.as_ref(),
            call,
            site,
            spin_budget: Duration::ZERO,
        }
    }

    /// This rank takes part in no call any more.
    pub(crate) fn leave(&self) {
        self.mailbox.leave_calls();
    }
}
