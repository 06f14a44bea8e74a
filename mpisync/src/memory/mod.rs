//! Where the protocols' words live: memory that the ranks of a node share, or plain heap memory.

pub(crate) mod atomic;
pub(crate) mod barrier;
pub(crate) mod block;
pub(crate) mod cargo;
pub(crate) mod cells;
#[cfg(all(feature = "mpi", feature = "region"))]
pub(crate) mod copy;
pub(crate) mod domain;
pub(crate) mod event;
#[cfg(any(loom, test))]
pub(crate) mod heap;
#[cfg(any(loom, test))]
pub(crate) mod heap_ledger;
#[cfg(any(loom, test))]
pub(crate) mod heap_queue;
#[cfg(any(loom, test))]
pub(crate) mod heap_waitlist;
pub(crate) mod items;
pub(crate) mod layout;
pub(crate) mod ledger;
#[cfg(any(feature = "mpi", feature = "region"))]
pub(crate) mod limits;
pub(crate) mod mapping;
#[cfg(feature = "mpi")]
pub(crate) mod mpi;
pub(crate) mod process;
pub(crate) mod queue;
pub(crate) mod segment;
pub(crate) mod stream;
pub(crate) mod topology;
pub(crate) mod view;
pub(crate) mod waitlist;
pub(crate) mod words;

use crate::wait::POLL;
use crate::wait::Stop;
use atomic::{AtomicU8, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use words::ledger::LedgerWords;
use words::lock::{Door, RankWords, Words};
use words::queue::{Party, QueueWords, Relay, Shape};
use words::waitlist::{Seat, WaitWords};

/// Locks a mutex, also after a thread has panicked with it: none of ours leaves what it guards half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether `MPI_Finalize` has begun in this process.
#[inline]
pub(crate) fn mpi_has_ended() -> bool {
    #[cfg(feature = "mpi")]
    return mpi::is_finalized();
    #[cfg(not(feature = "mpi"))]
    return false;
}

/// What a waiting rank needs of the place it runs in.
pub(crate) trait Surroundings {
    /// Lets MPI make progress on what this rank has under way.
    fn progress(&self);

    /// This thread begins to call [`progress`](Self::progress) again and again, or ends that.
    fn attend(&self, _attends: bool) {}

    /// How long a rank polls before it sleeps, where that is not what one node needs.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// An error once it is known from another node that the lock cannot be had any more.
    fn check(&self) -> Result<(), Stop> {
        Ok(())
    }

    /// Whether the rank of this index on the node still runs.
    fn is_alive(&self, rank: usize) -> bool;
}

/// A place whose ranks poll longer than usual before they sleep, because what they wait for is known to take its time.
pub(crate) struct Patient<'a, S> {
    pub(crate) place: &'a S,
    pub(crate) patience: Duration,
}

impl<S: Surroundings> Surroundings for Patient<'_, S> {
    fn progress(&self) {
        self.place.progress();
    }

    fn attend(&self, attends: bool) {
        self.place.attend(attends);
    }

    fn patience(&self) -> Option<Duration> {
        let usual = self.place.patience().unwrap_or(POLL);
        Some(usual.max(self.patience))
    }

    fn check(&self) -> Result<(), Stop> {
        self.place.check()
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.place.is_alive(rank)
    }
}

/// The words of one lock, as one of the ranks sees them.
pub(crate) trait Memory: Surroundings {
    /// The words that all ranks share.
    fn words(&self) -> &Words;

    /// What readers look at.
    fn door(&self) -> Door<'_>;

    /// The words of the rank of this index on the node.
    fn rank_words(&self, rank: usize) -> &RankWords;

    /// The words of this rank.
    fn my_words(&self) -> &RankWords;

    /// Whether the processes of all ranks have registered for heavy fences.
    fn can_be_quiet(&self) -> bool;

    /// How many ranks share the words.
    fn ranks(&self) -> usize;

    /// The index of this rank.
    fn me(&self) -> usize;
}

impl<M: Surroundings> Surroundings for &M {
    fn progress(&self) {
        (**self).progress();
    }

    fn attend(&self, attends: bool) {
        (**self).attend(attends);
    }

    fn patience(&self) -> Option<Duration> {
        (**self).patience()
    }

    fn check(&self) -> Result<(), Stop> {
        (**self).check()
    }

    fn is_alive(&self, rank: usize) -> bool {
        (**self).is_alive(rank)
    }
}

impl<M: Memory> Memory for &M {
    #[inline]
    fn words(&self) -> &Words {
        (**self).words()
    }

    #[inline]
    fn door(&self) -> Door<'_> {
        (**self).door()
    }

    #[inline]
    fn rank_words(&self, rank: usize) -> &RankWords {
        (**self).rank_words(rank)
    }

    #[inline]
    fn my_words(&self) -> &RankWords {
        (**self).my_words()
    }

    fn can_be_quiet(&self) -> bool {
        (**self).can_be_quiet()
    }

    #[inline]
    fn ranks(&self) -> usize {
        (**self).ranks()
    }

    #[inline]
    fn me(&self) -> usize {
        (**self).me()
    }
}

/// The words of one queue, as one of the ranks sees them.
pub(crate) trait QueueMemory: Surroundings {
    /// The words that all ranks share.
    fn words(&self) -> &QueueWords;

    /// The words of the rank of this index on the node.
    fn party(&self, rank: usize) -> &Party;

    /// How many slots there are.
    fn shape(&self) -> Shape;

    /// What the slot of this index holds, and for which lap.
    fn stamp(&self, index: usize) -> &AtomicU64;

    /// How many ranks share the words.
    fn ranks(&self) -> usize;

    /// The index of this rank.
    fn me(&self) -> usize;

    /// Where the node's agent carries messages between this queue and other nodes: what ranks and agent say to each other.
    fn relay(&self) -> Option<&Relay> {
        None
    }

    /// Has the agent look at the queue, if there is one: soon, or at once if this rank is about to wait.
    fn call_agent(&self, _waits: bool) {}

    /// Whether the process with the node's agent runs.
    fn agent_is_alive(&self) -> bool {
        true
    }
}

/// The words of one ledger, as one of the ranks sees them.
pub(crate) trait LedgerMemory {
    /// The words that all ranks share.
    fn words(&self) -> &LedgerWords;

    /// The tasks' bytes.
    fn bytes(&self) -> &[AtomicU8];

    /// How many tasks there are.
    fn tasks(&self) -> usize {
        self.bytes().len()
    }

    /// How many levels the index has.
    fn levels(&self) -> usize;

    /// A level of the index, from the tasks' own bits upwards.
    fn level(&self, level: usize) -> &[AtomicU64];

    /// The task that a rank of the communicator has, or is about to take, plus one. Stored by who acts for that rank.
    fn holder(&self, rank: usize) -> &AtomicU64;

    /// How many ranks there are.
    fn ranks(&self) -> usize;

    /// Whether a rank of the communicator still runs.
    fn is_alive(&self, rank: usize) -> bool;
}

/// The words of one waiting list, as one of the ranks sees them.
pub(crate) trait WaitMemory: Surroundings {
    /// The words that all share.
    fn words(&self) -> &WaitWords;

    /// The words of who has this seat, on whatever node.
    fn seat(&self, seat: usize) -> &Seat;

    /// How many seats there are.
    fn seats(&self) -> usize;

    /// The seat of this rank, or of the agent.
    fn me(&self) -> usize;

    /// Lets who has this seat know that it was served; whether the agent has to be called for that. A full barrier lies
    /// between.
    fn ring(&self, seat: usize) -> bool;

    /// Has the agent tell those of other nodes that were served.
    fn call_agent(&self) {}

    /// Whether it is for this rank, or the agent, to take over from who has this seat and has died: for those of other nodes
    /// it is for the agent, who does all that they ask for.
    fn acts_for(&self, _seat: usize) -> bool {
        true
    }

    /// Whether who acted for this seat has died, and who has it may live.
    fn is_orphan(&self, _seat: usize) -> bool {
        false
    }
}
