//! The ledger of a batch, wherever it lies.

use crate::controller::WindowController;
use crate::ledger::question::{LedgerAnswer, Question};
use crate::ledger::{Counts, Ledger, Offers, Taken};
use crate::memory::ledger::Table;
use crate::memory::words::ledger::Entry;

/// The ledger as this rank reaches it: in its node's memory, or through the agent of the root's node.
#[derive(Clone, Copy)]
pub(super) struct Books<'a> {
    pub(super) here: Option<&'a Ledger<Table>>,
    pub(super) base: &'a WindowController,
}

impl Books<'_> {
    /// Takes a task for this rank.
    #[inline]
    pub(super) fn take(self, offers: Offers) -> Option<Taken> {
        if let Some(ledger) = self.here {
            return ledger.take(self.rank(), offers);
        }
        match self.ask_home(Question::Take(offers)) {
            LedgerAnswer::Taken(taken) => taken,
            answer => unexpected(answer),
        }
    }

    /// Says what has become of the task that this rank has taken. Does not wait.
    #[inline]
    pub(super) fn finish(self, task: usize, entry: Entry) {
        match self.here {
            Some(ledger) => drop(ledger.finish(self.rank(), task, entry)),
            None => self.tell(Question::Finish(task, entry)),
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
        self.base.rank() as usize
    }

    fn ask(self, question: Question) -> LedgerAnswer {
        match self.here {
            Some(ledger) => ledger.answer(self.rank(), question),
            None => self.ask_home(question),
        }
    }

    #[cfg(feature = "mpi")]
    fn ask_home(self, question: Question) -> LedgerAnswer {
        use crate::cluster::{Reply, Word};
        use crate::ledger::question::LedgerWord;
        use crate::wait::Deadline;
        let tier = self.base.tier().expect("there are other nodes");
        let request = tier.ask_home(|asker, request| {
            Word::Ledger(LedgerWord {
                asker,
                request: Some(request),
                question,
            })
        });
        match tier.wait_for_reply(self.base.block(), request, Deadline::Never) {
            Ok(Reply::Ledger(answer)) => answer,
            reply => unreachable!("a ledger's reply: {reply:?}"),
        }
    }

    #[cfg(feature = "mpi")]
    fn tell(self, question: Question) {
        use crate::cluster::Word;
        use crate::ledger::question::LedgerWord;
        let tier = self.base.tier().expect("there are other nodes");
        tier.tell_home(Word::Ledger(LedgerWord {
            asker: tier.hub.rank(),
            request: None,
            question,
        }));
    }

    #[cfg(not(feature = "mpi"))]
    fn ask_home(self, _: Question) -> LedgerAnswer {
        unreachable!("without MPI there are no other nodes")
    }

    #[cfg(not(feature = "mpi"))]
    fn tell(self, _: Question) {
        unreachable!("without MPI there are no other nodes")
    }
}

#[cold]
fn unexpected(answer: LedgerAnswer) -> ! {
    unreachable!("an answer to another question: {answer:?}")
}
