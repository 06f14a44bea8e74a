//! The progress thread, which answers other nodes while the ranks compute.
//!
//! Each leader process has one, once a communicator spans nodes. It polls in a loop while there is
//! traffic and sleeps otherwise, for at most a millisecond, or two after seconds without traffic. While a rank of the process polls
//! because it waits, that rank serves the node, and the thread leaves the core to it. The thread
//! ends before MPI is finalized.

use crate::net::network::{INSPECTION, Network, schedule};
use crate::rsmpi;
use crate::rsmpi::Context;
use crate::shm::atomic::sleep_on_any;
use crate::shm::lock;
use std::mem;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread polls after the last message. Then it asks for short time slices, so that it
/// gets the core at once when it wakes up; while it polls, these would take the core from others.
const ALERT: Duration = Duration::from_micros(500);
/// The first sleep after that, and the first while a rank of the process polls; each further one is
/// twice as long.
const FIRST_SLEEP: Duration = Duration::from_micros(100);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);
/// The longest sleep once there has been no message for so long: each time that it wakes up, the
/// thread takes some 50 us of the core.
const QUIET: Duration = Duration::from_secs(2);
const QUIET_SLEEP: Duration = Duration::from_micros(1800);

/// How long the thread polls beside ranks after a message has waited for it because it had left the
/// polling to a rank that had stopped.
const MISTRUST: Duration = Duration::from_millis(100);

/// The networks of this process, and the thread that serves them.
static NETWORKS: Mutex<Vec<Arc<Network>>> = Mutex::new(Vec::new());
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);
static STOP: AtomicBool = AtomicBool::new(false);

/// The network of this communicator, if it has been opened.
pub(super) fn find(context: &Arc<Context>) -> Option<Arc<Network>> {
    let networks = lock(&NETWORKS);
    networks.iter().find(|net| net.is_of(context)).cloned()
}

/// All networks of this process.
pub(super) fn all() -> Vec<Arc<Network>> {
    lock(&NETWORKS).clone()
}

/// Serves `net` until MPI is finalized.
pub(super) fn register(net: &Arc<Network>) {
    let first = {
        let mut networks = lock(&NETWORKS);
        networks.push(Arc::clone(net));
        networks.len() == 1
    };
    if first {
        rsmpi::at_end(end);
    }
    let mut running = lock(&THREAD);
    if net.topology().is_leader() && net.has_thread() && running.is_none() {
        let thread = thread::Builder::new().name("mpisync".to_owned());
        *running = Some(
            thread
                .spawn(serve_or_abort)
                .expect("a process may have a thread more"),
        );
    }
}

/// Aborts after a panic, whose message the hook has printed: without the thread, other nodes would
/// wait for this one forever.
fn serve_or_abort() {
    if catch_unwind(serve).is_err() {
        std::process::abort();
    }
}

fn serve() {
    let mut known = 0;
    let mut networks: Vec<Served> = Vec::new();
    let mut active_at = Instant::now();
    let mut sleep_time: Option<Duration> = None;
    while !STOP.load(Ordering::Relaxed) {
        {
            let all = lock(&NETWORKS);
            if all.len() != known {
                known = all.len();
                let with_thread = all.iter().filter(|net| net.has_thread());
                networks = with_thread.map(Served::new).collect();
            }
        }
        let now = Instant::now();
        let has_slept = sleep_time.is_some();
        let (mut active, mut is_relieved) = (false, false);
        for served in &mut networks {
            match served.look(now, has_slept) {
                Look::Relieved => is_relieved = true,
                Look::Active => active = true,
                Look::Idle => {}
            }
        }
        if active {
            active_at = now;
        }
        let is_alert = now - active_at < ALERT;
        if active || (is_alert && !is_relieved) {
            if sleep_time.take().is_some() {
                schedule::set_short_slices(false);
            }
            thread::yield_now();
            continue;
        }
        let longest = match now - active_at < QUIET {
            true => LONGEST_SLEEP,
            false => QUIET_SLEEP,
        };
        let next = sleep_time.map_or(FIRST_SLEEP, |last| (last * 2).min(longest));
        if sleep_time.replace(next).is_none() {
            schedule::set_short_slices(true);
        }
        sleep(&networks, next);
    }
}

/// A network with a progress thread.
struct Served {
    net: Arc<Network>,
    /// How often ranks that wait had polled at the last look.
    polls: u32,
    /// Whether the thread was relieved at the last look.
    was_relieved: bool,
    /// When the thread last came too late, because it had been relieved.
    late_at: Option<Instant>,
    /// When a rank was last found to make many calls without a wait.
    streamed_at: Option<Instant>,
}

/// What the thread has found at a network.
enum Look {
    /// A rank of this process polls because it waits. Two that poll would contend for MPI, for the
    /// server and for the core.
    Relieved,
    /// There was something to do.
    Active,
    /// There was nothing to do.
    Idle,
}

impl Served {
    fn new(net: &Arc<Network>) -> Self {
        Served {
            net: Arc::clone(net),
            polls: net.polls(),
            was_relieved: false,
            late_at: None,
            streamed_at: None,
        }
    }

    /// Serves the network, unless a rank does. `has_slept` says whether the thread has slept before.
    fn look(&mut self, now: Instant, has_slept: bool) -> Look {
        let polls = self.net.polls();
        let is_polled = mem::replace(&mut self.polls, polls) != polls;
        if self.net.has_streamed() {
            self.streamed_at = Some(now);
        }
        let is_within = |at: Option<Instant>, span| at.is_some_and(|at| now - at < span);
        let streams = is_within(self.streamed_at, ALERT);
        if is_polled && !streams && !is_within(self.late_at, MISTRUST) {
            self.was_relieved = true;
            return Look::Relieved;
        }
        let takes_over = mem::take(&mut self.was_relieved);
        // A rank that streams, or that the thread does not trust, polls at times.
        let contends = (is_polled || streams) && self.net.is_polled_actively();
        let mut has_received = !contends && self.net.poll();
        if has_slept {
            // Open MPI checks for a message first and lets the network make progress afterwards.
            has_received |= self.net.poll();
        }
        if takes_over && has_received {
            self.late_at = Some(now);
        }
        match self.net.go_on() || has_received || streams || takes_over || contends {
            true => Look::Active,
            false => Look::Idle,
        }
    }
}

/// Sleeps until a rank of this node calls the server, for at most `sleep_time`.
fn sleep(networks: &[Served], sleep_time: Duration) {
    let calls: Vec<_> = (networks.iter())
        .map(|served| {
            let call = served.net.domain().segment().call();
            call.announce_sleeper();
            // After the announcement: ranks that call from here on see it.
            (call, call.word.load(Ordering::SeqCst))
        })
        .collect();
    // A rank may have called before the announcement.
    let is_busy = |served: &Served| !served.net.is_polled_actively() && served.net.go_on();
    if !networks.iter().any(is_busy) {
        sleep_on_any(&calls, sleep_time);
    }
}

/// Ends the thread and waits until all ranks of the communicators have come here: until then they
/// may need this node.
///
/// Called when a [`Universe`](crate::Universe) is dropped, or else by `MPI_Finalize`. The latter
/// may be too late: MPICH is single-threaded from the beginning of `MPI_Finalize` on, and a thread
/// that is inside MPI at that moment corrupts one of its locks.
fn end() {
    STOP.store(true, Ordering::Relaxed);
    if let Some(thread) = lock(&THREAD).take() {
        // It does not panic, see `serve_or_abort`.
        let _ = thread.join();
    }
    // They stay known until all have come: other ranks of this node may be in a deadlock.
    let networks = all();
    let all_come =
        |net: &&Arc<Network>| !net.domain().has_lost_ranks() && !net.context().all().has_failed();
    let mut farewells: Vec<_> = networks
        .iter()
        .filter(all_come)
        // If MPI fails there is nothing to wait for, and MPI reports the failure in MPI_Finalize.
        .filter_map(|net| Some((net, net.context().all().begin_barrier().ok()?)))
        .collect();
    let mut inspected = Instant::now();
    while !farewells.is_empty() {
        let mut active = false;
        for net in &networks {
            active |= net.poll();
            active |= net.go_on();
        }
        // The same if MPI fails here.
        farewells.retain_mut(|(_, farewell)| matches!(farewell.is_over(), Ok(false)));
        if inspected.elapsed() >= INSPECTION {
            // Ranks that die now do not come.
            inspected = Instant::now();
            farewells.retain(|(net, _)| !net.domain().has_lost_ranks());
        }
        if !active && !farewells.is_empty() {
            thread::sleep(FIRST_SLEEP);
        }
    }
    for net in networks.iter().filter(all_come) {
        net.close();
    }
    lock(&NETWORKS).clear();
}
