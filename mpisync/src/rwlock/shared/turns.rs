//! An object that the threads of a rank use one after the other, in the order of their calls.

use crate::error::LockError;
use crate::object::ObjectParts;
use crate::rwlock::shared::held;
use crate::rwlock::shared::queue::ThreadQueue;
use crate::shm::block::Block;
use crate::shm::wait::{Deadline, Stop, Surroundings};
use crate::shm::waiting::records::SeveralThreads;
use crate::shm::waiting::{Awaited, BlockSubject, Call, Needs};
use std::panic::Location;
use std::time::{Duration, Instant};

/// The turn of one of the threads that share an object.
pub(crate) struct ThreadTurns {
    queue: ThreadQueue,
    /// By this number threads note what they hold of the object.
    number: u64,
    _several: SeveralThreads,
}

/// The turn, until this is dropped.
pub(crate) struct ThreadTurn<'a>(&'a ThreadTurns);

/// The time that a call has, part of which it may wait for the turn.
#[derive(Clone, Copy)]
pub(crate) struct TimeLimit {
    limit: Option<Duration>,
    began: Option<Instant>,
}

impl ThreadTurns {
    pub(crate) fn new() -> Self {
        ThreadTurns {
            queue: ThreadQueue::default(),
            number: held::new_number(),
            _several: SeveralThreads::begin(),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Takes the turn in the call `name` at `location`; waits while other threads have it or have come before.
    pub(crate) fn take(
        &self,
        object: &ObjectParts,
        name: &'static str,
        limit: TimeLimit,
        location: &'static Location<'static>,
    ) -> Result<ThreadTurn<'_>, LockError> {
        let others = OtherThreads(object);
        let call = || Call::new(&others, name, location);
        let deadline = Deadline::within(limit.left()).of(call());
        self.take_within(object.block(), deadline)
            .map_err(|stop| object.lock_error(stop, limit.limit, call()))
    }

    /// [`take`](Self::take) in these surroundings, until this deadline.
    pub(crate) fn take_within(
        &self,
        surroundings: &impl Surroundings,
        deadline: Deadline<'_>,
    ) -> Result<ThreadTurn<'_>, Stop> {
        self.queue.take(surroundings, deadline)?;
        Ok(ThreadTurn(self))
    }

    /// Takes the turn if no thread has it.
    pub(crate) fn try_take(&self) -> Option<ThreadTurn<'_>> {
        self.queue.try_take().then(|| ThreadTurn(self))
    }
}

impl Drop for ThreadTurn<'_> {
    fn drop(&mut self) {
        self.0.queue.pass_on();
    }
}

/// The threads of this rank that have the turn, or come before.
struct OtherThreads<'a>(&'a ObjectParts);

impl BlockSubject for OtherThreads<'_> {
    fn block(&self) -> &Block {
        self.0.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        let me = self.0.rank() as u32;
        Awaited::all([me], "uses it, in another thread of this rank")
    }

    fn needs(&self) -> Needs {
        Needs::Unknown
    }
}

impl TimeLimit {
    /// The call begins now.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        TimeLimit {
            limit,
            began: limit.map(|_| Instant::now()),
        }
    }

    /// What is left of it.
    pub(crate) fn left(self) -> Option<Duration> {
        let waited = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        self.limit.map(|limit| limit.saturating_sub(waited))
    }

    /// The error of a part of the call, as that of the whole call.
    pub(crate) fn of_call(self, error: LockError) -> LockError {
        match (error, self.limit) {
            (LockError::Timeout { report, .. }, Some(waited)) => {
                LockError::Timeout { waited, report }
            }
            (error, _) => error,
        }
    }
}
