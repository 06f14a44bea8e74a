//! The executable of a process, and the places in it that other processes of the same executable name
//! by an address.
//!
//! A place that a rank has stored is an address in that rank's process. Processes of one executable
//! map it at different addresses, so each publishes the address of one static, the anchor; the
//! distance of a place to it is the same in all of them.

use crate::fingerprint::fingerprint;
use crate::location;
use crate::shm::domain::Domain;
use crate::shm::system;
use core::sync::atomic::{AtomicU64, Ordering};
use std::ops::Range;
use std::panic::Location;
use std::ptr;
use std::sync::OnceLock;

/// The executable of this process.
pub(crate) struct Program {
    /// The same in all processes that run the same file, never 0.
    pub(crate) identity: u64,
    /// The address of [`ANCHOR`].
    pub(crate) anchor: u64,
    /// The addresses of its memory that is never written.
    read_only: Vec<Range<u64>>,
}

/// A static of the program, whose address the processes publish.
static ANCHOR: u8 = 0;

impl Program {
    /// The executable of this process, if it can be told apart from others and the library is a part
    /// of it.
    pub(crate) fn this() -> Option<&'static Self> {
        static PROGRAM: OnceLock<Option<Program>> = OnceLock::new();
        PROGRAM.get_or_init(Self::look_up).as_ref()
    }

    fn look_up() -> Option<Self> {
        let anchor = (&raw const ANCHOR).addr() as u64;
        let read_only = system::read_only_memory(anchor)?;
        let offsets = read_only
            .iter()
            .flat_map(|range| [range.start, range.end])
            .map(|address| address.wrapping_sub(anchor));
        let numbers = system::executable_version()?.into_iter().chain(offsets);
        let bytes: Vec<u8> = numbers.flat_map(u64::to_ne_bytes).collect();
        Some(Program {
            identity: fingerprint(&bytes) | 1,
            anchor,
            read_only,
        })
    }

    /// The place whose address in a process of the same executable is `address`, and whose anchor
    /// there is `anchor`.
    fn place(&self, address: u64, anchor: u64) -> Option<&'static Location<'static>> {
        let address = address.wrapping_sub(anchor).wrapping_add(self.anchor);
        let end = address.checked_add(size_of::<Location<'_>>() as u64)?;
        let is_inside = |range: &Range<u64>| range.start <= address && end <= range.end;
        let is_aligned = address.is_multiple_of(align_of::<Location<'_>>() as u64);
        if !is_aligned || !self.read_only.iter().any(is_inside) {
            return None;
        }
        let place = ptr::with_exposed_provenance::<Location<'static>>(address as usize);
        // SAFETY: only `HeldAt::set` stores such addresses, those of locations that live as long as their process. That
        // process runs the same file as this one, whose parts lie at the same distances, and its location is in a part
        // that nobody writes, so the same location is at this address here. Were it in another module of that process,
        // the address would not be at the distance of a part of the executable, whose place it could not have there.
        Some(unsafe { &*place })
    }
}

/// The place where a rank has last taken something, in shared memory. Stored by that rank only.
#[derive(Default)]
#[repr(transparent)]
pub(crate) struct HeldAt(AtomicU64);

impl HeldAt {
    /// Stores a place of this process.
    #[inline]
    pub(crate) fn set(&self, place: &'static Location<'static>) {
        let address = ptr::from_ref(place).expose_provenance();
        self.0.store(address as u64, Ordering::Relaxed);
    }

    /// The place, if `local_rank` has stored it and runs the same executable as this process, which is a program in Rust.
    pub(crate) fn get(
        &self,
        domain: &Domain,
        local_rank: usize,
    ) -> Option<&'static Location<'static>> {
        let address = self.0.load(Ordering::Relaxed);
        let program = Program::this()?;
        let member = domain.segment().member(local_rank);
        let is_same = member.program.load(Ordering::Acquire) == program.identity;
        if address == 0 || !is_same || location::is_in_other_language() {
            return None;
        }
        program.place(address, member.anchor.load(Ordering::Relaxed))
    }
}
