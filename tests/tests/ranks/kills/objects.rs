//! All objects, and their making.

use std::error::Error;
use std::io;

use mpisync::guarded::{AppendFile, Guarded};
use mpisync::ndarray::Ix1;
use mpisync::{
    Barrier, Batch, Condvar, Counter, Latch, Mutex, OnceShared, Region, RemoteChannel, Semaphore,
    Turn, WindowController,
};

use super::round::{GONE, Round};
use super::words::MOST_PERMITS;
use super::{RANKS, STEPS};

/// The number of calls that make objects, after the first one.
pub const MADE: u64 = 18;

/// A message: its number, and words that depend on it.
pub type Message = [u64; 4];

/// The tasks of each batch.
pub const TASKS: usize = 90;

/// The items of the region.
pub const ITEMS: usize = 3_000;

/// The values that are computed once.
pub const VALUES: usize = 4;

/// The objects that all ranks share.
pub struct Objects {
    pub barrier: Barrier,
    pub controller: WindowController,
    pub file: Guarded<AppendFile>,
    pub mutex: Mutex<[u64; 2]>,
    /// How many tokens there are.
    pub tokens: Mutex<u64>,
    pub more_tokens: Condvar,
    /// The number of the step, and how many ranks wait for the next.
    pub gate: Mutex<[u64; 2]>,
    pub gate_opens: Condvar,
    pub semaphore: Semaphore,
    pub counter: Counter<u64>,
    pub values: Vec<OnceShared<Vec<u64>>>,
    pub turn: Turn,
    pub latch: Latch,
    pub channel: RemoteChannel<Message>,
    pub pipe: RemoteChannel<Message>,
    pub region: Region<u64, Ix1>,
    pub batch: Batch,
    /// With a state directory.
    pub kept: Batch,
    /// With workers of two.
    pub pairs: Batch,
}

impl Objects {
    /// Makes all of them. Returns nothing if a rank dies meanwhile.
    pub fn make(round: &mut Round<'_>) -> Option<Self> {
        let world = &round.job.world;
        // MPI itself waits for a rank that dies while the first object is made.
        let barrier = Barrier::new(world).expect("nobody is killed yet");
        barrier.wait();
        macro_rules! make {
            ($name:literal, $new:expr) => {
                round.call(concat!("make ", $name), GONE, |_| $new)?
            };
        }
        let path = round.job.file("lines");
        let states = round.job.file("states");
        let made = Self {
            barrier,
            controller: make!("controller", mpisync::sync(world)),
            file: round.call("make file", &["RankDied", "WriterFailed"], |_| {
                Guarded::create(world, || Ok::<_, io::Error>(AppendFile::new(path)))
            })?,
            mutex: make!("mutex", Mutex::with_value(world, [0; 2])),
            tokens: make!("tokens", Mutex::with_value(world, 0)),
            more_tokens: make!("condition", Condvar::new(world)),
            gate: make!("gate", Mutex::with_value(world, [0; 2])),
            gate_opens: make!("condition of the gate", Condvar::new(world)),
            semaphore: make!("semaphore", Semaphore::new(world, MOST_PERMITS)),
            counter: make!("counter", Counter::new(world)),
            values: make!(
                "values",
                (0..VALUES)
                    .map(|_| OnceShared::new(world))
                    .collect::<Result<_, _>>()
            ),
            turn: make!("turn", Turn::new(world)),
            latch: make!("latch", Latch::new(world, latch_count())),
            channel: make!("channel", RemoteChannel::new(world, 8)),
            pipe: make!("pipe", RemoteChannel::builder(world, 5).root(3).build()),
            region: make!("region", Region::new(world, ITEMS)),
            batch: make!("batch", Batch::builder(world).tasks(TASKS).build()),
            kept: make!(
                "batch with a directory",
                Batch::builder(world)
                    .tasks(TASKS)
                    .state_dir(states)
                    .durable(false)
                    .build()
            ),
            pairs: make!(
                "batch of pairs",
                Batch::builder(world)
                    .tasks(TASKS)
                    .worker_size(2)
                    .root(RANKS as i32 - 1)
                    .build()
            ),
        };
        Some(made)
    }
}

/// Each rank counts down once a step.
fn latch_count() -> u64 {
    STEPS * RANKS as u64
}

/// A call whose errors are of several types.
pub type Outcome<T> = Result<T, Box<dyn Error>>;
