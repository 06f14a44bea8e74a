//! Properties of types that the compiler knows: which may be sent to another thread, which can be
//! copied, and how large they are. They are checked when this file is compiled.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::io;
use std::marker::PhantomData;
use std::mem::size_of;
use std::num::{NonZeroU32, Saturating, Wrapping};
use std::ops::DerefMut;

use mpisync::batch::NextTaskFuture;
use mpisync::channel::PutOnly;
use mpisync::guarded::{AppendFile, GuardedError};
use mpisync::ndarray::{ArrayViewD, ArrayViewMutD};
use mpisync::sync::{
    AcquireFuture, BarrierError, CounterError, LatchError, LockFuture, OnceError,
    ReborrowedMutexGuard, SemaphoreError, TurnError,
};
use mpisync::{
    Access, AccessFuture, Barrier, CollectFuture, Collective, CollectiveError, Condvar, Counter,
    CreateError, Excluded, Fence, Guarded, Latch, LockError, Mutex, MutexGuard, On, OnceShared,
    Permit, Place, Plain, Pod, ReadFuture, ReadGuard, Region, RegionError, RegionPartGuard,
    RegionReadGuard, RegionWriteGuard, Semaphore, SharedChannel, SharedController, SharedCounter,
    SharedMutex, SharedMutexGuard, SharedPermit, SharedReadGuard, SharedRegion, SharedRegionGuard,
    SharedSemaphore, SharedWriteGuard, Turn, TurnGuard, UpgradeError, WindowController,
    WriteFuture, WriteGuard, Writer,
};
use num_complex::Complex;
use static_assertions::{assert_impl_all, assert_not_impl_any, const_assert, const_assert_eq};

// The thread of a rank that acquires a lock releases it, and makes the calls to MPI.
assert_not_impl_any!(WindowController: Send, Sync, Clone, Copy);
assert_not_impl_any!(ReadGuard<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(WriteGuard<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(UpgradeError<'static>: Send, Sync, Clone, Copy);
// But for a controller that threads share, whose guards belong to the threads that took them.
assert_impl_all!(SharedController<'static>: Send, Sync, Debug);
assert_not_impl_any!(SharedController<'static>: Clone, Copy);
assert_not_impl_any!(SharedReadGuard<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(SharedWriteGuard<'static>: Send, Sync, Clone, Copy);
assert_impl_all!(SharedRegion<'static, f64>: Send, Sync, Debug);
assert_not_impl_any!(SharedRegionGuard<'static, f64>: Send, Clone, Copy, DerefMut);
assert_impl_all!(SharedRegionGuard<'static, f64>: Sync, Debug);
assert_impl_all!(SharedMutex<'static, f64>: Send, Sync, Debug);
assert_not_impl_any!(SharedMutexGuard<'static, f64>: Send, Sync, Clone, Copy);
assert_impl_all!(SharedSemaphore<'static>: Send, Sync, Debug);
assert_not_impl_any!(SharedPermit<'static>: Send, Sync, Clone, Copy);
assert_impl_all!(SharedCounter<'static, u32>: Send, Sync, Debug);
assert_impl_all!(SharedChannel<'static, f64>: Send, Sync, Debug);
assert_impl_all!(SharedChannel<'static, f64, PutOnly>: Send, Sync);
assert_not_impl_any!(On<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(Access<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(Fence<'static, Writer>: Send, Sync, Clone, Copy);
assert_not_impl_any!(Fence<'static, Excluded>: Send, Sync, Clone, Copy);
assert_not_impl_any!(Collective: Copy, Clone);
assert_not_impl_any!(Guarded<AppendFile>: Send, Sync, Clone, Copy);

assert_not_impl_any!(ReadFuture<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(WriteFuture<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(AccessFuture<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(CollectFuture<'static, u64>: Send, Sync, Clone, Copy);

// The same for regions. Their views may be sent to other threads, their guards may not; threads may
// read through a borrowed guard. The guards lend nothing for writing without recording it.
assert_not_impl_any!(Region<f64>: Send, Sync, Clone, Copy);
assert_not_impl_any!(RegionReadGuard<'static, f64>: Send, Clone, Copy, DerefMut);
assert_impl_all!(RegionReadGuard<'static, f64>: Sync);
assert_not_impl_any!(RegionWriteGuard<'static, f64>: Send, Sync, Clone, Copy, DerefMut);
assert_not_impl_any!(RegionPartGuard<'static, f64>: Send, Sync, Clone, Copy, DerefMut);
assert_impl_all!(ArrayViewD<'static, f64>: Send, Sync);
assert_impl_all!(ArrayViewMutD<'static, f64>: Send, Sync);

// And for the other objects.
assert_not_impl_any!(Mutex<u64>: Send, Sync, Clone, Copy);
assert_not_impl_any!(MutexGuard<'static, u64>: Send, Sync, Clone, Copy);
assert_not_impl_any!(ReborrowedMutexGuard<'static, u64>: Clone, Copy);
assert_not_impl_any!(Condvar: Send, Sync, Clone, Copy);
assert_not_impl_any!(Semaphore: Send, Sync, Clone, Copy);
assert_not_impl_any!(Permit<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(LockFuture<'static, u64>: Send, Sync, Clone, Copy);
assert_not_impl_any!(AcquireFuture<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(NextTaskFuture<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(Counter<u64>: Send, Sync, Clone, Copy);
assert_not_impl_any!(Turn: Send, Sync, Clone, Copy);
assert_not_impl_any!(TurnGuard<'static>: Send, Sync, Clone, Copy);
assert_not_impl_any!(Barrier: Send, Sync, Clone, Copy);
assert_not_impl_any!(Latch: Send, Sync, Clone, Copy);
assert_not_impl_any!(OnceShared<String>: Send, Sync, Clone, Copy);

// Errors can be used as in most programs: with `?`, in `anyhow`, in another thread.
assert_impl_all!(CollectiveError: Error, Send, Sync, Clone);
assert_impl_all!(LockError: Error, Send, Sync, Clone);
assert_impl_all!(CreateError: Error, Send, Sync);
assert_impl_all!(RegionError: Error, Send, Sync, Clone);
assert_impl_all!(GuardedError<std::io::Error>: Error, Send, Sync);
// Also if the error of the closure is no `Error`.
assert_impl_all!(GuardedError<anyhow::Error>: Error, Send, Sync);
assert_impl_all!(SemaphoreError: Error, Send, Sync, Clone);
assert_impl_all!(CounterError: Error, Send, Sync, Clone);
assert_impl_all!(TurnError: Error, Send, Sync, Clone);
assert_impl_all!(BarrierError: Error, Send, Sync, Clone);
assert_impl_all!(LatchError: Error, Send, Sync, Clone);
assert_impl_all!(OnceError: Error, Send, Sync, Clone);
assert_impl_all!(UpgradeError<'static>: Debug, Display);
assert_impl_all!(Place: Debug, Display, Send, Sync, Clone);
assert_not_impl_any!(CollectiveError: Copy);
assert_impl_all!(io::Error: From<CollectiveError>);
assert_impl_all!(anyhow::Error: From<CollectiveError>);
assert_impl_all!(Box<dyn Error>: From<CollectiveError>);
assert_impl_all!(Box<dyn Error + Send + Sync>: From<CollectiveError>);
assert_not_impl_any!(Place: Copy);

// Numbers and arrays have the same meaning in every process. Types with bits that are no value, or
// with addresses, do not.
assert_impl_all!(u8: Plain);
assert_impl_all!(isize: Plain);
assert_impl_all!([[f64; 3]; 3]: Plain);
assert_not_impl_any!(bool: Plain);
assert_not_impl_any!(char: Plain);
assert_impl_all!((): Plain);
assert_impl_all!(u128: Plain);
assert_impl_all!(i128: Plain);
assert_impl_all!(Wrapping<u32>: Plain);
assert_impl_all!(Saturating<[i64; 2]>: Plain);
assert_not_impl_any!(Wrapping<bool>: Plain);
assert_not_impl_any!((u8, u8): Plain);
assert_not_impl_any!(Option<u64>: Plain);
assert_not_impl_any!([bool; 2]: Plain);
assert_not_impl_any!(&'static u64: Plain);
assert_not_impl_any!(*const u8: Plain);

// Of other crates. A `bytemuck::Pod` need not be `Send`, and a plain type is.
assert_impl_all!(Complex<f64>: Plain);
assert_not_impl_any!(Complex<bool>: Plain);
assert_impl_all!(half::f16: Plain);
assert_impl_all!(half::bf16: Plain);
assert_impl_all!(Pod<Option<NonZeroU32>>: Plain);
assert_impl_all!([Pod<f32>; 2]: Plain);
assert_not_impl_any!(Pod<bool>: Plain);
assert_impl_all!(PhantomData<*const u8>: bytemuck::Pod);
assert_not_impl_any!(Pod<PhantomData<*const u8>>: Plain);

// The debug output of a controller and of guards.
assert_impl_all!(WindowController: Debug);
assert_impl_all!(ReadGuard<'static>: Debug);
assert_impl_all!(WriteGuard<'static>: Debug);
assert_impl_all!(Region<f64>: Debug, Display);
assert_impl_all!(RegionReadGuard<'static, f64>: Debug);
assert_impl_all!(RegionWriteGuard<'static, f64>: Debug);
assert_impl_all!(RegionPartGuard<'static, f64>: Debug);

// A guard is at most two words, and an `Option` of one is no larger: `try_read` returns it in
// registers.
const TWO_WORDS: usize = 2 * size_of::<usize>();
const_assert!(size_of::<ReadGuard<'static>>() <= TWO_WORDS);
const_assert!(size_of::<WriteGuard<'static>>() <= TWO_WORDS);
const_assert_eq!(
    size_of::<Option<ReadGuard<'static>>>(),
    size_of::<ReadGuard<'static>>()
);
const_assert_eq!(
    size_of::<Option<WriteGuard<'static>>>(),
    size_of::<WriteGuard<'static>>()
);

// Clippy tells users to box larger errors (`result_large_err`).
const_assert!(size_of::<CollectiveError>() <= 128);
const_assert!(size_of::<LockError>() <= 128);
const_assert!(size_of::<CreateError>() <= 128);
const_assert!(size_of::<RegionError>() <= 128);
