//! The ledger of a batch, wherever it lies.

use crate::batch::behind_mailbox;
use crate::batch::table::layout::Entry;
use crate::batch::table::memory::Table;
use crate::batch::table::question::{LedgerAnswer, Question};
use crate::batch::table::remote::{LedgerClient, LedgerServer};
use crate::batch::table::{Counts, Ledger, Offers, Taken};
use crate::object::Object;
use std::sync::Arc;

/// Where the ledger is, seen from this rank.
pub(super) enum Side {
    /// On this node.
    Here(Arc<Ledger<Table>>),
    /// On another node.
    Remote(LedgerClient),
}

/// The ledger as this rank reaches it: in its node's memory, or through the server of the root's node.
#[derive(Clone, Copy)]
pub(super) struct Books<'a> {
    pub(super) side: &'a Side,
    pub(super) object: &'a Object,
}

impl Side {
    /// The ledger of so many tasks of a batch.
    pub(super) fn open(object: &Object, tasks: usize) -> Self {
        let link = object.link();
        match link.and_then(|link| LedgerServer::open(link, tasks, behind_mailbox)) {
            Some(client) => Side::Remote(client),
            None => {
                let memory = Table::new(behind_mailbox(object.block()), tasks);
                Side::Here(Arc::new(Ledger { memory }))
            }
        }
    }

    /// The ledger, where it is on this node.
    pub(super) fn here(&self) -> Option<&Arc<Ledger<Table>>> {
        match self {
            Side::Here(ledger) => Some(ledger),
            Side::Remote(_) => None,
        }
    }
}

impl Books<'_> {
    /// Takes a task for this rank.
    #[inline]
    pub(super) fn take(self, offers: Offers) -> Option<Taken> {
        if let Side::Here(ledger) = self.side {
            return ledger.take(self.rank(), offers);
        }
        match self.ask(Question::Take(offers)) {
            LedgerAnswer::Taken(taken) => taken,
            answer => unexpected(answer),
        }
    }

    /// Says what has become of the task that this rank has taken. Does not wait.
    #[inline]
    pub(super) fn finish(self, task: usize, entry: Entry) {
        match self.side {
            Side::Here(ledger) => drop(ledger.finish(self.rank(), task, entry)),
            Side::Remote(client) => client.notify(Question::Finish(task, entry)),
        }
    }

    /// Says what has become of a task; false if a rank has taken it.
    pub(super) fn set(self, task: usize, entry: Entry) -> bool {
        match self.ask(Question::Set(task, entry)) {
            LedgerAnswer::Changed(set) => set,
            answer => unexpected(answer),
        }
    }

    pub(super) fn entry(self, task: usize) -> Entry {
        match self.ask(Question::Entry(task)) {
            LedgerAnswer::Entry(entry) => entry,
            answer => unexpected(answer),
        }
    }

    /// The first task from `from` on with this entry.
    pub(super) fn find(self, entry: Entry, from: usize) -> Option<usize> {
        match self.ask(Question::Find(entry, from)) {
            LedgerAnswer::Found(found) => found,
            answer => unexpected(answer),
        }
    }

    pub(super) fn counts(self) -> Counts {
        match self.ask(Question::Counts) {
            LedgerAnswer::Counts(counts) => counts,
            answer => unexpected(answer),
        }
    }

    /// Opens the tasks of dead ranks again; how many.
    pub(super) fn bury(self) -> usize {
        match self.ask(Question::Bury) {
            LedgerAnswer::Buried(opened) => opened,
            answer => unexpected(answer),
        }
    }

    #[inline]
    fn rank(self) -> usize {
        self.object.rank() as usize
    }

    fn ask(self, question: Question) -> LedgerAnswer {
        match self.side {
            Side::Here(ledger) => ledger.answer(self.rank(), question),
            Side::Remote(client) => client.ask(self.object.block(), question),
        }
    }
}

#[cold]
fn unexpected(answer: LedgerAnswer) -> ! {
    unreachable!("an answer to another question: {answer:?}")
}
