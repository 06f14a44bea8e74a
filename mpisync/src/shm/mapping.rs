//! A range of zeroed memory, private to this process or shared by the processes of a node.
//!
//! Shared memory is a POSIX shared-memory object, not an MPI window. So each process unmaps it
//! without the others, memory that a guard still uses outlives `MPI_Finalize`, fresh pages are zero
//! with every MPI, and a full `/dev/shm` is an error instead of a later signal.
//!
//! The object has no name, so nothing is left in `/dev/shm` however its processes end: the ranks of
//! a node open the descriptor of the rank that has made it, in `/proc`. Only where they cannot, as in
//! containers with PID namespaces of their own, does it have a name until all have mapped it. It is
//! a file in `/dev/shm` (`O_TMPFILE`), not a `memfd`, because a name can be given to it and because
//! the size of `/dev/shm` bounds it, named or not.

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

#[cfg(test)]
pub(super) use shared::sweep_directory;
pub(crate) use shared::{Handle, SharedFile, sweep, use_names};

mod shared {
    use super::{Mapping, NonNull};
    use crate::shm::process::{self, Process};
    use crate::shm::system;
    use rustix::fd::{AsRawFd, OwnedFd};
    use rustix::fs::{Mode, SeekFrom};
    use rustix::io;
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    use rustix::shm;
    use serde::{Deserialize, Serialize};
    use std::hash::{BuildHasher, RandomState};
    use std::sync::Once;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, SystemTime};

    /// Whether a process of this node could not open the descriptor of another one. Shared memory
    /// gets a name from then on.
    static NEEDS_NAMES: AtomicBool = AtomicBool::new(false);

    /// Lets shared memory that this process makes have a name until all ranks have mapped it.
    pub(crate) fn use_names() {
        NEEDS_NAMES.store(true, Ordering::Relaxed);
    }

    /// How the other processes of the node find new shared memory: by a descriptor of the process
    /// that has made it, or by a name.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub(crate) struct Handle {
        process: u32,
        /// None if there is a name.
        descriptor: Option<u32>,
        /// A random number. It is the position of the descriptor, by which another process
        /// recognizes it, or part of the name.
        token: u64,
        /// For a name: when the process was started, and its PID namespace.
        born: u64,
        namespace: u64,
    }

    impl Handle {
        /// Random, and less than the largest position of a descriptor.
        fn new_token() -> u64 {
            RandomState::new().hash_one(std::process::id()) >> 2
        }

        /// A new name.
        fn new_name() -> Self {
            let this = Process::this();
            Handle {
                process: this.id,
                descriptor: None,
                token: Self::new_token(),
                born: this.born,
                namespace: process::namespace(),
            }
        }

        /// As words of shared memory.
        pub(crate) fn to_words(self) -> [u64; 4] {
            let descriptor = self.descriptor.unwrap_or(u32::MAX);
            let process = u64::from(self.process) << 32 | u64::from(descriptor);
            [process, self.token, self.born, self.namespace]
        }

        pub(crate) fn from_words([process, token, born, namespace]: [u64; 4]) -> Self {
            Handle {
                process: (process >> 32) as u32,
                descriptor: Some(process as u32).filter(|&it| it != u32::MAX),
                token,
                born,
                namespace,
            }
        }

        pub(crate) fn is_named(self) -> bool {
            self.descriptor.is_none()
        }

        /// The name for `shm_open`.
        fn path(self) -> String {
            let (process, born, token) = (self.process, self.born, self.token);
            if born == 0 {
                // Short enough for macOS, which allows 31 characters.
                return format!("/{PREFIX}{token:016x}");
            }
            format!("/{PREFIX}{process}-{born}-{}-{token:016x}", self.namespace)
        }

        fn open(self) -> io::Result<OwnedFd> {
            match self.descriptor {
                Some(descriptor) => system::open_descriptor(self.process, descriptor, self.token),
                None => shm::open(self.path(), shm::OFlags::RDWR, Mode::empty()),
            }
        }
    }

    const PREFIX: &str = "mpisync-";

    /// New shared memory, as the process that has made it keeps it until the other processes of the
    /// node have mapped it. On drop, no process can map it any more.
    pub(crate) struct SharedFile {
        file: OwnedFd,
        handle: Handle,
    }

    impl SharedFile {
        /// A file of this length, of which the first `reserved` bytes are allocated.
        fn new(length: usize, reserved: usize) -> io::Result<Self> {
            match Self::unnamed(length, reserved) {
                Err(io::Errno::OPNOTSUPP | io::Errno::ISDIR | io::Errno::NOENT) => {}
                made => return made,
            }
            let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
            let create = |name: Handle| shm::open(name.path(), flags, Mode::RUSR | Mode::WUSR);
            let (handle, file) = find_name(create)?;
            let named = SharedFile { file, handle };
            reserve(&named.file, length, reserved)?;
            Ok(named)
        }

        /// Without a name, so that nothing is left if all processes are killed.
        fn unnamed(length: usize, reserved: usize) -> io::Result<Self> {
            let file = system::unnamed_file()?;
            reserve(&file, length, reserved)?;
            let token = Handle::new_token();
            rustix::fs::seek(&file, SeekFrom::Start(token))?;
            let handle = Handle {
                process: std::process::id(),
                descriptor: Some(file.as_raw_fd() as u32),
                token,
                born: 0,
                namespace: 0,
            };
            let mut unnamed = SharedFile { file, handle };
            if NEEDS_NAMES.load(Ordering::Relaxed) {
                unnamed.give_name()?;
            }
            Ok(unnamed)
        }

        /// Gives it a name, for processes that cannot open the descriptor.
        pub(crate) fn give_name(&mut self) -> io::Result<()> {
            if !self.handle.is_named() {
                let link = |name: Handle| system::give_name(&self.file, &name.path());
                (self.handle, ()) = find_name(link)?;
            }
            Ok(())
        }

        pub(crate) fn handle(&self) -> Handle {
            self.handle
        }

        /// The file, which outlives `self`; its name does not.
        pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
            rustix::io::fcntl_dupfd_cloexec(&self.file, 0)
        }

        /// How many bytes are allocated.
        #[cfg(test)]
        pub(in crate::shm) fn allocated(&self) -> u64 {
            let stat = rustix::fs::fstat(&self.file).expect("it is open");
            stat.st_blocks as u64 * 512
        }
    }

    impl Drop for SharedFile {
        fn drop(&mut self) {
            if self.handle.is_named() {
                // Fails only if somebody else has removed it.
                let _ = shm::unlink(self.handle.path());
            }
        }
    }

    /// A name that is not in use, and what `take` returns for it.
    fn find_name<T>(mut take: impl FnMut(Handle) -> io::Result<T>) -> io::Result<(Handle, T)> {
        loop {
            let name = Handle::new_name();
            match take(name) {
                Ok(taken) => return Ok((name, taken)),
                Err(io::Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
    }

    impl Mapping {
        /// New shared memory of `length` bytes, of which the first `reserved` are allocated; the
        /// others may only be used after [`populate`](Self::populate).
        ///
        /// # Errors
        /// Those of `shm_open`, `fallocate` and `mmap`; `ENOSPC` when `/dev/shm` is full.
        pub(crate) fn create_shared(
            length: usize,
            reserved: usize,
        ) -> io::Result<(Self, SharedFile)> {
            let shared = SharedFile::new(length, reserved)?;
            Ok((map(&shared.file, length)?, shared))
        }

        /// Maps shared memory that another process of the node has created. Also returns the file,
        /// which the mapping does not need.
        ///
        /// # Errors
        /// Those of `open`, `shm_open` and `mmap`; `ENOENT` if that process is on another host or
        /// in another PID namespace.
        pub(crate) fn open_shared(handle: Handle, length: usize) -> io::Result<(Self, OwnedFd)> {
            let file = handle.open()?;
            Ok((map(&file, length)?, file))
        }

        /// Allocates a part of shared memory that no process has used, so that a lack of memory is
        /// an error here instead of a signal at the first use.
        ///
        /// # Errors
        /// `ENOSPC` when `/dev/shm` is full.
        ///
        /// # Safety
        /// While this runs no thread of any process accesses the part.
        pub(crate) unsafe fn populate(&self, offset: usize, length: usize) -> io::Result<()> {
            assert!(offset + length <= self.length, "inside the mapping");
            if !self.is_mapped {
                return Ok(());
            }
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
            let zeros = rustix::fs::open("/dev/zero", flags, Mode::empty())?;
            // SAFETY: inside the mapping, and nobody else accesses it, as the caller ensures.
            let mut part =
                unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(offset), length) };
            while !part.is_empty() {
                // If the kernel itself cannot write to a page, there is no signal.
                match rustix::io::read(&zeros, &mut *part) {
                    Ok(0) | Err(io::Errno::FAULT) => return Err(io::Errno::NOSPC),
                    Ok(filled) => part = &mut part[filled..],
                    Err(io::Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    }

    /// Sets the length of the file and allocates its first bytes, so that a lack of memory shows
    /// here.
    fn reserve(file: &OwnedFd, length: usize, reserved: usize) -> io::Result<()> {
        rustix::fs::ftruncate(file, length as u64)?;
        system::reserve(file, reserved)
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

    /// Removes the names that killed processes have left in `/dev/shm`. Runs once per
    /// process.
    pub(crate) fn sweep() {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| {
            // Without the directory there are no names.
            let _ = sweep_directory(std::path::Path::new("/dev/shm"));
        });
    }

    pub(in crate::shm) fn sweep_directory(directory: &std::path::Path) -> std::io::Result<()> {
        let namespace = system::pid_namespace();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
                continue;
            };
            // A name exists while ranks that have met map the memory. A process of another PID
            // namespace cannot be looked up.
            let is_left = match owner(name) {
                Some((process, its)) if Some(its) == namespace => !process.is_alive(),
                _ => entry.metadata().is_ok_and(|data| is_old(data.modified())),
            };
            if is_left {
                // Another process may sweep at the same time, or another user own it.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// The process that has made a name, and its PID namespace.
    fn owner(name: &str) -> Option<(Process, u64)> {
        let mut parts = name.split('-');
        let (id, born) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((Process { id, born }, parts.next()?.parse().ok()?))
    }

    fn is_old(modified: std::io::Result<SystemTime>) -> bool {
        const OLD: Duration = Duration::from_secs(24 * 3600);
        let age = modified.ok().and_then(|time| time.elapsed().ok());
        age.is_some_and(|age| age > OLD)
    }
}
