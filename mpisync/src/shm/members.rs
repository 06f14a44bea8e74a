//! What the memory of a communicator begins with: its words, and those of each rank.

use crate::shm::arrival::ArrivalSlot;
use crate::shm::atomic::{AtomicU32, AtomicU64};
use crate::shm::event::Sleepers;
use crate::shm::identity::Identity;
use crate::shm::mapping::Shareable;
use crate::shm::survivors::SurvivorWords;
use crate::shm::waiting::record::WaitRecord;

/// The data of the communicator.
#[repr(C, align(128))]
pub(super) struct Header {
    pub(super) identity: Identity,
    /// The number of the communicator, the same on all its nodes; 0 until it is known.
    pub(super) number: AtomicU64,
    /// The numbers of its ranks and of its nodes.
    pub(super) size: AtomicU32,
    pub(super) nodes: AtomicU32,
    /// The free list: the first block that all ranks have given back, which leads to the others
    /// through its [`BlockHeader`]; 0 if there is none.
    pub(super) free: AtomicU64,
    /// Counts arrivals at collective calls; ranks that wait for others sleep on it.
    pub(super) arrivals: AtomicU32,
    pub(super) arrival_sleepers: Sleepers,
    /// Counts the announcements of this node's ranks.
    pub(super) posts: AtomicU64,
    /// Counts the calls for the node's server, which sleeps on it.
    pub(super) calls: AtomicU32,
    pub(super) call_sleepers: Sleepers,
    /// One more than the local rank that was the first to give up making an object; 0 if none has.
    pub(super) gave_up: AtomicU32,
    /// The last step of an agreement on the ranks that are left for which there is a decision.
    pub(super) decided: AtomicU64,
    /// The position in collective calls that it names.
    pub(super) resumed_meetings: AtomicU64,
    pub(super) resumed_epoch: AtomicU32,
    /// The host that is lost, see [`Segment::lose`]; 0 if none is.
    pub(super) lost: AtomicU32,
    /// The leader changes it several times a second, if it has a progress thread.
    pub(super) beat: AtomicU32,
}

/// The data of a rank.
#[repr(C, align(128))]
pub(crate) struct Member {
    /// The rank in the communicator plus one; 0 for the node's server.
    pub(crate) rank: AtomicU32,
    /// The process and its start time in the kernel's ticks, which identify it for good.
    pub(crate) process: AtomicU32,
    pub(crate) born: AtomicU64,
    /// The PID namespace that the process is counted in; 0 if unknown.
    pub(crate) namespace: AtomicU64,
    /// The executable that it runs and where that is mapped, see [`Program`](crate::shm::program::Program);
    /// 0 if unknown.
    pub(crate) program: AtomicU64,
    pub(crate) anchor: AtomicU64,
    /// 1 if it can run the heavy fence that reaches all ranks of the node.
    pub(crate) can_fence: AtomicU32,
    /// Nonzero once the rank has ended, see [`Absence`](crate::shm::absence::Absence).
    pub(crate) ended: AtomicU32,
    /// How many objects it has begun to make.
    pub(super) creations: AtomicU64,
    /// Its verdicts on objects of even and of odd numbers: the number in the upper half.
    pub(super) verdicts: [AtomicU64; 2],
    /// Where this rank is in collective calls.
    pub(crate) arrival_slot: ArrivalSlot,
    /// What it waits for.
    pub(crate) wait: WaitRecord,
    /// Its part in the agreement on the ranks that are left.
    pub(crate) survivor: SurvivorWords,
}

/// The data that this node has of a rank on another node.
#[repr(C, align(128))]
pub(crate) struct RemoteMember {
    /// Nonzero once the rank is known to have died.
    pub(crate) dead: AtomicU32,
    /// Nonzero once the rank is known to have ended.
    pub(crate) ended: AtomicU32,
    /// Where it is in collective calls.
    pub(crate) arrival_slot: ArrivalSlot,
    /// Its part in the agreement on the ranks that are left.
    pub(crate) survivor: SurvivorWords,
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for Header {}
// SAFETY: as above.
unsafe impl Shareable for RemoteMember {}
// SAFETY: as above.
unsafe impl Shareable for Member {}
// SAFETY: as above.
unsafe impl Shareable for WaitRecord {}
