//! How a rank reaches the table of a batch: in its node's memory, or through the server of the
//! root's node, which acts for it.

use crate::batch::behind_mailbox;
use crate::batch::directory::Again;
use crate::batch::table::layout::{SharedTable, TableMemory, TaskStatus};
use crate::batch::table::{Counts, TableLimits, Taken, TaskTable};
use crate::error::LockError;
use crate::net::{Message, Port, Remote, Request, Service, Tail};
use crate::object::Object;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// The table of a batch, as one rank reaches it.
pub(crate) enum TableAccess {
    /// On this node.
    Local(Arc<TaskTable<SharedTable>>),
    /// On another node.
    Remote(Remote<Question, Answer>),
}

/// A request of a rank to a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Tasks for these places of the rank.
    Take(Again, Range<usize>),
    Finish(Taken, TaskStatus),
    Set(usize, TaskStatus),
    Status(usize),
    Find(TaskStatus, usize),
    Counts,
    Reclaim,
    /// The tasks that ranks have, at most this many.
    Held(usize),
    Stop(u64),
    Stopped,
}

/// The reply of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Taken(Vec<Taken>),
    Changed(bool),
    Status(TaskStatus),
    Found(Option<usize>),
    Counts(Counts),
    Reclaimed(usize),
    Held(Vec<(u32, usize)>),
    Stopped(u64),
}

impl Message for Question {}
impl Message for Answer {}

impl TableAccess {
    /// Opens the table of a batch with this number of tasks.
    pub(crate) fn open(object: &Object, tasks: usize, limits: TableLimits) -> Self {
        let client = object.link().and_then(|link| {
            Remote::open(link, |port, block| TableServer {
                port,
                table: TaskTable {
                    memory: SharedTable::new(behind_mailbox(block), tasks),
                    limits,
                },
            })
        });
        match client {
            Some(client) => TableAccess::Remote(client),
            None => {
                let memory = SharedTable::new(behind_mailbox(object.block()), tasks);
                TableAccess::Local(Arc::new(TaskTable { memory, limits }))
            }
        }
    }

    /// The table, if it is on this node.
    pub(crate) fn local(&self) -> Option<&Arc<TaskTable<SharedTable>>> {
        match self {
            TableAccess::Local(table) => Some(table),
            TableAccess::Remote(_) => None,
        }
    }

    /// Takes tasks for these places of this rank of the batch's `object`, and adds them to `found`:
    /// fewer than there are places only if no more are open.
    ///
    /// # Errors
    /// If a host is lost; so too of the other questions.
    #[inline]
    pub(crate) fn take(
        &self,
        object: &Object,
        again: Again,
        places: Range<usize>,
        found: &mut Vec<Taken>,
    ) -> Result<(), LockError> {
        if let TableAccess::Local(table) = self {
            table.take(object.rank() as usize, again, places, found);
            return Ok(());
        }
        match self.ask(object, Question::Take(again, places))? {
            Answer::Taken(taken) => found.extend(taken),
            answer => unexpected(answer),
        }
        Ok(())
    }

    /// Sets the status of a task that this rank has taken. Does not wait.
    #[inline]
    pub(crate) fn finish(&self, object: &Object, taken: Taken, status: TaskStatus) {
        match self {
            TableAccess::Local(table) => drop(table.finish(object.rank() as usize, taken, status)),
            TableAccess::Remote(client) => client.notify(Question::Finish(taken, status)),
        }
    }

    /// The same, and returns whether this rank still had the task.
    pub(crate) fn finish_in_time(
        &self,
        object: &Object,
        taken: Taken,
        status: TaskStatus,
    ) -> Result<bool, LockError> {
        match self.ask(object, Question::Finish(taken, status))? {
            Answer::Changed(had) => Ok(had),
            answer => unexpected(answer),
        }
    }

    /// Sets the status of a task. False if a rank has taken it.
    pub(crate) fn set(
        &self,
        object: &Object,
        task: usize,
        status: TaskStatus,
    ) -> Result<bool, LockError> {
        match self.ask(object, Question::Set(task, status))? {
            Answer::Changed(is_set) => Ok(is_set),
            answer => unexpected(answer),
        }
    }

    pub(crate) fn status(&self, object: &Object, task: usize) -> Result<TaskStatus, LockError> {
        match self.ask(object, Question::Status(task))? {
            Answer::Status(status) => Ok(status),
            answer => unexpected(answer),
        }
    }

    /// The first task from `from` on with this status.
    pub(crate) fn find(
        &self,
        object: &Object,
        status: TaskStatus,
        from: usize,
    ) -> Result<Option<usize>, LockError> {
        match self.ask(object, Question::Find(status, from))? {
            Answer::Found(found) => Ok(found),
            answer => unexpected(answer),
        }
    }

    pub(crate) fn counts(&self, object: &Object) -> Result<Counts, LockError> {
        match self.ask(object, Question::Counts)? {
            Answer::Counts(counts) => Ok(counts),
            answer => unexpected(answer),
        }
    }

    /// Ends the takings of ranks that have died or are late. Returns the number of tasks that are
    /// open again.
    pub(crate) fn reclaim(&self, object: &Object) -> Result<usize, LockError> {
        match self.ask(object, Question::Reclaim)? {
            Answer::Reclaimed(opened) => Ok(opened),
            answer => unexpected(answer),
        }
    }

    /// The tasks that ranks have, at most `most` of them, each with the rank.
    pub(crate) fn held(
        &self,
        object: &Object,
        most: usize,
    ) -> Result<Vec<(u32, usize)>, LockError> {
        match self.ask(object, Question::Held(most))? {
            Answer::Held(held) => Ok(held),
            answer => unexpected(answer),
        }
    }

    /// Lets no rank take further tasks, for this reason. Does not wait.
    pub(crate) fn stop(&self, reason: u64) {
        match self {
            TableAccess::Local(table) => table.stop(reason),
            TableAccess::Remote(client) => client.notify(Question::Stop(reason)),
        }
    }

    /// Why no more tasks are taken, or 0.
    pub(crate) fn stopped(&self, object: &Object) -> Result<u64, LockError> {
        match self.ask(object, Question::Stopped)? {
            Answer::Stopped(reason) => Ok(reason),
            answer => unexpected(answer),
        }
    }

    fn ask(&self, object: &Object, question: Question) -> Result<Answer, LockError> {
        match self {
            TableAccess::Local(table) => Ok(table.answer(object.rank() as usize, question)),
            TableAccess::Remote(client) => Ok(client.ask(object.block(), question)?),
        }
    }
}

#[cold]
fn unexpected(answer: Answer) -> ! {
    unreachable!("an answer to another question: {answer:?}")
}

impl<M: TableMemory> TaskTable<M> {
    /// Executes a request of `rank`.
    #[inline]
    fn answer(&self, rank: usize, question: Question) -> Answer {
        match question {
            Question::Take(again, places) => {
                let mut found = Vec::new();
                self.take(rank, again, places, &mut found);
                Answer::Taken(found)
            }
            Question::Finish(taken, status) => Answer::Changed(self.finish(rank, taken, status)),
            Question::Set(task, status) => Answer::Changed(self.set(task, status)),
            Question::Status(task) => Answer::Status(self.status(task)),
            Question::Find(status, from) => Answer::Found(self.find(status, from)),
            Question::Counts => Answer::Counts(self.counts()),
            Question::Reclaim => Answer::Reclaimed(self.reclaim()),
            Question::Held(most) => Answer::Held(self.held(most)),
            Question::Stop(reason) => {
                self.stop(reason);
                Answer::Stopped(reason)
            }
            Question::Stopped => Answer::Stopped(self.stopped()),
        }
    }
}

/// Acts in the table for the ranks of other nodes.
struct TableServer {
    port: Port,
    table: TaskTable<SharedTable>,
}

impl Service for TableServer {
    type Message = Request<Question>;

    fn receive(&mut self, from: u32, request: Request<Question>, _: Tail<'_>) {
        let answer = self.table.answer(from as usize, request.question);
        if let Some(number) = request.number {
            self.port.reply(from, number, answer);
        }
    }

    fn inspect(&mut self) {
        self.table.reclaim();
    }
}
