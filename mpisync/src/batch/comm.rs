//! Making a batch on a communicator.

use crate::batch::builder::{BatchBuilder, DirectoryOnRoot};
use crate::batch::directory::{DirectoryError, Marker};
use crate::batch::table::access::TableAccess;
use crate::batch::table::layout::TableLayout;
use crate::batch::vote::{VoteLayout, Votes};
use crate::batch::worker::{Team, Worker, fenced_call, share_in};
use crate::batch::{Batch, BatchError};
use crate::error::CreateError;
use crate::fingerprint::fingerprint;
use crate::object::Object;
use crate::object::builder::{CommonArguments, setters};
use crate::rsmpi;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rsmpi::{Context, Creation, CreationArguments, PartComm};
use crate::share::{Calls, MailboxLayout};
use crate::shm::block::Block;
use crate::shm::topology::Topology;
use crate::transport::TransportOptions;
use mpi::topology::SimpleCommunicator;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::Location;

/// A batch on a communicator; see [`BatchBuilder`].
#[derive(Debug)]
pub struct OnComm<'a, C> {
    common: CommonArguments<'a, C>,
    workers: WorkerSizes,
}

/// How the ranks of a communicator are split into workers. The same on all ranks.
#[derive(Clone, PartialEq, Eq, Debug)]
enum WorkerSizes {
    /// This many ranks in each worker.
    Equal(i32),
    /// The number of ranks of each worker.
    Given(Vec<i32>),
    /// A worker on each node, of all its ranks.
    PerNode,
}

impl Batch {
    /// Begins to make a batch on `comm`, with workers of one rank by default.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> BatchBuilder<OnComm<'_, C>> {
        BatchBuilder::new(OnComm {
            common: CommonArguments::new(comm, "root", "batch"),
            workers: WorkerSizes::Equal(1),
        })
    }
}

impl<C: IntraCommunicator> BatchBuilder<OnComm<'_, C>> {
    /// Sets the number of ranks of each worker. Defaults to 1. A worker has consecutive ranks. The
    /// number must divide the number of ranks of the communicator, and must be the same on all
    /// ranks.
    pub fn worker_size(mut self, ranks: i32) -> Self {
        self.on.workers = WorkerSizes::Equal(ranks);
        self
    }

    /// Sets the number of ranks of each worker, in the order of the ranks. The sum must be the
    /// number of ranks of the communicator. Must be the same on all ranks.
    pub fn worker_sizes(mut self, ranks: impl IntoIterator<Item = i32>) -> Self {
        self.on.workers = WorkerSizes::Given(ranks.into_iter().collect());
        self
    }

    /// Makes a worker on each node, of all its ranks. Must be the same on all ranks.
    pub fn worker_per_node(mut self) -> Self {
        self.on.workers = WorkerSizes::PerNode;
        self
    }

    /// Sets the rank on whose node the states are, and which reads the state directory. Defaults to
    /// rank 0. Must be the same on all ranks.
    pub fn root(mut self, rank: i32) -> Self {
        self.on.common.root = rank;
        self
    }

    setters!(transport of on.common;
        "A rank of another node gets a task only once the lowest rank of the root's node is in such a \
         call.");

    /// Makes the batch. Collective; all ranks succeed or all fail. The root makes the state
    /// directory and reads the states in it.
    ///
    /// # Errors
    /// - [`BatchError::Create`]: those of [`Builder::build`](crate::Builder::build); a root that is
    ///   no rank, sizes of workers that do not fit the number of ranks, arguments that differ
    ///   between ranks, too little memory.
    /// - [`BatchError::Directory`], [`BatchError::States`] and [`BatchError::StatesAndDirectory`]
    ///   on the root, and then [`BatchError::OtherRank`] on the others.
    /// - [`BatchError::Directory`] with [`DirectoryError::OtherDirectory`] on ranks that see
    ///   another directory under its name than the root, and then [`BatchError::OtherRank`] on the
    ///   others.
    #[track_caller]
    pub fn build(mut self) -> Result<Batch, BatchError> {
        let common = &self.on.common;
        let creation = common.begin()?;
        let (root, asked, anywhere) = (common.root, common.asked, common.anywhere);
        let invalid = self.invalid(common.comm.size());
        let initial = self.initial();
        // With an invalid argument no memory is needed, and all ranks are about to learn of it.
        let tasks = if invalid.is_some() { 0 } else { self.count() };
        let layout = (MailboxLayout, TableLayout { root, tasks });
        let name = self.name.clone();
        let options = format!("{:?}", self.options);
        let limits = format!("{:?}", self.limits);
        let table_limits = self.limits.of_table(initial.path().is_some());
        let arguments = CreationArguments {
            arguments: vec![
                ("number of tasks", self.count().to_string()),
                ("names of tasks", self.names_in_short()),
                ("sizes of workers", format!("{:?}", self.on.workers)),
                ("state directory", format!("{:?}", initial.path())),
                ("options of the state directory", options),
                ("strict", self.is_strict.to_string()),
                ("limits of tasks", limits),
                ("root", root.to_string()),
            ],
            invalid,
            asked: asked.or_environment(),
            anywhere,
            ..creation.arguments("batch", &name)
        };
        let (object, calls, table) = rsmpi::block(&creation, &arguments, &layout, 0, |created| {
            let object = Object::join(created, root);
            let calls = Calls::new(object.block(), object.link(), Block::first_part);
            let table = TableAccess::open(&object, self.count(), table_limits);
            (object, calls, table)
        })?;
        let context = creation.context()?;
        let worker = Worker::split(&object, &context, &self.on.workers, asked)?;
        let mut batch = self.make(object, calls, table, worker);
        if batch.rank() == root {
            let loaded = initial.load(&mut batch);
            let marker = loaded.and_then(|()| batch.mark_directory());
            let on_root = marker.as_ref().map_err(BatchError::clone);
            let on_root = on_root.map(|marker| DirectoryOnRoot::new(&batch, marker.as_ref()));
            batch.share_with_all(&on_root)?;
            // The marker stays until all ranks have looked for it.
            if let Some(_marker) = marker? {
                batch.agree_on_directory(&context, Ok(()))?;
            }
        } else {
            let on_root: DirectoryOnRoot = batch.receive_from(root)?;
            let seen = initial.join(&mut batch, on_root);
            if on_root.marker.is_some() {
                batch.agree_on_directory(&context, seen)?;
            }
        }
        Ok(batch)
    }

    /// The error for arguments that are invalid for `size` ranks, if there is one.
    fn invalid(&self, size: i32) -> Option<CreateError> {
        if self.tasks.is_none() {
            return Some(CreateError::NoTasks);
        }
        CreateError::check_rank("root", self.on.common.root, size)
            .or_else(|| self.too_many())
            .or_else(|| self.limits.invalid())
            .or_else(|| self.on.workers.invalid(size))
    }

    /// A text that differs, almost certainly, if the names of the tasks differ.
    fn names_in_short(&self) -> String {
        let Some(names) = &self.names else {
            return "numbers".to_owned();
        };
        // With the lengths, which separate the names.
        let mut all = Vec::new();
        for name in names.iter() {
            all.extend(name.len().to_ne_bytes());
            all.extend(name.bytes());
        }
        let first = names.first().map_or("", String::as_str);
        format!("{first:?} and so on ({:x})", fingerprint(all.iter()))
    }
}

impl WorkerSizes {
    /// The error for sizes of workers that are invalid for `size` ranks, if they are.
    fn invalid(&self, size: i32) -> Option<CreateError> {
        let (fits, sizes) = match self {
            WorkerSizes::Equal(each) => (*each > 0 && size % each == 0, vec![*each]),
            WorkerSizes::Given(sizes) => {
                let ranks: i64 = sizes.iter().map(|&size| i64::from(size)).sum();
                let fits = sizes.iter().all(|&size| size > 0) && ranks == i64::from(size);
                (fits, sizes.clone())
            }
            WorkerSizes::PerNode => (true, Vec::new()),
        };
        (!fits).then_some(CreateError::WorkerSizes { sizes, size })
    }

    /// The number of the worker of each rank.
    fn workers_of_ranks(&self, topology: &Topology) -> Vec<i32> {
        let ranks = 0..topology.size() as i32;
        match self {
            WorkerSizes::Equal(each) => ranks.map(|rank| rank / each).collect(),
            WorkerSizes::Given(sizes) => (0..)
                .zip(sizes)
                .flat_map(|(number, &size)| (0..size).map(move |_| number))
                .collect(),
            WorkerSizes::PerNode => ranks
                .map(|rank| topology.node_of(rank as u32) as i32)
                .collect(),
        }
    }
}

impl Batch {
    /// Makes the marker by which the other ranks recognize the state directory.
    fn mark_directory(&self) -> Result<Option<Marker>, BatchError> {
        match &self.directory {
            Some(directory) if self.size() > 1 => Ok(directory.mark()?),
            _ => Ok(None),
        }
    }

    /// Checks that all ranks see the same directory; otherwise no rank gets the batch. Collective.
    #[track_caller]
    fn agree_on_directory(
        &self,
        context: &Context,
        seen: Result<(), DirectoryError>,
    ) -> Result<(), BatchError> {
        let Some(rank) = rsmpi::lowest_rank(context, seen.is_err())? else {
            return Ok(());
        };
        let seen = seen.map_err(BatchError::Directory);
        if rank == self.rank() {
            self.share_with_all(&seen)?;
            return seen;
        }
        let found = self.receive_from(rank);
        seen.and(found)
    }

    /// Shares a value with all ranks, or the text of an error.
    #[track_caller]
    fn share_with_all<T: Copy + Serialize>(
        &self,
        value: &Result<T, BatchError>,
    ) -> Result<(), BatchError> {
        share_in(
            fenced_call(&self.object, &self.calls, Location::caller()),
            value,
        )
    }

    /// Waits for the value that a rank shares.
    #[track_caller]
    fn receive_from<T: DeserializeOwned>(&self, rank: i32) -> Result<T, BatchError> {
        let call = fenced_call(&self.object, &self.calls, Location::caller());
        let received = call.collect_encoded::<Result<T, String>>(rank as usize, None);
        received
            .map_err(BatchError::Diverged)?
            .map_err(|found| BatchError::OtherRank { rank, found })
    }
}

impl Worker {
    /// Splits the ranks of `base` into workers. Collective.
    fn split(
        base: &Object,
        context: &Context,
        sizes: &WorkerSizes,
        asked: TransportOptions,
    ) -> Result<Self, CreateError> {
        let numbers = sizes.workers_of_ranks(base.block().domain().topology());
        let me = base.rank();
        let number = numbers[me as usize];
        let members: Vec<i32> = (0..base.size())
            .filter(|&rank| numbers[rank as usize] == number)
            .collect();
        let count = numbers.iter().max().map_or(0, |last| last + 1);
        // A split blocks in MPI, and never ends if a rank dies in it.
        let part = if count == base.size() {
            PartComm::alone(context)?
        } else {
            PartComm::split(context, number)?
        };
        let team = match members.len() {
            1 => None,
            _ => Some(Team::new(&part, asked)?),
        };
        Ok(Worker {
            number,
            count,
            rank: members.iter().position(|&rank| rank == me).unwrap_or(0) as i32,
            members,
            team,
            comm: Some(part),
        })
    }

    /// The communicator of the worker's ranks.
    ///
    /// # Panics
    /// For a batch of one process, which was made by [`Batch::local`] and has no communicator; see
    /// [`try_comm`](Self::try_comm).
    #[track_caller]
    pub fn comm(&self) -> &SimpleCommunicator {
        self.try_comm().expect(
            "this batch was made by `Batch::local` and has no communicator (`Worker::try_comm` returns `None` then)",
        )
    }

    /// The communicator of the worker's ranks; `None` for a batch of one process, which was made by
    /// [`Batch::local`]. For code that runs tasks of both kinds of batches.
    pub fn try_comm(&self) -> Option<&SimpleCommunicator> {
        self.comm.as_ref().map(PartComm::comm)
    }
}

impl Team {
    fn new(part: &PartComm, asked: TransportOptions) -> Result<Self, CreateError> {
        let creation = Creation::begin(part.comm(), Location::caller())?;
        let arguments = CreationArguments {
            asked: asked.or_environment(),
            // The call site is in mpisync, so comparing it would show nothing.
            anywhere: true,
            ..creation.arguments("worker", "worker")
        };
        let layout = (MailboxLayout, VoteLayout);
        rsmpi::block(&creation, &arguments, &layout, 0, |created| {
            let object = Object::join(created, 0);
            Team {
                calls: Calls::new(object.block(), object.link(), Block::first_part),
                votes: Votes::open(&object),
                object,
            }
        })
    }
}
