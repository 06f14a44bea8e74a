//! What an object that is more than a controller keeps behind the controller's block.

use super::WaitMemory;
use super::ledger;
use super::mapping::Mapping;
use super::topology::Topology;
use super::waitlist::{self, Seats};
use super::words::waitlist::{Stock, WaitWords};
use crate::rounds::barrier::Gathering;
use crate::rounds::turn::Turns;
use crate::rounds::vote::Votes;
use crate::waitlist::Inheritance;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// What lies there. The same on all ranks, though not of the same length on all nodes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Annex {
    /// Nothing.
    #[default]
    None,
    /// On each node, the words of a turn.
    Turn,
    /// On each node, the words of a barrier.
    Barrier,
    /// On the node of `root`, a waiting list of all ranks.
    Waitlist {
        root: i32,
        permits: u32,
        inheritance: Inheritance,
        cargo: Cargo,
    },
    /// On each node, the slips of a vote.
    Vote,
    /// On the node of `root`, the ledger of so many tasks.
    Ledger { root: i32, tasks: usize },
}

impl Annex {
    /// How many bytes it takes on this node.
    pub(crate) fn length(&self, topology: &Topology) -> usize {
        match self {
            Annex::Waitlist { root, cargo, .. } if is_here(topology, *root) => {
                waitlist::length(topology, cargo.room())
            }
            Annex::Ledger { root, tasks } if is_here(topology, *root) => {
                ledger::length(topology, *tasks)
            }
            Annex::Turn => Turns::length(topology.here().len()),
            Annex::Barrier => Gathering::length(topology.here().len()),
            Annex::Vote => Votes::length(topology.here().len()),
            Annex::None | Annex::Waitlist { .. } | Annex::Ledger { .. } => 0,
        }
    }

    /// Fills it in `memory`, which is zero from `start` on, before anybody uses it.
    pub(crate) fn prepare(&self, topology: &Topology, memory: &Mapping, start: usize) {
        match self {
            Annex::Waitlist {
                root,
                permits,
                cargo,
                ..
            } if is_here(topology, *root) => {
                let words: &WaitWords = memory.get(start);
                let stock = Stock::of(*permits);
                words.stock.store(stock.0, Ordering::SeqCst);
                words.total.store(*permits, Ordering::SeqCst);
                if let Cargo::Value(bytes) = cargo {
                    let place = waitlist::cargo(topology, memory, start, bytes.len());
                    // SAFETY: there is room for so many bytes, of which nobody else knows yet.
                    unsafe {
                        place.copy_from_nonoverlapping(NonNull::from(&**bytes).cast(), bytes.len())
                    };
                }
            }
            Annex::Ledger { root, tasks } if is_here(topology, *root) => {
                ledger::prepare(topology, *tasks, memory, start);
            }
            _ => {}
        }
    }
}

fn is_here(topology: &Topology, rank: i32) -> bool {
    topology.here().contains(&(rank as u32))
}

/// What goes with the permit of a waiting list that has one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Cargo {
    #[default]
    Nothing,
    /// A value that is there from the beginning, with these bytes at first. Only who has the permit reads and writes it.
    Value(Vec<u8>),
    /// Bytes up to so many, which are put there once, by who has the permit.
    Once(usize),
}

impl Cargo {
    /// How many bytes there are at most.
    pub(crate) fn room(&self) -> usize {
        match self {
            Cargo::Nothing => 0,
            Cargo::Value(bytes) => bytes.len(),
            Cargo::Once(room) => *room,
        }
    }

    /// The bytes, for who has the permit; none where there are none yet.
    ///
    /// # Safety
    /// The caller acts for who has the permit, and `seats` is a list with this cargo.
    pub(crate) unsafe fn read(&self, seats: &Seats) -> Option<Vec<u8>> {
        match self {
            Cargo::Nothing => None,
            // SAFETY: there are so many, and nobody else changes them while the permit is held.
            Cargo::Value(bytes) => Some(unsafe { copy(seats, bytes.len()) }),
            Cargo::Once(_) => self.look(seats),
        }
    }

    /// Bytes that were put there once, for anybody.
    pub(crate) fn look(&self, seats: &Seats) -> Option<Vec<u8>> {
        let Cargo::Once(room) = self else {
            return None;
        };
        // Acquire: the bytes are there, and stay as they are.
        let length = seats.words().cargo.load(Ordering::Acquire).checked_sub(1)?;
        assert!(length <= *room as u64, "as it was stored");
        // SAFETY: there are so many, and nobody changes them any more.
        Some(unsafe { copy(seats, length as usize) })
    }

    /// Stores the bytes.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    pub(crate) unsafe fn write(&self, seats: &Seats, bytes: &[u8]) {
        assert!(
            bytes.len() <= self.room(),
            "as many bytes as there is room for"
        );
        let is_there = || seats.words().cargo.load(Ordering::Relaxed) != 0;
        if matches!(self, Cargo::Once(_)) && is_there() {
            return;
        }
        // SAFETY: there is room for so many, and nobody else reads or writes them while the permit is held: not before they
        // are said to be there.
        unsafe {
            let from = NonNull::from(bytes).cast();
            seats.cargo().copy_from_nonoverlapping(from, bytes.len());
        }
        if matches!(self, Cargo::Once(_)) {
            let length = bytes.len() as u64 + 1;
            seats.words().cargo.store(length, Ordering::Release);
        }
    }
}

/// # Safety
/// There are so many bytes, which nobody changes meanwhile.
unsafe fn copy(seats: &Seats, length: usize) -> Vec<u8> {
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(seats.cargo().as_ptr(), length) }.to_vec()
}
