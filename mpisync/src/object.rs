//! The parts that every shared object has on a rank: memory, name, root, and connection to other
//! nodes.

#[cfg(feature = "mpi")]
pub(crate) mod builder;

use crate::error::{CollectiveError, CreateError, LockError};
use crate::location::CallSite;
use crate::net::{Link, level_below_multiple, mpi_has_ended};
use crate::rendezvous;
use crate::rendezvous::{Arrival, Step};
use crate::shm::block::{Block, ObjectName};
use crate::shm::domain::Domain;
use crate::shm::layout::Layout;
use crate::shm::segment::Extent;
use crate::shm::topology::Topology;
use crate::shm::wait::Stop;
use crate::shm::waiting::Call;
use crate::transport::Transport;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// A shared object, as one rank sees it. Dropping it is local.
pub struct Object {
    parts: ObjectParts,
    thread: PhantomData<*const StaysOnItsThread>,
}

/// The parts of an object, which several threads may use.
pub struct ObjectParts {
    block: Block,
    /// Some if the communicator spans nodes.
    link: Option<Link>,
    root: i32,
    /// Whether it is unusable after MPI is finalized.
    needs_mpi: bool,
}

impl Deref for Object {
    type Target = ObjectParts;

    #[inline]
    fn deref(&self) -> &ObjectParts {
        &self.parts
    }
}

/// The reason why objects and their guards are neither `Send` nor `Sync`: one thread owns a rank's
/// words in an object, and MPI may be called from some threads only.
struct StaysOnItsThread;

/// An object of which a thread has not made its handle yet.
pub(crate) struct ThreadObject {
    domain: Arc<Domain>,
    extent: Extent,
}

impl ThreadObject {
    /// The rank that the thread will be.
    pub(crate) fn rank(&self) -> i32 {
        self.domain.topology().rank() as i32
    }

    /// Makes this thread the rank.
    pub(crate) fn enter(self, kind: &'static str, name: String) -> Object {
        self.domain.enter_thread();
        Object::without_mpi(self.domain, self.extent, kind, name)
    }
}

/// Allocates and initializes the memory of a domain's only object.
fn allocate(domain: &Domain, layout: &impl Layout) -> Extent {
    let segment = domain.segment();
    let room = segment.allocate(Block::length(layout, domain.topology()));
    let extent = room.expect("the first chunk has room for one block");
    let chunk = segment.chunk(extent.chunk);
    Block::prepare(layout, domain.topology(), &chunk, extent.offset as usize);
    extent
}

impl Object {
    /// An object of this kind for this process alone.
    pub(crate) fn local(kind: &'static str, layout: &impl Layout) -> Self {
        Self::local_named(kind, "local".to_owned(), layout)
    }

    /// [`local`](Self::local) with a name of choice.
    pub(crate) fn local_named(kind: &'static str, name: String, layout: &impl Layout) -> Self {
        let domain = Domain::local(Block::length(layout, &Topology::one_node(0, 1)));
        let extent = allocate(&domain, layout);
        Self::without_mpi(domain, extent, kind, name)
    }

    /// For each of `size` ranks that are threads of this process, what makes its handle of one object; and
    /// the number of [`Domain::of_threads`].
    pub(crate) fn of_threads(
        size: usize,
        layout: &impl Layout,
    ) -> (impl Iterator<Item = ThreadObject>, Arc<AtomicU32>) {
        let length = Block::length(layout, &Topology::one_node(0, size));
        let (domains, first_panicked) = Domain::of_threads(size, length);
        let extent = allocate(&domains[0], layout);
        let object = move |domain| ThreadObject { domain, extent };
        (domains.into_iter().map(object), first_panicked)
    }

    fn without_mpi(domain: Arc<Domain>, extent: Extent, kind: &'static str, name: String) -> Self {
        let name = name.into();
        let block = Block::new(domain, extent, None, ObjectName { kind, name });
        Self::new(block, 0)
    }

    fn new(block: Block, root: i32) -> Self {
        Object {
            parts: ObjectParts {
                needs_mpi: block.domain().needs_mpi(),
                block,
                link: None,
                root,
            },
            thread: PhantomData,
        }
    }
}

impl ObjectParts {
    #[inline]
    pub(crate) fn block(&self) -> &Block {
        &self.block
    }

    /// The connection to other nodes, if the communicator spans nodes.
    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// This rank's number in the communicator.
    #[inline]
    pub(crate) fn rank(&self) -> i32 {
        self.block.domain().topology().rank() as i32
    }

    /// How many ranks the communicator has.
    #[inline]
    pub(crate) fn size(&self) -> i32 {
        self.block.domain().topology().size() as i32
    }

    /// The number of nodes of the ranks.
    pub(crate) fn nodes(&self) -> i32 {
        self.block.domain().topology().nodes() as i32
    }

    /// How the ranks communicate.
    pub(crate) fn transport(&self) -> Transport {
        self.block.domain().transport()
    }

    /// The rank whose node is the object's home.
    #[inline]
    pub(crate) fn root(&self) -> i32 {
        self.root
    }

    #[inline]
    pub(crate) fn name(&self) -> &str {
        self.block.name()
    }

    #[inline]
    pub(crate) fn check_usable(&self) -> Result<(), LockError> {
        if self.needs_mpi && mpi_has_ended() {
            return Err(LockError::Finalized);
        }
        Ok(())
    }

    /// Checks that all threads of this rank may use the object: what goes to other nodes is a call of MPI.
    pub(crate) fn check_threads(&self) -> Result<(), CreateError> {
        // Without a communicator MPI need not run.
        let provided = self.link.as_ref().and_then(|_| level_below_multiple());
        provided.map_or(Ok(()), |provided| {
            Err(CreateError::SharedByThreads { provided })
        })
    }

    /// Panics with the error of a call that returns no `Result`.
    #[cold]
    #[track_caller]
    pub(crate) fn panic_with(&self, error: &dyn std::error::Error) -> ! {
        panic!(
            "{:?} on rank {}: {error} (the forms with a timeout return this as an error)",
            self.name(),
            self.rank()
        )
    }

    /// The error for a wait in `call`, on this node or another, that has stopped.
    #[cold]
    pub(crate) fn lock_error(
        &self,
        stop: Stop,
        limit: Option<Duration>,
        call: Call<'_>,
    ) -> LockError {
        match stop {
            Stop::Timeout => {
                let waited = limit.unwrap_or(Duration::MAX);
                let report = call.report(waited);
                LockError::Timeout { waited, report }
            }
            Stop::Died(local_rank) => self.holder_died(local_rank),
            Stop::RankDied(rank) => LockError::HolderDied { rank: rank as i32 },
            Stop::Ended(local_rank) => LockError::HolderEnded {
                rank: self.block.domain().topology().local_ranks()[local_rank] as i32,
            },
            Stop::RankEnded(rank) => LockError::HolderEnded { rank: rank as i32 },
            Stop::Alone => LockError::Alone,
            // A lock waits for holders, and a call that has to begin anew has done so.
            Stop::HostLost(_)
            | Stop::Deadlock
            | Stop::Interrupted
            | Stop::Absent(..)
            | Stop::Again => stop.into_error(),
        }
    }

    /// The error of a wait for a member of this node that has died: a rank, or the node's server, which dies with the leader.
    fn holder_died(&self, local_rank: usize) -> LockError {
        let domain = self.block.domain();
        let here = domain.topology().local_ranks();
        if let Some(&rank) = here.get(local_rank) {
            return LockError::HolderDied { rank: rank as i32 };
        }
        domain.note_death(here[0]);
        let loss = domain.host_loss().expect("the leader is dead");
        Stop::HostLost(loss).into_error()
    }

    /// Waits for all ranks before they free the object's memory. Collective; for an object without
    /// fenced calls.
    #[track_caller]
    pub(crate) fn close(&self) -> Result<(), CollectiveError> {
        self.close_after(0)
    }

    /// [`close`](Self::close) after this rank's fenced call of this number in this epoch.
    #[track_caller]
    pub(crate) fn close_after(&self, last: u64) -> Result<(), CollectiveError> {
        self.check_usable()?;
        let domain = self.block.domain();
        let arrival = Arrival {
            step: Step::Enter,
            depth: domain.depth(),
            object: self.block.object_name(),
            // The object tells what is closed.
            site: CallSite::anywhere("close", Location::caller()),
            calls: last,
            outcome: rendezvous::Outcome::Fine,
            payload: rendezvous::NOTHING,
        };
        rendezvous::meet(&self.block, &arrival).map(drop)
    }

    /// Begins the `Debug` output of the object.
    pub(crate) fn show<'a, 'b>(
        &self,
        f: &'a mut fmt::Formatter<'b>,
        what: &str,
    ) -> fmt::DebugStruct<'a, 'b> {
        let mut fields = f.debug_struct(what);
        fields
            .field("name", &self.name())
            .field("rank", &self.rank())
            .field("size", &self.size());
        fields
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)
    }
}

impl fmt::Debug for ObjectParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, "Object")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// The methods that every object has, for a type with an [`Object`] in the field `$object`. Before
/// the ranks meet in `close`, `$release` releases the locks of leaked guards. Without `$release`, for
/// what lends an object to threads: those that say which rank and object it is.
macro_rules! accessors {
    (root, $($object:ident).+; $release:expr) => {
        /// The rank on whose node the object lives.
        #[inline]
        pub fn root(&self) -> i32 {
            self.$($object).+.root()
        }

        $crate::object::accessors!($($object).+; $release);
    };
    ($($object:ident).+; $release:expr) => {
        $crate::object::accessors!($($object).+);

        /// The number of nodes that the ranks run on.
        #[inline]
        pub fn nodes(&self) -> i32 {
            self.$($object).+.nodes()
        }

        /// Gives the object's memory back on all ranks. Collective, waits for all ranks, which may
        /// call it at different places.
        ///
        /// Without it, the memory is freed once all ranks have dropped the object, which does not
        /// wait.
        ///
        /// # Errors
        /// Those of [`WindowController::close`](crate::WindowController::close).
        #[track_caller]
        pub fn close(mut self) -> Result<(), $crate::error::CollectiveError> {
            let release: fn(&mut Self) = $release;
            release(&mut self);
            self.$($object).+.close()
        }
    };
    ($($object:ident).+) => {
        /// This rank's number in the communicator.
        #[inline]
        pub fn rank(&self) -> i32 {
            self.$($object).+.rank()
        }

        /// How many ranks the communicator has.
        #[inline]
        pub fn size(&self) -> i32 {
            self.$($object).+.size()
        }

        /// The name of the object.
        #[inline]
        pub fn name(&self) -> &str {
            self.$($object).+.name()
        }
    };
}

pub(crate) use accessors;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct OneLine;

    impl Layout for OneLine {
        fn length(&self, _: &Topology) -> usize {
            128
        }
    }

    #[test]
    fn the_server_of_a_node_dies_with_its_leader() {
        let object = Object::local("mutex", &OneLine);
        let dead_rank = object.holder_died(0);
        assert!(matches!(dead_rank, LockError::HolderDied { rank: 0 }));
        let dead_server = object.holder_died(1);
        assert!(matches!(dead_server, LockError::LeaderDied { rank: 0 }));
    }
}
