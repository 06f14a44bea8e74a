//! Slices of MPI datatypes as bytes, a piece at a time.

use crate::memory::stream::{Sink, Source};
use mpi::ffi;
use mpi::traits::{AsRaw, Equivalence};
use std::ffi::{c_int, c_void};

/// About how many bytes are packed at a time.
const PIECE: usize = 32 << 10;

/// How one `T` packs: its bytes, and how many make a piece.
///
/// The standard has `MPI_Pack_size` give an upper bound. Both sides cut pieces by the same bound and unpack each piece
/// from its beginning, so what may be left over at the end of one does no harm.
struct Packing<T: Equivalence> {
    datatype: T::Out,
    bytes: usize,
    items: usize,
}

impl<T: Equivalence> Packing<T> {
    fn new() -> Self {
        let datatype = T::equivalent_datatype();
        let mut bytes: c_int = 0;
        // SAFETY: a committed datatype of a program whose MPI runs, and a live result.
        unsafe { ffi::MPI_Pack_size(1, datatype.as_raw(), ffi::RSMPI_COMM_SELF, &mut bytes) };
        assert!(
            bytes > 0 || size_of::<T>() == 0,
            "a datatype with bytes for a type with bytes"
        );
        // One byte for an item without bytes, so that they can be counted.
        let bytes = bytes.max(1) as usize;
        Packing {
            datatype,
            bytes,
            items: (PIECE / bytes).max(1),
        }
    }
}

/// The packed bytes of a slice, as a source of a value that is shared.
pub(crate) struct PackedItems<'a, T: Equivalence> {
    items: &'a [T],
    packing: Packing<T>,
    piece: Vec<u8>,
    given: usize,
}

impl<'a, T: Equivalence> PackedItems<'a, T> {
    pub(crate) fn new(items: &'a [T]) -> Self {
        PackedItems {
            items,
            packing: Packing::new(),
            piece: Vec::new(),
            given: 0,
        }
    }

    fn pack_next_piece(&mut self) {
        let (now, later) = self
            .items
            .split_at(self.packing.items.min(self.items.len()));
        self.items = later;
        self.given = 0;
        self.piece.resize(now.len() * self.packing.bytes, 0);
        if size_of::<T>() == 0 {
            // Nothing to pack, and MPICH 4.0 divides by the size of a datatype.
            return;
        }
        let mut position = 0;
        // SAFETY: `now` holds that many items of the type that the datatype describes, and the piece has room for
        // them; both counts are small.
        unsafe {
            ffi::MPI_Pack(
                now.as_ptr().cast::<c_void>(),
                now.len() as c_int,
                self.packing.datatype.as_raw(),
                self.piece.as_mut_ptr().cast::<c_void>(),
                self.piece.len() as c_int,
                &mut position,
                ffi::RSMPI_COMM_SELF,
            );
        }
    }
}

impl<T: Equivalence> Source for PackedItems<'_, T> {
    fn length(&self) -> u64 {
        (self.items.len() * self.packing.bytes) as u64
    }

    fn fill(&mut self, mut buffer: &mut [u8]) {
        while !buffer.is_empty() {
            if self.given == self.piece.len() {
                self.pack_next_piece();
            }
            let count = buffer.len().min(self.piece.len() - self.given);
            buffer[..count].copy_from_slice(&self.piece[self.given..self.given + count]);
            self.given += count;
            buffer = &mut buffer[count..];
        }
    }
}

/// Items that are unpacked as their bytes come.
pub(crate) struct UnpackedItems<T: Equivalence> {
    items: Vec<T>,
    expected: usize,
    packing: Packing<T>,
    piece: Vec<u8>,
}

impl<T: Equivalence> UnpackedItems<T> {
    /// A sink for `bytes` packed bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let packing = Packing::new();
        let expected = bytes as usize / packing.bytes;
        UnpackedItems {
            items: Vec::with_capacity(expected),
            expected,
            packing,
            piece: Vec::new(),
        }
    }

    /// How many items there will be.
    pub(crate) fn expected(&self) -> usize {
        self.expected
    }

    /// The items that have come.
    pub(crate) fn into_items(self) -> Vec<T> {
        self.items
    }

    fn unpack_piece(&mut self) {
        let count = self.piece.len() / self.packing.bytes;
        self.items.reserve_exact(count);
        let filled = self.items.len();
        if size_of::<T>() > 0 {
            let mut position = 0;
            // SAFETY: the piece holds `count` packed items of this datatype (it is only collected where the type is
            // the one that was shared), and the spare capacity has room for them.
            unsafe {
                ffi::MPI_Unpack(
                    self.piece.as_ptr().cast::<c_void>(),
                    self.piece.len() as c_int,
                    &mut position,
                    self.items
                        .spare_capacity_mut()
                        .as_mut_ptr()
                        .cast::<c_void>(),
                    count as c_int,
                    self.packing.datatype.as_raw(),
                    ffi::RSMPI_COMM_SELF,
                );
            }
        }
        // SAFETY: a datatype that is equivalent to `T` fills all of it, on which the `mpi` crate's own receives rely
        // as well; an item without bytes needs no filling.
        unsafe { self.items.set_len(filled + count) };
        self.piece.clear();
    }
}

impl<T: Equivalence> Sink for UnpackedItems<T> {
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.items.len() < self.expected {
            let items = (self.expected - self.items.len()).min(self.packing.items);
            let wanted = items * self.packing.bytes - self.piece.len();
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if now.len() == wanted {
                self.unpack_piece();
            }
        }
    }
}
