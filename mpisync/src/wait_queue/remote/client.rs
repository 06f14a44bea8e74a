//! The side of a rank of another node.

use crate::net::{Link, Remote};
use crate::shm::absence::HostLoss;
use crate::shm::block::Block;
use crate::shm::wait::{Deadline, Stop};
use crate::wait_queue::OnDeath;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::remote::kept::{KeptPermits, KeptServer};
use crate::wait_queue::remote::messages::{Manner, WaitAnswer, WaitQuestion};
use crate::wait_queue::remote::server::WaitServer;
use serde_bytes::ByteBuf;
use std::panic::Location;

/// A wait queue on another node.
pub(crate) struct WaitClient {
    remote: Remote<WaitQuestion, WaitAnswer>,
    kept: KeptPermits,
}

/// What a rank has got.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) ticket: Option<u64>,
    pub(crate) cargo: Option<Vec<u8>>,
}

/// The number of permits that were taken over, and what goes with them.
type TakenOver = (u32, Option<Vec<u8>>);

impl WaitClient {
    /// Opens the port of an object's wait queue; None on the node where that is. `block` is this rank's
    /// view of the object.
    pub(crate) fn open(
        link: &Link,
        block: &Block,
        cargo: &Cargo,
        on_death: OnDeath,
    ) -> Option<Self> {
        let remote = Remote::open(link, |port, block| {
            WaitServer::new(port, block, cargo.clone(), on_death)
        })?;
        if let Some(block) = link.leader() {
            remote.serve(KeptServer(KeptPermits::new(block)));
        }
        Some(WaitClient {
            remote,
            kept: KeptPermits::new(block),
        })
    }

    /// Notes on this node the number of permits that this rank has. Called before it gives some back,
    /// and after it has got some.
    pub(crate) fn note_held(&self, held: u32) {
        self.kept.set(held);
    }

    /// Notes where this rank has taken permits, for the reports of others.
    pub(crate) fn note_held_at(&self, place: &'static Location<'static>) {
        self.kept.set_place(place);
    }

    /// Takes so many permits; waits until they are granted.
    pub(crate) fn acquire(
        &self,
        block: &Block,
        count: u32,
        deadline: Deadline<'_>,
    ) -> Result<Granted, Stop> {
        let manner = Manner::Wait;
        let request = self.remote.request(WaitQuestion::Join { count, manner });
        self.wait_for_grant(block, request, deadline)
    }

    /// Takes so many permits if they are there.
    pub(crate) fn try_acquire(&self, block: &Block, count: u32) -> Result<Option<Granted>, Stop> {
        let manner = Manner::Try;
        let question = WaitQuestion::Join { count, manner };
        match self.remote.ask(block, question).map_err(Stop::HostLost)? {
            WaitAnswer::Granted { ticket, cargo } => Ok(Some(Granted::new(ticket, cargo))),
            WaitAnswer::Broken { rank } => Err(Stop::RankDied(rank)),
            _ => Ok(None),
        }
    }

    /// Stands in the line; the request's number.
    pub(crate) fn join(&self, block: &Block, is_endless: bool) -> Result<u32, Stop> {
        let (count, manner) = (0, Manner::WaitAndTell { is_endless });
        let request = self.remote.request(WaitQuestion::Join { count, manner });
        match self.remote.reply(block, request, Deadline::NEVER)? {
            WaitAnswer::Broken { rank } => Err(Stop::RankDied(rank)),
            _ => Ok(request),
        }
    }

    /// Waits until what was asked for is granted; leaves the line if that takes too long.
    pub(crate) fn wait_for_grant(
        &self,
        block: &Block,
        request: u32,
        deadline: Deadline<'_>,
    ) -> Result<Granted, Stop> {
        let mut deadline = deadline;
        let mut given_up = Stop::Timeout;
        loop {
            match self.remote.reply(block, request, deadline) {
                Ok(WaitAnswer::Granted { ticket, cargo }) => {
                    return Ok(Granted::new(ticket, cargo));
                }
                Ok(WaitAnswer::Broken { rank }) => return Err(Stop::RankDied(rank)),
                Ok(WaitAnswer::Ended { rank }) => return Err(Stop::RankEnded(rank)),
                Ok(WaitAnswer::Alone) => return Err(Stop::Alone),
                Ok(WaitAnswer::Left) => return Err(given_up),
                Ok(_) => {}
                Err(stop) => {
                    self.remote.notify(WaitQuestion::Leave { request });
                    if let Stop::HostLost(_) = stop {
                        return Err(stop);
                    }
                    // It may have been served meanwhile; either answer comes.
                    given_up = stop;
                    deadline = deadline.extended();
                }
            }
        }
    }

    /// Asks for this number of permits, for [`poll`](Self::poll). Does not wait.
    pub(crate) fn ask_for(&self, count: u32) {
        let manner = Manner::Wait;
        let question = WaitQuestion::Join { count, manner };
        self.remote.request_and_keep(question);
    }

    /// What was asked for, if it has been granted. Does not wait.
    ///
    /// # Errors
    /// If it cannot be granted. This rank has left the line.
    pub(crate) fn poll(&self) -> Result<Option<Granted>, Stop> {
        let outcome = match self.remote.take_kept() {
            Some(WaitAnswer::Granted { ticket, cargo }) => Ok(Some(Granted::new(ticket, cargo))),
            Some(WaitAnswer::Broken { rank }) => Err(Stop::RankDied(rank)),
            Some(WaitAnswer::Ended { rank }) => Err(Stop::RankEnded(rank)),
            _ => return Ok(None),
        };
        self.remote.discard_kept();
        outcome
    }

    /// Leaves the line, or gives back what was asked for if it has been granted. This rank `held` so
    /// many permits before. Does not wait.
    pub(crate) fn abandon(&self, count: u32, held: u32) {
        if let Some(request) = self.remote.discard_kept() {
            self.remote.notify(WaitQuestion::Abandon {
                request,
                count,
                held,
            });
        }
    }

    /// Gives permits back; does not wait.
    pub(crate) fn release(&self, count: u32, cargo: Option<Vec<u8>>) {
        let cargo = cargo.map(ByteBuf::from);
        self.remote.notify(WaitQuestion::Release { count, cargo });
    }

    /// Keeps permits for good.
    pub(crate) fn keep(&self, block: &Block, count: u32) {
        // If a host is lost, nobody can have them any more.
        let _ = self.count(block, WaitQuestion::Keep { count });
    }

    /// Puts bytes beside the only permit and gives that back.
    pub(crate) fn fill(&self, block: &Block, cargo: Vec<u8>) {
        let cargo = ByteBuf::from(cargo);
        // If a host is lost, the others get that error.
        let _ = self.count(block, WaitQuestion::Fill { cargo });
    }

    /// Adds free permits; whether there was room.
    pub(crate) fn supply(&self, block: &Block, count: u32, most: u32) -> Result<bool, HostLoss> {
        Ok(self.count(block, WaitQuestion::Supply { count, most })? > 0)
    }

    /// Takes over from dead ranks. None if the list is not poisoned; else what goes with the permits,
    /// and their number.
    pub(crate) fn take_over(
        &self,
        block: &Block,
        wanted: u32,
    ) -> Result<Option<TakenOver>, HostLoss> {
        Ok(
            match self.remote.ask(block, WaitQuestion::TakeOver { wanted })? {
                WaitAnswer::Granted { cargo, .. } => Some((1, cargo.map(ByteBuf::into_vec))),
                WaitAnswer::Done(taken) => Some((taken, None)),
                _ => None,
            },
        )
    }

    /// Wakes so many; how many there were.
    pub(crate) fn wake(&self, block: &Block, most: u32) -> Result<u32, HostLoss> {
        self.count(block, WaitQuestion::Wake { most })
    }

    /// How many permits are free.
    pub(crate) fn free(&self, block: &Block) -> Result<u32, HostLoss> {
        self.count(block, WaitQuestion::Free)
    }

    /// What goes with the permit.
    pub(crate) fn look(&self, block: &Block) -> Result<Option<Vec<u8>>, HostLoss> {
        Ok(match self.remote.ask(block, WaitQuestion::Look)? {
            WaitAnswer::Cargo(cargo) => cargo.map(ByteBuf::into_vec),
            _ => None,
        })
    }

    fn count(&self, block: &Block, question: WaitQuestion) -> Result<u32, HostLoss> {
        Ok(match self.remote.ask(block, question)? {
            WaitAnswer::Done(count) => count,
            _ => 0,
        })
    }
}

impl Granted {
    fn new(ticket: Option<u64>, cargo: Option<ByteBuf>) -> Self {
        let cargo = cargo.map(ByteBuf::into_vec);
        Granted { ticket, cargo }
    }
}
