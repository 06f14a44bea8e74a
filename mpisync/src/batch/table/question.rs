//! What a rank may want of a ledger. On another node the node's server is asked, which acts for the rank.

use crate::batch::table::layout::Entry;
use crate::batch::table::memory::LedgerMemory;
use crate::batch::table::{Counts, Ledger, Offers, Taken};
use crate::net::Message;
use serde::{Deserialize, Serialize};

/// What a rank wants of a ledger.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    Take(Offers),
    Finish(usize, Entry),
    Set(usize, Entry),
    Entry(usize),
    Find(Entry, usize),
    Counts,
    Bury,
}

/// What a ledger answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum LedgerAnswer {
    Taken(Option<Taken>),
    Changed(bool),
    Entry(Entry),
    Found(Option<usize>),
    Counts(Counts),
    Buried(usize),
}

impl Message for Question {}
impl Message for LedgerAnswer {}

impl<M: LedgerMemory> Ledger<M> {
    /// Does what `rank` wants.
    #[inline]
    pub(crate) fn answer(&self, rank: usize, question: Question) -> LedgerAnswer {
        match question {
            Question::Take(offers) => LedgerAnswer::Taken(self.take(rank, offers)),
            Question::Finish(task, entry) => LedgerAnswer::Changed(self.finish(rank, task, entry)),
            Question::Set(task, entry) => LedgerAnswer::Changed(self.set(task, entry)),
            Question::Entry(task) => LedgerAnswer::Entry(self.entry(task)),
            Question::Find(entry, from) => LedgerAnswer::Found(self.find(entry, from)),
            Question::Counts => LedgerAnswer::Counts(self.counts()),
            Question::Bury => LedgerAnswer::Buried(self.bury()),
        }
    }
}
