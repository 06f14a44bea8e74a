//! Making batches of a communicator.

use crate::batch::builder::{
    Batch, BatchBuilder, BatchError, Begun, Call, DirectoryError, Layout, Side, Worker,
};
use crate::batch::directory::Sign;
use crate::batch::table::memory::TableLayout;
use crate::error::CreateError;
use crate::fingerprint::fingerprint;
use crate::location::CallSite;
use crate::object::Object;
use crate::rsmpi;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rsmpi::{Context, Creation, CreationArguments};
use crate::share::{Calls, MailboxLayout, Post};
use crate::shm::block::Block;
use crate::transport::{Transport, TransportOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::Location;

/// A batch of a communicator; see [`BatchBuilder`].
#[derive(Debug)]
pub struct OnComm<'a, C> {
    comm: &'a C,
    root: i32,
    layout: Layout,
    asked: TransportOptions,
    anywhere: bool,
}

impl Batch {
    /// Begins to make a batch on `comm`, with workers of one rank by default.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> BatchBuilder<OnComm<'_, C>> {
        BatchBuilder::new(OnComm {
            comm,
            root: 0,
            layout: Layout::Equal(1),
            asked: TransportOptions::default(),
            anywhere: false,
        })
    }
}

impl<C: IntraCommunicator> BatchBuilder<OnComm<'_, C>> {
    /// Sets the number of ranks of each worker. Defaults to 1. A worker has consecutive ranks. The
    /// number must divide the number of ranks of the communicator, and must be the same on all
    /// ranks.
    pub fn worker_size(mut self, ranks: i32) -> Self {
        self.on.layout = Layout::Equal(ranks);
        self
    }

    /// Workers of these numbers of ranks, in the order of the ranks. All ranks have to be in one.
    /// Must be the same on all ranks.
    pub fn worker_sizes(mut self, ranks: impl IntoIterator<Item = i32>) -> Self {
        self.on.layout = Layout::Sizes(ranks.into_iter().collect());
        self
    }

    /// A worker on each node, of all its ranks. Must be the same on all ranks.
    pub fn worker_per_node(mut self) -> Self {
        self.on.layout = Layout::Nodes;
        self
    }

    /// The rank on whose node the states are, and that reads the state directory. Defaults to rank
    /// 0. Must be the same on all ranks.
    pub fn root(mut self, rank: i32) -> Self {
        self.on.root = rank;
        self
    }

    /// How the nodes reach each other; see [`Builder::transport`](crate::Builder::transport). Must
    /// be the same on all ranks, and for all objects of a communicator.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.on.asked.transport = Some(transport);
        self
    }

    /// Whether a thread answers while the ranks compute; see
    /// [`Builder::progress_thread`](crate::Builder::progress_thread). Must be the same on all
    /// ranks, and for all objects of a communicator. Without it ranks of other nodes get a task
    /// once the lowest rank of the root's node is in a call of mpisync that waits.
    pub fn progress_thread(mut self, on: bool) -> Self {
        self.on.asked.progress_thread = Some(on);
        self
    }

    /// Lets the ranks make it at different places of the program, such as the branches of an
    /// `if`: the place is not compared. To be said on all ranks.
    ///
    /// All ranks have to make the same objects in the same order. That they make each at one
    /// place is how a wrong order is noticed. Programs that were compiled from different
    /// sources need this as well.
    pub fn anywhere(mut self) -> Self {
        self.on.anywhere = true;
        self
    }

    /// Makes it. Collective; all ranks succeed or all fail. The root makes the state directory and
    /// reads the states in it.
    ///
    /// # Errors
    /// [`BatchError::Create`]: those of [`Builder::build`](crate::Builder::build); a root that is
    /// no rank, workers that do not come to the number of ranks, arguments that differ between
    /// ranks, no memory; [`BatchError::Directory`], [`BatchError::States`] and
    /// [`BatchError::StatesAndDirectory`] on the root, and [`BatchError::OtherRank`] on the others
    /// then; [`BatchError::Directory`] with [`DirectoryError::OtherDirectory`] on ranks that see
    /// another directory under its name than the root, and [`BatchError::OtherRank`] on the others.
    #[track_caller]
    pub fn build(mut self) -> Result<Batch, BatchError> {
        let creation = Creation::begin(self.on.comm, Location::caller())?;
        let (root, size) = (self.on.root, self.on.comm.size());
        let invalid = self.invalid(root, size);
        let beginning = self.beginning();
        // Memory is offered before all ranks know that there is something wrong.
        let tasks = if invalid.is_some() { 0 } else { self.count() };
        let layout = (MailboxLayout, TableLayout { root, tasks });
        let name = self.name.clone();
        let path = beginning.directory.as_ref();
        let arguments = CreationArguments {
            arguments: vec![
                ("number of tasks", self.count().to_string()),
                ("names of tasks", self.names_in_short()),
                ("sizes of workers", format!("{:?}", self.on.layout)),
                ("state directory", format!("{path:?}")),
                (
                    "options of the state directory",
                    format!("{:?}", self.options),
                ),
                ("strict", self.is_strict.to_string()),
                ("root", root.to_string()),
            ],
            invalid,
            asked: self.on.asked.or_environment(),
            anywhere: self.on.anywhere,
            ..creation.arguments("batch", &name)
        };
        let (object, calls, table) = rsmpi::block(&creation, &arguments, &layout, 0, |created| {
            let object = Object::join(created, root, name.clone());
            let calls = Calls::new(object.block(), object.link(), Block::first_part);
            let table = Side::open(&object, self.count());
            (object, calls, table)
        })?;
        let context = creation.context()?;
        let worker = Worker::split(&object, &context, &self.on.layout, self.on.asked)?;
        let mut batch = self.make(object, calls, table, worker);
        if batch.rank() == root {
            let begun = beginning.begin(&mut batch);
            let signed = begun.and_then(|()| batch.sign());
            batch.share_beginning(&signed)?;
            // It is there until all have looked.
            if let Some(_sign) = signed? {
                batch.agree_on_directory(&context, Ok(()))?;
            }
        } else {
            let begun = batch.collect_beginning()?;
            let seen = beginning.follow(&mut batch, begun);
            if begun.sign.is_some() {
                batch.agree_on_directory(&context, seen)?;
            }
        }
        Ok(batch)
    }

    fn invalid(&self, root: i32, size: i32) -> Option<CreateError> {
        if self.tasks.is_none() {
            return Some(CreateError::NoTasks);
        }
        let invalid = CreateError::check_rank("root", root, size).or_else(|| self.too_many());
        invalid.or_else(|| self.on.layout.invalid(size))
    }

    /// Names that differ, differ in this too, but for an accident.
    fn names_in_short(&self) -> String {
        let Some(names) = &self.names else {
            return "numbers".to_owned();
        };
        // The lengths tell where a name ends and the next begins.
        let mut all = Vec::new();
        for name in names.iter() {
            all.extend(name.len().to_ne_bytes());
            all.extend(name.bytes());
        }
        let first = names.first().map_or("", String::as_str);
        format!("{first:?} and so on ({:x})", fingerprint(all.iter()))
    }
}

impl Batch {
    /// Makes the sign by which the others know the state directory.
    fn sign(&self) -> Result<Option<Sign>, BatchError> {
        match &self.directory {
            Some(directory) if self.size() > 1 => Ok(directory.sign()?),
            _ => Ok(None),
        }
    }

    #[track_caller]
    fn share_beginning(&self, signed: &Result<Option<Sign>, BatchError>) -> Result<(), BatchError> {
        let begun = |sign: &Option<Sign>| Begun {
            digits: self.digits,
            sign: sign.as_ref().map(Sign::word),
        };
        let begun = signed.as_ref().map(|sign| Some(begun(sign)));
        self.share(&Call::new(&begun.map_err(Clone::clone)))
    }

    #[track_caller]
    fn collect_beginning(&self) -> Result<Begun, BatchError> {
        let rank = self.root();
        match self.collect(rank)? {
            Call::Failed(found) => Err(BatchError::OtherRank { rank, found }),
            Call::Value(begun) => Ok(begun),
            Call::Nothing => unreachable!("the root has begun, or failed"),
        }
    }

    /// All ranks see the same directory, or none of them has the batch. Collective.
    #[track_caller]
    fn agree_on_directory(
        &self,
        context: &Context,
        seen: Result<(), DirectoryError>,
    ) -> Result<(), BatchError> {
        let Some(rank) = rsmpi::lowest_rank(context, seen.is_err())? else {
            return Ok(());
        };
        let seen = seen.map(|()| None::<()>).map_err(BatchError::Directory);
        if rank == self.rank() {
            self.share(&Call::new(&seen))?;
            return seen.map(drop);
        }
        let told = self.collect::<()>(rank)?;
        seen?;
        match told {
            Call::Failed(found) => Err(BatchError::OtherRank { rank, found }),
            Call::Value(()) | Call::Nothing => unreachable!("that rank has found another one"),
        }
    }

    #[track_caller]
    fn share<T: Serialize>(&self, call: &Call<T>) -> Result<(), BatchError> {
        let shared = self.post().share_as_agreed(call);
        shared.map_err(BatchError::Diverged)
    }

    #[track_caller]
    fn collect<T: DeserializeOwned>(&self, rank: i32) -> Result<Call<T>, BatchError> {
        let collected = self.post().collect_encoded(rank as usize, None);
        collected.map_err(BatchError::Diverged)
    }

    #[track_caller]
    fn post(&self) -> Post<'_> {
        let site = CallSite::anywhere("Batch", Location::caller());
        let block = self.object.block();
        let call = self.calls.begin(block.domain());
        self.calls.post(block, call, site)
    }
}
