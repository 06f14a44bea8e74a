//! One round, as a rank sees it: what it does when, who is killed, and what it may get.

use std::fmt::{Debug, Display};
use std::fs::{self, File, OpenOptions};
use std::hint;
use std::io::Write;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use launcher::processes::is_running;
use mpisync_tests::job::{Job, remove_mapped_files};
use mpisync_tests::outcome::name_of;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;
use mpisync_tests::signals::die;

use super::RANKS;
use super::words::{ARRIVED, FAILED_TO_MAKE, PROCESS};

/// Less than [`LONGEST`]: a call that returns a time limit of this length has waited for too long.
pub const LIMIT: Duration = Duration::from_secs(9);

/// No call may take longer.
const LONGEST: Duration = Duration::from_secs(10);

/// The error of a call that all ranks make, without a rank that is dead.
pub const GONE: &[&str] = &["RankDied"];

/// That of a lock whose holder is dead.
pub const LOST: &[&str] = &["HolderDied"];

/// Who is killed, and when.
#[derive(Clone, Copy, Debug)]
struct Plan {
    victim: i32,
    /// In which of its calls.
    call: u64,
    /// How long after that begins.
    delay: Duration,
}

impl Plan {
    /// `calls` is how many each rank makes.
    fn new(rng: &mut Rng, calls: u64) -> Self {
        let victim = rng.below(RANKS as u64) as i32;
        let call = 1 + rng.below(calls);
        let delay = match rng.below(4) {
            0 => rng.below(20_000),
            _ => rng.below(150),
        };
        Self {
            victim,
            call,
            delay: Duration::from_micros(delay),
        }
    }
}

/// A rank in a round.
pub struct Round<'a> {
    /// The job.
    pub job: &'a Job,
    /// For decisions of this rank.
    pub own: Rng,
    /// For decisions that all ranks make alike.
    pub common: Rng,
    plan: Option<Plan>,
    calls: u64,
    records: File,
}

impl<'a> Round<'a> {
    /// Begins a round in which each rank makes this number of calls.
    pub fn begin(job: &'a Job, seed: u64, has_kill: bool, calls: u64) -> Self {
        let mut common = Rng::new(seed);
        let plan = Plan::new(&mut common, calls);
        let words = &job.scratch;
        words
            .word(PROCESS + job.rank as usize)
            .store(std::process::id().into(), SeqCst);
        let path = job.file(&format!("records.{}", job.rank));
        let records = OpenOptions::new().append(true).create(true).open(path);
        Self {
            job,
            own: Rng::new(seed.wrapping_mul(1_000) + job.rank as u64 + 1),
            common,
            plan: has_kill.then_some(plan),
            calls: 0,
            records: records.expect("the file of records is made"),
        }
    }

    /// The number of this rank.
    pub fn rank(&self) -> i32 {
        self.job.rank
    }

    /// Whether a rank is dead.
    pub fn is_dead(&self, rank: i32) -> bool {
        let process = self.job.scratch.word(PROCESS + rank as usize).load(SeqCst);
        !is_running(process as u32)
    }

    /// Whether the rank that is to be killed is dead.
    pub fn has_lost_one(&self) -> bool {
        self.plan.is_some_and(|plan| self.is_dead(plan.victim))
    }

    /// Keeps a record that outlives this process.
    pub fn record(&mut self, record: impl Display) {
        let line = format!("{record}\n");
        self.records
            .write_all(line.as_bytes())
            .expect("a record is written");
    }

    /// Makes a call. Its error has to be one of these, and somebody has to be dead then. Returns
    /// what the call returns.
    pub fn call<T, E: Debug + Display>(
        &mut self,
        name: &str,
        fine: &[&str],
        call: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Option<T> {
        self.calls += 1;
        let number = self.calls;
        self.record(format_args!("# {number} {name}"));
        if let Some(plan) = self.plan
            && plan.victim == self.job.rank
            && plan.call == self.calls
        {
            self.record(format_args!("# killed in {:?}", plan.delay));
            kill_after(plan.delay);
        }
        let begin = Instant::now();
        let outcome = call(self);
        let took = begin.elapsed();
        assert!(took < LONGEST, "{name} took {took:?}");
        let error = match outcome {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let (variant, rank) = name_of(&error);
        self.record(format_args!("# {variant} {rank:?}"));
        assert!(fine.contains(&variant.as_str()), "{name}: {error}");
        let Some(plan) = self.plan else {
            panic!("{name}: {error}, and nobody is killed")
        };
        // A writer that fails is named itself, and so is what it fails of.
        let is_right = match rank {
            Some(rank) if rank != plan.victim => {
                let dead = format!("rank {} died", plan.victim);
                variant.starts_with("Writer") && error.to_string().contains(&dead)
            }
            _ => true,
        };
        assert!(is_right, "{name} names the wrong rank: {error:?}");
        assert!(self.has_lost_one(), "{name}: {error}, and nobody is dead");
        None
    }

    /// Waits, without MPI, until all living ranks have come here. For each `index` once.
    pub fn meet(&mut self, index: usize) {
        self.record(format_args!("# meet {index}"));
        let come = self.job.scratch.word(ARRIVED + index);
        come.fetch_add(1, SeqCst);
        until("the living ranks", || {
            let missing = RANKS as u64 - come.load(SeqCst).min(RANKS as u64);
            missing == 0 || missing == 1 && self.has_lost_one()
        });
    }

    /// Whether all ranks have made all objects, which each says.
    pub fn agree(&mut self, is_made: bool) -> bool {
        let failed = self.job.scratch.word(FAILED_TO_MAKE);
        failed.fetch_add(u64::from(!is_made), SeqCst);
        self.meet(0);
        failed.load(SeqCst) == 0
    }

    /// The end of a round in which a rank is killed: MPI cannot be finalized.
    pub fn end(mut self) {
        self.meet(2);
        // The test may end this process as soon as it has told.
        if self.plan.is_some() {
            remove_mapped_files();
        }
        self.job.tell("survived");
        self.meet(3);
        if self.plan.is_some() {
            self.job.leave();
        }
    }
}

/// Kills this process from a thread of its own, wherever it is then.
fn kill_after(delay: Duration) {
    let begin = Instant::now();
    thread::spawn(move || {
        if delay > Duration::from_millis(1) {
            thread::sleep(delay);
        }
        while begin.elapsed() < delay {
            hint::spin_loop();
        }
        die();
    });
}

/// The number in a file of the job, which the test has written.
pub fn number_in(job: &Job, file: &str) -> Option<u64> {
    let text = fs::read_to_string(job.file(file)).ok()?;
    text.trim().parse().ok()
}
