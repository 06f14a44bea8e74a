//! A range of zeroed memory, private to this process or shared by the processes of a node.
//!
//! Shared memory is a POSIX shared-memory object, not an MPI window. So each process unmaps it
//! without the others, memory that a guard still uses outlives `MPI_Finalize`, fresh pages are zero
//! with every MPI, and a full `/dev/shm` is an error instead of a later signal. The object's name
//! is removed as soon as all ranks of the node have mapped it.

use crate::shm::atomic::AtomicU64;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The least alignment of a mapping: that of a [`Line`](crate::shm::line::Line).
pub(crate) const ALIGN: usize = 128;

/// Zeroed memory, freed on drop.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    /// Whether it comes from `mmap`, not from the allocator.
    is_mapped: bool,
}

// SAFETY: a mapping is an address range that stays valid until it is dropped, on whatever thread;
// its contents are accessed through atomics, and the items of a region under its lock.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `length` bytes on the heap of this process.
    pub(crate) fn private(length: usize) -> Self {
        Self::try_private(length).unwrap_or_else(|| {
            let layout = Self::heap_layout(length);
            handle_alloc_error(layout.unwrap_or(Layout::new::<u8>()))
        })
    }

    /// [`private`](Self::private), or None if there is not enough memory. Touches no page of a
    /// large mapping.
    pub(crate) fn try_private(length: usize) -> Option<Self> {
        /// For an alignment above its own, the allocator writes the zeros itself, which touches all
        /// pages.
        const LARGE: usize = 1 << 20;
        if length >= LARGE {
            return Self::map_private(length);
        }
        let layout = Self::heap_layout(length)?;
        // SAFETY: no caller asks for zero bytes, and if one did the layout below is one line long.
        let start = unsafe { alloc_zeroed(layout) };
        Some(Mapping {
            start: NonNull::new(start)?,
            length,
            is_mapped: false,
        })
    }

    fn map_private(length: usize) -> Option<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), length, protection, MapFlags::PRIVATE) };
        Some(Mapping {
            start: NonNull::new(start.ok()?.cast())?,
            length,
            is_mapped: true,
        })
    }

    /// None if there are more bytes than an address space has.
    fn heap_layout(length: usize) -> Option<Layout> {
        Layout::from_size_align(length.max(ALIGN), ALIGN).ok()
    }

    /// The number of bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The address of the first byte.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The `T` that lies `offset` bytes from the start.
    ///
    /// # Panics
    /// If it does not lie inside the mapping or is not aligned.
    pub(crate) fn get<T: Shareable>(&self, offset: usize) -> &T {
        &self.slice(offset, 1)[0]
    }

    /// The `count` values of type `T` that begin `offset` bytes from the start.
    ///
    /// # Panics
    /// If they do not lie inside the mapping or are not aligned.
    pub(crate) fn slice<T: Shareable>(&self, offset: usize, count: usize) -> &[T] {
        let end = count
            .checked_mul(size_of::<T>())
            .and_then(|bytes| bytes.checked_add(offset));
        assert!(
            end.is_some_and(|end| end <= self.length) && offset.is_multiple_of(align_of::<T>()),
            "a value inside the mapping"
        );
        const { assert!(align_of::<T>() <= ALIGN) };
        // SAFETY: the range lies inside the mapping, is aligned (the mapping itself is, to ALIGN),
        // lives as long as the mapping that is borrowed, and holds a `T` because zeroes do and `T`
        // is only changed as a `T`.
        unsafe { std::slice::from_raw_parts(self.start.add(offset).cast().as_ptr(), count) }
    }
}

/// Types that may lie in shared memory.
///
/// # Safety
/// All bytes zero is a value of the type, it is made of atomics only, and it has no pointers into
/// one process.
pub(crate) unsafe trait Shareable {}

// SAFETY: an atomic integer is an integer, for which zero is a value.
unsafe impl Shareable for AtomicU64 {}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.is_mapped {
            // SAFETY: it comes from `mmap` with this start and length, and nothing borrows from a
            // mapping that is dropped.
            let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
        } else {
            let layout = Self::heap_layout(self.length).expect("as it was allocated");
            // SAFETY: allocated in `try_private` with the same layout.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

pub(crate) use shared::SharedName;

mod shared {
    use super::{Mapping, NonNull};
    use crate::shm::system;
    use rustix::fd::OwnedFd;
    use rustix::fs::Mode;
    use rustix::io;
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    use rustix::shm;
    use std::hash::{BuildHasher, RandomState};

    /// The name by which the other processes of the node find new shared memory.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct SharedName(u64);

    impl SharedName {
        /// A name that is not in use, and what `take` returns for it.
        fn find<T>(mut take: impl FnMut(SharedName) -> io::Result<T>) -> io::Result<(Self, T)> {
            loop {
                let name = SharedName(RandomState::new().hash_one(std::process::id()));
                match take(name) {
                    Ok(taken) => return Ok((name, taken)),
                    Err(io::Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
            }
        }

        pub(crate) fn from_bits(bits: u64) -> Self {
            SharedName(bits)
        }

        pub(crate) fn bits(self) -> u64 {
            self.0
        }

        // Short enough for macOS, which allows 31 characters.
        fn path(self) -> String {
            format!("/mpisync-{:016x}", self.0)
        }

        /// Removes the name; the memory lives as long as a process has it mapped.
        pub(crate) fn remove(self) {
            // Fails only if the name has been removed already.
            let _ = shm::unlink(self.path());
        }
    }

    impl Mapping {
        /// New shared memory of `length` bytes, all of which are reserved.
        ///
        /// # Errors
        /// Those of `shm_open`, `fallocate` and `mmap`; `ENOSPC` when `/dev/shm` is full.
        pub(crate) fn create_shared(length: usize) -> io::Result<(Self, SharedName)> {
            let (name, file) = Self::new_file(length)?;
            match map(&file, length) {
                Ok(mapping) => Ok((mapping, name)),
                Err(error) => {
                    name.remove();
                    Err(error)
                }
            }
        }

        /// A file of this length, all of which is reserved.
        fn new_file(length: usize) -> io::Result<(SharedName, OwnedFd)> {
            match Self::new_file_named_late(length) {
                Err(io::Errno::OPNOTSUPP | io::Errno::ISDIR | io::Errno::NOENT) => {}
                made => return made,
            }
            let (name, file) = SharedName::find(|name| {
                let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
                shm::open(name.path(), flags, Mode::RUSR | Mode::WUSR)
            })?;
            reserve(&file, length).inspect_err(|_| name.remove())?;
            Ok((name, file))
        }

        /// The file gets its name after it is reserved, so that a process that is killed before
        /// leaves nothing behind.
        fn new_file_named_late(length: usize) -> io::Result<(SharedName, OwnedFd)> {
            let file = system::unnamed_file()?;
            reserve(&file, length)?;
            let (name, ()) = SharedName::find(|name| system::give_name(&file, &name.path()))?;
            Ok((name, file))
        }

        /// Maps shared memory that another process of the node has created.
        ///
        /// # Errors
        /// Those of `shm_open` and `mmap`; `ENOENT` if that process is on another host.
        pub(crate) fn open_shared(name: SharedName, length: usize) -> io::Result<Self> {
            let file = shm::open(name.path(), shm::OFlags::RDWR, Mode::empty())?;
            map(&file, length)
        }
    }

    /// Sets the length of the file and allocates its pages, so that a lack of memory shows here.
    fn reserve(file: &OwnedFd, length: usize) -> io::Result<()> {
        rustix::fs::ftruncate(file, length as u64)?;
        system::reserve(file, length)
    }

    fn map(file: &OwnedFd, length: usize) -> io::Result<Mapping> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                protection,
                MapFlags::SHARED,
                file,
                0,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::Errno::NOMEM)?;
        Ok(Mapping {
            start,
            length,
            is_mapped: true,
        })
    }
}
