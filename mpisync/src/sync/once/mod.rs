//! A value that one rank computes and all ranks read.

use crate::error::{CreateError, LockError, ONCE};
use crate::object::{Object, accessors};
use crate::shm::layout::AnyLayout;
use crate::sync::base::Base;
use crate::sync::spec::Spec;
use crate::wait_queue::OnDeath;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::memory::WaitLayout;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::type_name;
use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::Location;
use std::time::Duration;

/// A value that the first rank to ask for it computes. Later ranks get that value. Not collective:
/// ranks that never ask take no part.
///
/// Made by [`OnceShared::new`] or [`OnceShared::builder`], or for one process without MPI by
/// [`OnceShared::local`]. `T` is any serde value. A rank that asks while another rank computes
/// waits for the result. If the computation fails, panics or its rank dies, the next waiting rank
/// computes. Once a rank has the value, asking for it again only reads the rank's own memory.
///
/// A shared value stays on the thread that made it. Dropping it is local.
///
/// ```
/// use mpisync::OnceShared;
///
/// let settings = OnceShared::<String>::local();
/// assert_eq!(settings.get(), None);
/// let first = settings.get_or_init(|| "from the licence server".to_owned());
/// assert_eq!(first, "from the licence server");
/// assert_eq!(settings.get_or_init(|| unreachable!("it is there")), first);
/// ```
pub struct OnceShared<T> {
    base: Base,
    value: OnceCell<T>,
    capacity: usize,
    /// Whether this rank is computing the value.
    computes: Cell<bool>,
}

/// The reason why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnceError {
    /// Waiting for the computing rank failed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The value could not be serialized.
    #[error("the value cannot be serialized: {0}")]
    Encode(String),
    /// The bytes of another rank could not be deserialized as the value's type.
    #[error("the value of another rank cannot be read: {0}")]
    Decode(String),
    /// The serialized value is too large.
    #[error(
        "the value takes {bytes} bytes, and there is room for {capacity}; make it with `OnceShared::builder(&comm).capacity({bytes})`"
    )]
    TooLarge {
        /// The size of the serialized value in bytes.
        bytes: usize,
        /// The capacity in bytes.
        capacity: usize,
    },
}

/// The default capacity in bytes.
const CAPACITY: usize = 64 << 10;

/// The largest capacity in bytes.
const MOST: usize = 1 << 30;

impl<T: Serialize + DeserializeOwned> OnceShared<T> {
    /// Makes a shared value for this process alone. Needs no MPI, neither to run nor (without the
    /// feature `mpi`) to build.
    pub fn local() -> Self {
        OnceOf::default().local()
    }

    /// The value, if a rank has computed it. Not collective. Does not wait, except for one round
    /// trip if the root is on another node and this rank does not have the value yet.
    ///
    /// # Panics
    /// If this rank does not have the value yet, and MPI is finalized or the value cannot be
    /// deserialized.
    #[track_caller]
    pub fn get(&self) -> Option<&T> {
        if self.value.get().is_none() {
            let found = self.base.look().map_err(OnceError::Lock);
            let found = found.and_then(|bytes| bytes.map(|bytes| self.keep(&bytes)).transpose());
            if let Err(error) = found {
                self.base.object.panic_with(&error);
            }
        }
        self.value.get()
    }

    /// The value. Calls `compute` if no rank has computed it or is computing it. Not collective.
    ///
    /// # Panics
    /// Where [`get_or_try_init`](Self::get_or_try_init) would return a [`OnceError`], and if
    /// `compute` itself asks for the value.
    #[track_caller]
    pub fn get_or_init(&self, compute: impl FnOnce() -> T) -> &T {
        let computed = self.compute(None, || Ok::<T, Infallible>(compute()));
        match computed {
            Ok(Ok(value)) => value,
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// The value. Calls `compute` if no rank has computed it or is computing it. If `compute`
    /// fails, the next rank that asks calls its own. Not collective.
    ///
    /// # Errors
    /// The error of `compute`, on the rank that has called it, and those of [`OnceError`].
    ///
    /// # Panics
    /// If `compute` itself asks for the value.
    #[track_caller]
    pub fn get_or_try_init<E: From<OnceError>>(
        &self,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        self.compute(None, compute)?
    }

    /// Like [`get_or_try_init`](Self::get_or_try_init), but waits for at most `limit` for another
    /// rank's computation. Not collective.
    ///
    /// # Errors
    /// [`LockError::Timeout`] in a [`OnceError`], and those of `get_or_try_init`.
    ///
    /// # Panics
    /// If `compute` itself asks for the value.
    #[track_caller]
    pub fn get_or_try_init_timeout<E: From<OnceError>>(
        &self,
        limit: Duration,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        self.compute(Some(limit), compute)?
    }

    #[track_caller]
    fn compute<E>(
        &self,
        limit: Option<Duration>,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<&T, E>, OnceError> {
        if let Some(value) = self.value.get() {
            return Ok(Ok(value));
        }
        assert!(
            !self.computes.get(),
            "the value is being computed on this rank, and asked for by that itself"
        );
        // A rank that comes after the computation need not queue.
        if let Some(bytes) = self.base.look_locally() {
            return self.keep(&bytes).map(Ok);
        }
        let grant = self.base.acquire("get_or_init", 1, limit)?;
        let turn = ComputeTurn::begin(self);
        if let Some(bytes) = grant.cargo.or_else(|| self.base.look_locally()) {
            drop(turn);
            return self.keep(&bytes).map(Ok);
        }
        let value = match compute() {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = postcard::to_stdvec(&value);
        let bytes = bytes.map_err(|error| OnceError::Encode(error.to_string()))?;
        if bytes.len() > self.capacity {
            let (bytes, capacity) = (bytes.len(), self.capacity);
            return Err(OnceError::TooLarge { bytes, capacity });
        }
        turn.end_with(bytes);
        Ok(Ok(self.value.get_or_init(|| value)))
    }

    fn keep(&self, bytes: &[u8]) -> Result<&T, OnceError> {
        let value: T =
            postcard::from_bytes(bytes).map_err(|error| OnceError::Decode(error.to_string()))?;
        Ok(self.value.get_or_init(|| value))
    }

    /// Makes the object usable again if a rank has died in the middle of a change of its words, which
    /// is all that can poison it: others get [`LockError::HolderDied`] from then on. Not collective;
    /// any rank may call it. Returns whether there was a death to clear. Waits until the ranks that
    /// wait have got the error.
    ///
    /// # Errors
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn clear_poison(&self) -> Result<bool, LockError> {
        self.base.clear_poison(Location::caller())
    }

    accessors!(root, base.object; |this| this.base.release_leaked(|| None));
}

/// The period in which this rank may compute the value. When it ends, even by a panic, other ranks
/// may.
struct ComputeTurn<'a, T> {
    once: &'a OnceShared<T>,
}

impl<'a, T> ComputeTurn<'a, T> {
    fn begin(once: &'a OnceShared<T>) -> Self {
        once.computes.set(true);
        ComputeTurn { once }
    }

    fn end_with(self, bytes: Vec<u8>) {
        let once = self.once;
        mem::forget(self);
        once.computes.set(false);
        once.base.fill(bytes);
    }
}

impl<T> Drop for ComputeTurn<'_, T> {
    fn drop(&mut self) {
        self.once.computes.set(false);
        self.once.base.release(1, || None);
    }
}

/// The arguments of a [`OnceShared`].
#[derive(Debug)]
pub struct OnceOf<T> {
    pub(super) capacity: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Default for OnceOf<T> {
    fn default() -> Self {
        OnceOf {
            capacity: CAPACITY,
            value: PhantomData,
        }
    }
}

impl<T> OnceOf<T> {
    fn cargo(&self) -> Cargo {
        Cargo::Once(self.capacity.min(MOST))
    }
}

impl<T: Serialize + DeserializeOwned> Spec for OnceOf<T> {
    type Made = OnceShared<T>;
    const KIND: &'static str = ONCE;

    fn arguments(&self) -> Vec<(&'static str, String)> {
        let layout = format!("{} bytes, alignment {}", size_of::<T>(), align_of::<T>());
        vec![
            ("type of value", type_name::<T>().to_owned()),
            // Two types may have the same name. The fields of a serde type are unknown, but not its
            // size.
            ("layout of value", layout),
            ("capacity", self.capacity.to_string()),
        ]
    }

    fn invalid(&self) -> Option<CreateError> {
        (self.capacity > MOST).then_some(CreateError::Capacity {
            object: ONCE,
            capacity: self.capacity,
            bytes: 1,
        })
    }

    fn layout(&self, root: i32) -> AnyLayout {
        AnyLayout::new(WaitLayout {
            root,
            permits: 1,
            cargo: self.cargo(),
        })
    }

    fn make(self, object: Object) -> OnceShared<T> {
        OnceShared {
            base: Base::new(object, OnDeath::Release, self.cargo()).bound_by(Some(1)),
            value: OnceCell::new(),
            capacity: self.capacity,
            computes: Cell::new(false),
        }
    }
}

/// Shows the value, if this rank has it; and the computing rank and the waiters, if the root is on
/// this node.
impl<T: fmt::Debug> fmt::Debug for OnceShared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.base.object.show(f, "OnceShared");
        fields
            .field("value", &self.value.get())
            .field("type", &format_args!("{}", type_name::<T>()));
        self.base.show(&mut fields);
        fields.finish_non_exhaustive()
    }
}
