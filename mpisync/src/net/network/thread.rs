//! The progress thread, which answers other nodes while the ranks compute.
//!
//! Each leader process has one, once a communicator spans nodes. It polls in a loop while there is
//! traffic and sleeps otherwise, for at most a millisecond. It ends before MPI is finalized.

use crate::net::network::{INSPECTION, Network, schedule};
use crate::rsmpi;
use crate::rsmpi::Context;
use crate::shm::atomic::sleep_on_any;
use crate::shm::lock;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread polls after the last message. Then it asks for short time slices, so that it
/// gets the core at once when it wakes up; while it polls, these would take the core from others.
const ALERT: Duration = Duration::from_micros(500);
/// The first sleep after that; each further one is twice as long.
const FIRST_SLEEP: Duration = Duration::from_micros(100);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

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
    let mut networks: Vec<Arc<Network>> = Vec::new();
    let mut active_at = Instant::now();
    let mut sleep_time = None;
    while !STOP.load(Ordering::Relaxed) {
        {
            let all = lock(&NETWORKS);
            if all.len() != networks.len() {
                networks.clone_from(&all);
            }
        }
        let mut active = false;
        for net in networks.iter().filter(|net| net.has_thread()) {
            // Two polling threads contend; the other one may stop at any time.
            active |= net.is_polled_actively() || net.poll();
            if sleep_time.is_some() {
                // Open MPI checks for a message first and lets the network make progress
                // afterwards.
                active |= net.poll();
            }
            active |= net.go_on();
        }
        let now = Instant::now();
        if active {
            active_at = now;
            if sleep_time.take().is_some() {
                schedule::set_short_slices(false);
            }
        }
        if now - active_at < ALERT {
            thread::yield_now();
            continue;
        }
        if sleep_time.is_none() {
            schedule::set_short_slices(true);
        }
        let next = sleep_time.map_or(FIRST_SLEEP, |sleep_time: Duration| {
            (sleep_time * 2).min(LONGEST_SLEEP)
        });
        sleep_time = Some(next);
        sleep(&networks, next);
    }
}

/// Sleeps until a rank of this node calls the server, for at most `sleep_time`.
fn sleep(networks: &[Arc<Network>], sleep_time: Duration) {
    let calls: Vec<_> = (networks.iter())
        .map(|net| {
            let call = net.domain().segment().call();
            call.announce_sleeper();
            // After the announcement: ranks that call from here on see it.
            (call, call.word.load(Ordering::SeqCst))
        })
        .collect();
    // A rank may have called before the announcement.
    if !networks.iter().any(|net| net.go_on()) {
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
