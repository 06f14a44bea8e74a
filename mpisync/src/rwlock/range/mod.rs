//! The range lock: several ranks hold the write lock together, each for a range of its own.
//!
//! The write lock belongs to a *group* of ranks, whose ranges do not overlap. One rank takes it as
//! any writer does, and gives it to the group, which is then the owner of the turn
//! ([`Turn::RANGES`](super::layout::Turn::RANGES)). Others join the group without the lock: they ask
//! a `table` for their range. The last rank that leaves the group releases the lock. So readers and
//! writers of the whole see one writer, and readers check no more than before.
//!
//! Range locks with a list of ranges in place of a lock for each item: Kogan, Dice, Issa, "Scalable
//! Range Locks for Scalable Address Spaces and Beyond", EuroSys 2020. A lock that a group of threads
//! holds while others of the same group may enter: Joung, "Asynchronous Group Mutual Exclusion",
//! Distributed Computing 13, 2000.
//!
//! On one node the table is in shared memory (`node`); over several nodes the server of the home node
//! has it (`remote`).
//!
//! If a rank dies with a range, the group gives out no further ranges, and when the others have left it
//! keeps the lock, which is then poisoned as after the death of a writer.

pub(in crate::rwlock) mod layout;
mod node;
mod remote;
pub(in crate::rwlock) mod table;

use crate::error::LockError;
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::NodeLock;
use crate::rwlock::range::remote::{Asking, RangeClient};
use crate::rwlock::range::table::Next;
use crate::rwlock::state::LockState;
use crate::shm::block::Block;
use crate::shm::wait::{Deadline, Stop};
use crate::shm::waiting::want::{Want, Wanted};
use crate::shm::waiting::{Awaited, BlockSubject, Call, Needs};
use crate::span::{Activity, Hold};
use std::cell::RefCell;
use std::ops::Range;
use std::panic::Location;
use std::time::Duration;

/// The ranges of a lock, as one rank sees them. A rank holds at most one, and none while it has a
/// guard of the lock.
pub(crate) struct RangeLock {
    /// If there are several nodes.
    client: Option<RangeClient>,
    held: RefCell<Option<Range<u64>>>,
    hold: Hold,
}

impl RangeLock {
    /// The ranges of this lock. If there are several nodes, all ranks open them in the same order as
    /// other ports.
    pub(crate) fn open(lock: &LockState) -> Self {
        let rank = lock.object().rank() as u32;
        let link = lock.object().link().zip(lock.global());
        RangeLock {
            client: link.map(|(link, global)| RangeClient::open(link, global, rank)),
            held: RefCell::new(None),
            hold: Hold::default(),
        }
    }

    /// The range that this rank holds.
    #[inline]
    pub(crate) fn held(&self) -> Option<Range<u64>> {
        self.held.borrow().clone()
    }

    /// Takes a range that is not empty; waits until no other rank holds one that overlaps it, and no
    /// other rank has the lock. This rank has no guard and no range.
    pub(crate) fn enter(
        &self,
        lock: &LockState,
        range: Range<u64>,
        limit: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Result<(), LockError> {
        lock.object().check_usable()?;
        let deadline = Deadline::within(limit);
        let wait = RangeWait {
            lock,
            range: Some(&range),
        };
        let call = Call::new(&wait, CALL, location);
        let queues = Call::new(lock, CALL, location);
        let open = || lock.lock_write(|| deadline.of(queues));
        let entered = match &self.client {
            None => enter_here(&lock.node(), range.clone(), deadline.of(call), open),
            Some(client) => {
                let asking = Asking {
                    block: lock.object().block(),
                    lock: lock.node(),
                    range: range.clone(),
                    deadline: deadline.of(call),
                    waits: true,
                    open: || open().map(|()| true),
                };
                client.take(asking).map(drop)
            }
        };
        entered.map_err(|stop| lock.object().lock_error(stop, limit, call))?;
        self.note_held(lock, range, location);
        Ok(())
    }

    /// [`enter`](Self::enter) if no other rank holds or wants what stands against it. Returns whether
    /// this rank has the range.
    pub(crate) fn try_enter(
        &self,
        lock: &LockState,
        range: Range<u64>,
        location: &'static Location<'static>,
    ) -> Result<bool, LockError> {
        lock.object().check_usable()?;
        let wait = RangeWait { lock, range: None };
        let call = Call::new(&wait, TRY_CALL, location);
        let has_range = match &self.client {
            None => try_enter_here(lock.node(), range.clone(), || lock.try_lock_write()),
            Some(client) => {
                let taken = client.take(Asking {
                    block: lock.object().block(),
                    lock: lock.node(),
                    range: range.clone(),
                    deadline: Deadline::NEVER.of(call),
                    waits: false,
                    open: || Ok(lock.try_lock_write()),
                });
                match taken {
                    // As for the lock: it is not to be had.
                    Err(Stop::RankDied(_) | Stop::RankEnded(_)) => false,
                    taken => taken.map_err(|stop| lock.object().lock_error(stop, None, call))?,
                }
            }
        };
        if has_range {
            self.note_held(lock, range, location);
        }
        Ok(has_range)
    }

    fn note_held(&self, lock: &LockState, range: Range<u64>, location: &'static Location<'static>) {
        *self.held.borrow_mut() = Some(range);
        lock.note_place(location);
        let block = lock.object().block();
        self.hold
            .begin(|| block.about(Activity::Write, CALL, Some(location)));
    }

    /// Gives the range back, if this rank holds one. Does not wait.
    pub(crate) fn leave(&self, lock: &LockState) {
        if self.held.take().is_none() || lock.is_kept() {
            return;
        }
        let _ended = self.hold.end();
        match &self.client {
            None => lock.node().leave_range(),
            Some(client) if lock.object().check_usable().is_ok() => client.release(lock.node()),
            // The other nodes are gone, too.
            Some(_) => {}
        }
    }
}

/// The names of the calls.
const CALL: &str = "write_part";
const TRY_CALL: &str = "try_write_part";

/// Takes a range on the only node; `open` takes the write lock.
pub(in crate::rwlock) fn enter_here<M: Memory>(
    node: &NodeLock<M>,
    range: Range<u64>,
    deadline: Deadline<'_>,
    open: impl Fn() -> Result<(), Stop>,
) -> Result<(), Stop> {
    node.join_range(range);
    let entered = loop {
        match node.await_range(deadline) {
            Ok(Next::Holds) => return Ok(()),
            Ok(Next::Opens) => match open() {
                Ok(()) => node.open_ranges(),
                Err(stop) => break Err(stop),
            },
            Ok(Next::Broken(dead)) => break Err(Stop::Died(dead as usize)),
            Ok(Next::Waits) => {}
            Err(stop) => break Err(stop),
        }
    };
    node.leave_range();
    entered
}

/// Takes a range on the only node, if nothing stands against it; `open` takes the write lock so.
fn try_enter_here(node: NodeLock<&LockMemory>, range: Range<u64>, open: impl Fn() -> bool) -> bool {
    node.join_range(range);
    let mut next = node.advance_range();
    if next == Next::Opens && open() {
        node.open_ranges();
        next = node.advance_range();
    }
    if next != Next::Holds {
        node.leave_range();
    }
    next == Next::Holds
}

/// What a rank waits for that waits for a range.
struct RangeWait<'a> {
    lock: &'a LockState,
    /// None if it waits only for the answer of the home node.
    range: Option<&'a Range<u64>>,
}

impl BlockSubject for RangeWait<'_> {
    fn block(&self) -> &Block {
        self.lock.object().block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        let node = self.lock.node();
        let ranks = match self.lock.global() {
            None => node.awaited_for_range(),
            // The other nodes are not asked.
            Some(_) => node.holders().ranges,
        };
        let awaited = self.lock.awaited_of(ranks, "writes or wants a part");
        match awaited.is_empty() {
            // It takes the lock next.
            true => BlockSubject::awaited(self.lock),
            false => awaited,
        }
    }

    fn needs(&self) -> Needs {
        match self.lock.global() {
            None => Needs::each(&BlockSubject::awaited(self)),
            Some(_) => Needs::Unknown,
        }
    }

    fn want(&self) -> Option<Want> {
        self.lock.global()?;
        let &Range { start, end } = self.range?;
        let what = Wanted::Range { start, end };
        Some(Want::of_each(self.block().global()?, what))
    }
}
