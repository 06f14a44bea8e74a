//! What a rank may want of a table. On another node the node's server is asked, which acts for the
//! rank.

use crate::batch::table::layout::TaskStatus;
use crate::batch::table::memory::TableMemory;
use crate::batch::table::{Counts, Offers, Taken, TaskTable};
use crate::net::Message;
use serde::{Deserialize, Serialize};

/// What a rank wants of a table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    Take(Offers),
    Finish(usize, TaskStatus),
    Set(usize, TaskStatus),
    TaskStatus(usize),
    Find(TaskStatus, usize),
    Counts,
    Reclaim,
}

/// What a table answers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum TableAnswer {
    Taken(Option<Taken>),
    Changed(bool),
    TaskStatus(TaskStatus),
    Found(Option<usize>),
    Counts(Counts),
    Reclaimed(usize),
}

impl Message for Question {}
impl Message for TableAnswer {}

impl<M: TableMemory> TaskTable<M> {
    /// Does what `rank` wants.
    #[inline]
    pub(crate) fn answer(&self, rank: usize, question: Question) -> TableAnswer {
        match question {
            Question::Take(offers) => TableAnswer::Taken(self.take(rank, offers)),
            Question::Finish(task, status) => TableAnswer::Changed(self.finish(rank, task, status)),
            Question::Set(task, status) => TableAnswer::Changed(self.set(task, status)),
            Question::TaskStatus(task) => TableAnswer::TaskStatus(self.status(task)),
            Question::Find(status, from) => TableAnswer::Found(self.find(status, from)),
            Question::Counts => TableAnswer::Counts(self.counts()),
            Question::Reclaim => TableAnswer::Reclaimed(self.reclaim()),
        }
    }
}
