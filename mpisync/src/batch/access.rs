//! The table of a batch, wherever it lies.

use crate::batch::behind_mailbox;
use crate::batch::table::layout::TaskStatus;
use crate::batch::table::memory::SharedTable;
use crate::batch::table::question::{Question, TableAnswer};
use crate::batch::table::remote::{TableClient, TableServer};
use crate::batch::table::{Counts, Offers, Taken, TaskTable};
use crate::object::Object;
use std::sync::Arc;

/// Where the table is, seen from this rank.
pub(super) enum Side {
    /// On this node.
    Local(Arc<TaskTable<SharedTable>>),
    /// On another node.
    Remote(TableClient),
}

/// The table as this rank reaches it: in its node's memory, or through the server of the root's
/// node.
#[derive(Clone, Copy)]
pub(super) struct TableAccess<'a> {
    pub(super) side: &'a Side,
    pub(super) object: &'a Object,
}

impl Side {
    /// Opens the table of a batch with this number of tasks.
    pub(super) fn open(object: &Object, tasks: usize) -> Self {
        let link = object.link();
        match link.and_then(|link| TableServer::open(link, tasks, behind_mailbox)) {
            Some(client) => Side::Remote(client),
            None => {
                let memory = SharedTable::new(behind_mailbox(object.block()), tasks);
                Side::Local(Arc::new(TaskTable { memory }))
            }
        }
    }

    /// The table, where it is on this node.
    pub(super) fn here(&self) -> Option<&Arc<TaskTable<SharedTable>>> {
        match self {
            Side::Local(table) => Some(table),
            Side::Remote(_) => None,
        }
    }
}

impl TableAccess<'_> {
    /// Takes a task for this rank.
    #[inline]
    pub(super) fn take(self, offers: Offers) -> Option<Taken> {
        if let Side::Local(table) = self.side {
            return table.take(self.rank(), offers);
        }
        match self.ask(Question::Take(offers)) {
            TableAnswer::Taken(taken) => taken,
            answer => unexpected(answer),
        }
    }

    /// Says what has become of the task that this rank has taken. Does not wait.
    #[inline]
    pub(super) fn finish(self, task: usize, status: TaskStatus) {
        match self.side {
            Side::Local(table) => drop(table.finish(self.rank(), task, status)),
            Side::Remote(client) => client.notify(Question::Finish(task, status)),
        }
    }

    /// Says what has become of a task; false if a rank has taken it.
    pub(super) fn set(self, task: usize, status: TaskStatus) -> bool {
        match self.ask(Question::Set(task, status)) {
            TableAnswer::Changed(set) => set,
            answer => unexpected(answer),
        }
    }

    pub(super) fn status(self, task: usize) -> TaskStatus {
        match self.ask(Question::TaskStatus(task)) {
            TableAnswer::TaskStatus(status) => status,
            answer => unexpected(answer),
        }
    }

    /// The first task from `from` on with this status.
    pub(super) fn find(self, status: TaskStatus, from: usize) -> Option<usize> {
        match self.ask(Question::Find(status, from)) {
            TableAnswer::Found(found) => found,
            answer => unexpected(answer),
        }
    }

    pub(super) fn counts(self) -> Counts {
        match self.ask(Question::Counts) {
            TableAnswer::Counts(counts) => counts,
            answer => unexpected(answer),
        }
    }

    /// Opens the tasks of dead ranks again; how many.
    pub(super) fn reclaim(self) -> usize {
        match self.ask(Question::Reclaim) {
            TableAnswer::Reclaimed(opened) => opened,
            answer => unexpected(answer),
        }
    }

    #[inline]
    fn rank(self) -> usize {
        self.object.rank() as usize
    }

    fn ask(self, question: Question) -> TableAnswer {
        match self.side {
            Side::Local(table) => table.answer(self.rank(), question),
            Side::Remote(client) => client.ask(self.object.block(), question),
        }
    }
}

#[cold]
fn unexpected(answer: TableAnswer) -> ! {
    unreachable!("an answer to another question: {answer:?}")
}
