//! The ranks' part of a queue whose server carries messages to and from other nodes.
//!
//! Ranks put and take as on one node. Messages and room arrive through the server, which must know
//! the waiting ranks. A rank asks the channel's coordinator about the state of other nodes.

use crate::channel::error::ChannelError;
use crate::channel::ring::layout::{NO_NUMBER, RankState, Relay, WAITING};
use crate::channel::ring::memory::QueueMemory;
use crate::channel::ring::termination::Generation;
use crate::channel::ring::{NoMessage, NoRoom, Putting, Queue, Taking};
use crate::shm::absence::HostLoss;
use crate::shm::atomic::Ordering;
use crate::shm::domain::Urgency;
use crate::shm::event::FutexWord;
use crate::shm::wait::{Deadline, Stop, wait};
use crate::shm::waiting::{Call, Described, Label};

/// A host of the channel is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lost(pub(crate) HostLoss);

impl From<Stop> for Lost {
    fn from(stop: Stop) -> Self {
        Lost(stop.expect_host_loss())
    }
}

impl From<Lost> for ChannelError {
    fn from(Lost(loss): Lost) -> Self {
        ChannelError::Lost(loss.into())
    }
}

impl From<Lost> for NoRoom {
    fn from(lost: Lost) -> Self {
        NoRoom::Lost(lost)
    }
}

impl From<Lost> for NoMessage {
    fn from(lost: Lost) -> Self {
        NoMessage::Lost(lost)
    }
}

/// While this value lives, the server knows that this rank waits at the queue.
#[must_use]
pub(crate) struct Waiting<'a>(Option<(&'a RankState, Waiter)>);

#[derive(Clone, Copy)]
enum Waiter {
    Call,
    /// A future, and when it began to wait.
    Future(Generation),
}

impl<'a> Waiting<'a> {
    fn call(rank_state: &'a RankState, Generation(began): Generation) -> Self {
        rank_state.call.store(began | WAITING, Ordering::SeqCst);
        Waiting(Some((rank_state, Waiter::Call)))
    }

    fn future(rank_state: &'a RankState, began: Generation) -> Self {
        let futures = Futures::of(rank_state);
        let count = if futures.began == began {
            futures.count + 1
        } else {
            1
        };
        Futures { began, count }.store(rank_state);
        Waiting(Some((rank_state, Waiter::Future(began))))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        match self.0 {
            Some((rank_state, Waiter::Call)) => rank_state.call.store(0, Ordering::SeqCst),
            Some((rank_state, Waiter::Future(began))) => {
                let futures = Futures::of(rank_state);
                if futures.began == began {
                    let count = futures.count - 1;
                    Futures { began, count }.store(rank_state);
                }
            }
            None => {}
        }
    }
}

/// The waiting futures of a rank that began to wait since the same end as the last one. All others
/// are about to continue.
pub(in crate::channel) struct Futures {
    pub(in crate::channel) began: Generation,
    pub(in crate::channel) count: u32,
}

impl Futures {
    pub(in crate::channel) fn of(rank_state: &RankState) -> Self {
        let futures = rank_state.futures.load(Ordering::SeqCst);
        Futures {
            began: Generation((futures >> 32) as u32),
            count: futures as u32,
        }
    }

    fn store(self, rank_state: &RankState) {
        let Generation(began) = self.began;
        let futures = u64::from(began) << 32 | u64::from(self.count);
        // Only the rank itself stores.
        rank_state.futures.store(futures, Ordering::SeqCst);
    }
}

impl<M: QueueMemory> Queue<M> {
    /// Notifies the server, if there is one, that a call of this rank waits.
    #[inline]
    pub(in crate::channel) fn wait_as_call(&self, began: Generation) -> Waiting<'_> {
        if self.memory.relay().is_none() {
            return Waiting(None);
        }
        let waiting = Waiting::call(self.my_state(), began);
        self.memory.call_server(Urgency::Polls);
        waiting
    }

    /// Notifies the server, if there is one, that a future of this rank waits. It may take long
    /// until the future is polled again.
    pub(crate) fn wait_as_future(&self) -> Waiting<'_> {
        if self.memory.relay().is_none() {
            return Waiting(None);
        }
        let waiting = Waiting::future(self.my_state(), self.begin_waiting(false));
        self.memory.call_server(Urgency::AtOnce);
        waiting
    }

    /// An error if the queue needs a server and a host is lost.
    pub(crate) fn check_server(&self) -> Result<(), Lost> {
        if self.memory.relay().is_none() {
            return Ok(());
        }
        self.memory.check_hosts().map_err(Lost::from)
    }

    /// [`Self::ask`] for a message or a slot of this queue. If there is one for this rank, it
    /// arrives before the answer.
    fn ask_for<R>(
        &self,
        relay: &Relay,
        futex_word: &FutexWord,
        began: Generation,
        attempt: impl FnMut() -> Option<R>,
    ) -> Result<Option<R>, Lost> {
        let question = &self.my_state().question;
        // Announced before the question has its number, so that no answer is missed.
        question.store(NO_NUMBER, Ordering::SeqCst);
        let waiting = Waiting::call(self.my_state(), began);
        let number = relay.asked.fetch_add(1, Ordering::SeqCst) + 1;
        question.store(number, Ordering::SeqCst);
        let result = self.wait_for_answer(relay, number, futex_word, attempt);
        drop(waiting);
        question.store(0, Ordering::SeqCst);
        result
    }

    /// Asks the coordinator. With the answer, it knows all earlier actions of this rank.
    fn ask(&self, relay: &Relay) -> Result<(), Lost> {
        let number = relay.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let futex_word = &self.memory.words().not_empty.0;
        self.wait_for_answer(relay, number, futex_word, || None::<()>)?;
        Ok(())
    }

    /// Waits for the answer, or until `attempt` succeeds.
    fn wait_for_answer<R>(
        &self,
        relay: &Relay,
        question: u64,
        futex_word: &FutexWord,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Result<Option<R>, Lost> {
        self.memory.call_server(Urgency::Polls);
        let label = Label {
            kind: "channel",
            name: "channel",
            identity: 0,
        };
        // The servers of this node and of the root's node answer, and no rank has to go on.
        let domain = self.memory.known_domain();
        let subject = domain.map(|domain| Described::new(domain, label, Vec::new));
        let deadline = match &subject {
            Some(subject) => {
                Deadline::NEVER.of(Call::internal(subject, "the answer of the coordinator"))
            }
            None => Deadline::NEVER,
        };
        wait(
            &self.memory,
            futex_word.event(),
            deadline,
            || {
                // The answer is checked first, because messages and slots arrive before it does.
                let is_answered = relay.answered.load(Ordering::Acquire) >= question;
                match attempt() {
                    None => is_answered.then_some(None),
                    found => Some(found),
                }
            },
            || self.check_server(),
        )
    }

    /// [`Self::try_put`], but also finds room that the coordinator has.
    #[inline]
    pub(crate) fn try_put_remote(&self, most: usize) -> Result<Putting<'_, M>, NoRoom> {
        let local = self.try_put(most);
        match self.memory.relay() {
            Some(relay) if matches!(local, Err(NoRoom::Full)) => self.ask_for_room(relay, most),
            _ => local,
        }
    }

    #[cold]
    pub(in crate::channel) fn ask_for_room(
        &self,
        relay: &Relay,
        most: usize,
    ) -> Result<Putting<'_, M>, NoRoom> {
        let futex_word = &self.memory.words().not_full.0;
        let began = self.begin_waiting(false);
        let asked = self.ask_for(relay, futex_word, began, || match self.try_put(most) {
            Err(NoRoom::Full) => None,
            done => Some(done),
        })?;
        asked.unwrap_or(Err(NoRoom::Full))
    }

    /// [`Self::try_take`], but also finds a message that the coordinator has, or the end of the
    /// stream.
    #[inline]
    pub(crate) fn try_take_remote(&self, most: usize) -> Result<Taking<'_, M>, NoMessage> {
        if let Some(taking) = self.try_take(most) {
            return Ok(taking);
        }
        let Some(relay) = self.memory.relay() else {
            return Err(self.end().unwrap_or(NoMessage::Empty));
        };
        self.ask_for_message(relay, most)
    }

    #[cold]
    fn ask_for_message(&self, relay: &Relay, most: usize) -> Result<Taking<'_, M>, NoMessage> {
        let began = self.begin_waiting(false);
        let futex_word = &self.memory.words().not_empty.0;
        let asked = self.ask_for(relay, futex_word, began, || match self.try_take(most) {
            Some(taking) => Some(Ok(taking)),
            None => self.end_of_wait(began).map(Err),
        })?;
        asked.unwrap_or(Err(NoMessage::Empty))
    }

    /// Promises this many more messages.
    pub(crate) fn claim(&self, messages: u64) {
        let account = &self.memory.words().account.0;
        let Some(relay) = self.memory.relay() else {
            account.claimed.fetch_add(messages, Ordering::SeqCst);
            return;
        };
        relay.claimed.fetch_add(messages, Ordering::SeqCst);
        // A rank that learns of the promise later finds it counted. Without a server, no rank
        // learns of it, and no message arrives.
        let _ = self.ask(relay);
    }

    /// The number of messages as far as this node knows.
    pub(crate) fn known_len(&self) -> u64 {
        match self.memory.relay() {
            Some(relay) => relay.len.load(Ordering::Relaxed),
            None => self.local_len(),
        }
    }

    /// The number of messages, including those that are being put; may be outdated.
    pub(crate) fn len(&self) -> u64 {
        if let Some(relay) = self.memory.relay() {
            // Without a server the last known number stays.
            let _ = self.ask(relay);
        }
        self.known_len()
    }
}
