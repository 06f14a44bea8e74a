//! Making batches.

use super::directory::{Directory, Options};
use super::worker::Worker;
use super::{Batch, BatchError, State, panics};
#[cfg(feature = "mpi")]
use super::{team::Layout, worker::Call};
use crate::controller::WindowController;
use crate::error::CreateError;
use crate::ledger::Ledger;
use crate::memory::annex::Annex;
use crate::memory::ledger::Table;
use crate::memory::words::ledger::Entry;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Makes a batch: with which tasks, what their states are at first, and who runs them. `On` says whether it is one of a
/// communicator, by [`Batch::builder`], or of one process alone, by [`Batch::local`].
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let mut batch = Batch::builder(&universe.world())
///     .worker_per_node()
///     .names(["cold", "warm", "hot"])
///     .state_dir("states")
///     .build()?;
/// # Ok::<(), mpisync::batch::BatchError>(())
/// ```
#[must_use = "nothing is made before `build`"]
#[derive(Debug)]
pub struct BatchBuilder<On> {
    #[cfg_attr(
        not(feature = "mpi"),
        expect(dead_code, reason = "a batch of one process needs nothing more")
    )]
    on: On,
    name: String,
    tasks: Option<usize>,
    names: Option<Arc<[String]>>,
    states: Option<Vec<State>>,
    directory: Option<PathBuf>,
    options: Options,
    is_strict: bool,
}

/// A batch of one process alone, without MPI; see [`BatchBuilder`].
#[derive(Debug)]
pub struct Alone;

impl Batch {
    /// Begins to make a batch of this process alone, which is its only worker. Needs no MPI, neither to run nor (without the
    /// feature `mpi`) to build.
    pub fn local() -> BatchBuilder<Alone> {
        BatchBuilder::new(Alone)
    }
}

impl<On> BatchBuilder<On> {
    fn new(on: On) -> Self {
        BatchBuilder {
            on,
            name: "batch".to_owned(),
            tasks: None,
            names: None,
            states: None,
            directory: None,
            options: Options::default(),
            is_strict: false,
        }
    }

    /// So many tasks, whose names are their numbers, with leading zeros: of 200 tasks `000` to `199`. The same on all ranks.
    pub fn tasks(mut self, count: usize) -> Self {
        self.tasks = Some(count);
        self.names = None;
        self
    }

    /// A task for each of these names. The same on all ranks. With a state directory they are the names of folders.
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
        self.tasks = Some(names.len());
        self.names = Some(names);
        self
    }

    /// What the tasks are at first: one state for each, on the root; what other ranks pass is not looked at. Open if not said.
    /// Where no tasks or names are given, there are as many tasks as states.
    pub fn initial_states(mut self, states: impl IntoIterator<Item = State>) -> Self {
        let states: Vec<State> = states.into_iter().collect();
        self.tasks.get_or_insert(states.len());
        self.states = Some(states);
        self
    }

    /// Keeps the states in a directory, from which they are taken where it is there already; see
    /// [`Directory`]. The same on all ranks, which have to see the same file system.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Whether each change in the state directory is on the disk before the call returns that makes it (`fsync`); true if not
    /// said. The same on all ranks. Without it a change may be lost when a host loses its power, and not when a job is killed.
    pub fn durable(mut self, durable: bool) -> Self {
        self.options = self.options.durable(durable);
        self
    }

    /// After how long without a sign of life a job that runs a task is taken to have died; two minutes if not said. The same on
    /// all ranks, and in all jobs that work on one state directory. Longer than a file server may be away.
    pub fn stale_after(mut self, time: Duration) -> Self {
        self.options = self.options.stale_after(time);
        self
    }

    /// Whether a task whose state cannot be read or written is an error of [`build`](Self::build) or
    /// [`next_task`](Batch::next_task); false if not said: then it is left alone, and among [`Batch::problems`]. The same on all
    /// ranks.
    pub fn strict(mut self, strict: bool) -> Self {
        self.is_strict = strict;
        self
    }

    /// A name for messages, of at most 200 bytes. The same on all ranks.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many tasks there are.
    fn count(&self) -> usize {
        self.tasks.unwrap_or(0)
    }

    /// The batch on these words, in which all tasks are open.
    fn make(self, base: WindowController, ledger: Option<Ledger<Table>>, worker: Worker) -> Batch {
        panics::watch();
        Batch {
            base,
            ledger: ledger.map(Arc::new),
            tasks: self.count(),
            names: self.names,
            directory: None,
            is_strict: self.is_strict,
            problems: RefCell::default(),
            hand: None,
            round: 0,
            next_sweep: Cell::new(None),
            broken: None,
            worker,
        }
    }
}

/// The states at first.
struct Beginning {
    states: Option<Vec<State>>,
    directory: Option<PathBuf>,
    options: Options,
}

impl<On> BatchBuilder<On> {
    fn beginning(&mut self) -> Beginning {
        Beginning {
            states: self.states.take(),
            directory: self.directory.take(),
            options: self.options.clone(),
        }
    }
}

impl Beginning {
    /// On the root: makes the directory if there is to be one, and puts the states into the ledger.
    fn begin(self, batch: &mut Batch) -> Result<(), BatchError> {
        let states = match (self.states, self.directory) {
            (Some(_), Some(path)) => return Err(BatchError::StatesAndDirectory(path)),
            (None, None) => return Ok(()),
            (Some(states), None) => states,
            (None, Some(path)) => {
                let directory = Directory::create(path, &folders(batch), self.options)?;
                let mut states = Vec::with_capacity(batch.tasks);
                for state in directory.states() {
                    states.push(match state {
                        Ok(state) => state,
                        Err(error) => {
                            batch.note_problem(error)?;
                            State::Invalid
                        }
                    });
                }
                batch.directory = Some(directory);
                states
            }
        };
        if states.len() != batch.tasks {
            return Err(BatchError::States {
                states: states.len(),
                tasks: batch.tasks,
            });
        }
        for (task, state) in states.into_iter().enumerate() {
            if state != State::Open {
                batch.books().set(task, Entry::from(state));
            }
        }
        // What runs for all that its state says may be that of a job that has died.
        batch.look_after_others();
        Ok(())
    }

    /// On the other ranks, when the root has done that.
    #[cfg(feature = "mpi")]
    fn follow(self, batch: &mut Batch) {
        let directory = self.directory;
        batch.directory = directory.map(|path| Directory::join(path, folders(batch), self.options));
    }
}

/// The names of the tasks' folders.
fn folders(batch: &Batch) -> Arc<[String]> {
    match &batch.names {
        Some(names) => Arc::clone(names),
        None => (0..batch.tasks)
            .map(|task| number(task, batch.tasks))
            .collect(),
    }
}

/// The name of a task that was given none.
pub(super) fn number(task: usize, tasks: usize) -> String {
    let width = tasks.saturating_sub(1).max(1).ilog10() as usize + 1;
    format!("{task:0width$}")
}

impl BatchBuilder<Alone> {
    /// Makes it.
    ///
    /// # Errors
    /// [`CreateError::NoTasks`], [`BatchError::Directory`], [`BatchError::States`], [`BatchError::StatesAndDirectory`].
    pub fn build(mut self) -> Result<Batch, BatchError> {
        if self.tasks.is_none() {
            return Err(CreateError::NoTasks.into());
        }
        let beginning = self.beginning();
        let tasks = self.count();
        let base = WindowController::local_with(&Annex::Ledger { root: 0, tasks })
            .named(self.name.clone());
        let memory = Table::new(base.block(), tasks);
        let mut batch = self.make(base, Some(Ledger { memory }), Worker::alone());
        beginning.begin(&mut batch)?;
        Ok(batch)
    }
}

#[cfg(feature = "mpi")]
pub use with_mpi::OnComm;

#[cfg(feature = "mpi")]
mod with_mpi {
    use super::{Batch, BatchBuilder, BatchError, Call, Layout, Ledger, Table, Worker};
    use crate::communicator::IntraCommunicator;
    use crate::controller::WindowController;
    use crate::error::CreateError;
    use crate::lock::cluster::standing::HANDOVERS;
    use crate::memory::annex::Annex;
    use crate::memory::cells::fingerprint;
    use crate::memory::mpi::{self, Creation, Terms};
    use crate::share::Post;
    use crate::transport::{Asked, Transport};
    use std::panic::Location;

    /// A batch of a communicator; see [`BatchBuilder`].
    #[derive(Debug)]
    pub struct OnComm<'a, C> {
        comm: &'a C,
        root: i32,
        layout: Layout,
        asked: Asked,
        anywhere: bool,
    }

    impl Batch {
        /// The most tasks that a batch on a communicator can have.
        pub const MAX_TASKS: usize = 1 << 31;

        /// Begins to make a batch on `comm`, with workers of one rank if not said otherwise.
        pub fn builder<C: IntraCommunicator>(comm: &C) -> BatchBuilder<OnComm<'_, C>> {
            BatchBuilder::new(OnComm {
                comm,
                root: 0,
                layout: Layout::Equal(1),
                asked: Asked::default(),
                anywhere: false,
            })
        }
    }

    impl<C: IntraCommunicator> BatchBuilder<OnComm<'_, C>> {
        /// Workers of so many ranks each, in the order of the ranks; 1 if not said. It has to divide the number of ranks. The
        /// same on all ranks.
        pub fn worker_size(mut self, ranks: i32) -> Self {
            self.on.layout = Layout::Equal(ranks);
            self
        }

        /// Workers of these numbers of ranks, in the order of the ranks. All ranks have to be in one. The same on all ranks.
        pub fn worker_sizes(mut self, ranks: impl IntoIterator<Item = i32>) -> Self {
            self.on.layout = Layout::Sizes(ranks.into_iter().collect());
            self
        }

        /// A worker on each node, of all its ranks. The same on all ranks.
        pub fn worker_per_node(mut self) -> Self {
            self.on.layout = Layout::Nodes;
            self
        }

        /// The rank on whose node the states are, and that reads the state directory; rank 0 if not said. The same on all ranks.
        pub fn root(mut self, rank: i32) -> Self {
            self.on.root = rank;
            self
        }

        /// How the nodes reach each other; see [`Builder::transport`](crate::Builder::transport). The same on all ranks, and for
        /// all objects of a communicator.
        pub fn transport(mut self, transport: Transport) -> Self {
            self.on.asked.transport = Some(transport);
            self
        }

        /// Whether a thread answers while the ranks compute; see
        /// [`Builder::progress_thread`](crate::Builder::progress_thread). The same on all ranks, and for all objects of a
        /// communicator. Without it ranks of other nodes get a task once the lowest rank of the root's node is in a call of
        /// mpisync that waits.
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

        /// Makes it. Collective; all ranks succeed or all fail. The root makes the state directory and reads the states in it.
        ///
        /// # Errors
        /// [`BatchError::Create`]: those of [`Builder::build`](crate::Builder::build); a root that
        /// is no rank, workers that do not come to the number of ranks, arguments that differ
        /// between ranks, no memory; [`BatchError::Directory`], [`BatchError::States`] and
        /// [`BatchError::StatesAndDirectory`] on the root, and [`BatchError::OtherRank`] on the
        /// others then.
        #[track_caller]
        pub fn build(mut self) -> Result<Batch, BatchError> {
            let creation = Creation::begin(self.on.comm, Location::caller())?;
            let beginning = self.beginning();
            let (root, size) = (self.on.root, self.on.comm.size());
            let invalid = self.invalid(root, size);
            // Memory is offered before all ranks know that there is something wrong.
            let tasks = if invalid.is_some() { 0 } else { self.count() };
            let annex = Annex::Ledger { root, tasks };
            let name = self.name.clone();
            let path = beginning.directory.as_ref();
            let terms = Terms {
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
                annex: annex.clone(),
                asked: self.on.asked.or_environment(),
                anywhere: self.on.anywhere,
                ..creation.terms("batch", &name)
            };
            let base = mpi::block(&creation, &terms, 0, |created| {
                WindowController::join_with(created, root, name.clone(), HANDOVERS, &annex)
            })?;
            let worker = Worker::split(&base, &self.on.layout, self.on.asked)?;
            let is_here = base.tier().is_none_or(|tier| tier.home == tier.hub.node());
            let ledger = is_here.then(|| Ledger {
                memory: Table::new(base.block(), self.count()),
            });
            let mut batch = self.make(base, ledger, worker);
            if batch.rank() == root {
                let begun = beginning.begin(&mut batch);
                batch.share_beginning(&begun)?;
                begun?;
            } else {
                batch.collect_beginning()?;
                beginning.follow(&mut batch);
            }
            Ok(batch)
        }

        fn invalid(&self, root: i32, size: i32) -> Option<CreateError> {
            let (tasks, most) = (self.count(), Batch::MAX_TASKS);
            if self.tasks.is_none() {
                return Some(CreateError::NoTasks);
            }
            if !(0..size).contains(&root) {
                return Some(CreateError::RootOutOfRange { root, size });
            }
            if tasks > most {
                return Some(CreateError::TooManyTasks { tasks, most });
            }
            self.on.layout.invalid(size)
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
        #[track_caller]
        fn share_beginning(&self, begun: &Result<(), BatchError>) -> Result<(), BatchError> {
            let call = Call::new(&begun.as_ref().map(|()| Some(())).map_err(Clone::clone));
            let shared = self.post().share_as_agreed(&call);
            shared.map_err(BatchError::Diverged)
        }

        #[track_caller]
        fn collect_beginning(&self) -> Result<(), BatchError> {
            let rank = self.root();
            let collected = self.post().collect_encoded(rank as usize, None);
            match collected.map_err(BatchError::Diverged)? {
                Call::<()>::Failed(found) => Err(BatchError::OtherRank { rank, found }),
                Call::Value(()) | Call::Nothing => Ok(()),
            }
        }

        #[track_caller]
        fn post(&self) -> Post<'_> {
            self.base.post(self.base.begin_call(), Location::caller())
        }
    }
}
