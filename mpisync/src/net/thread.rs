//! The progress thread: what keeps a node answering while its ranks compute.
//!
//! One thread a process runs in each leader, once a communicator spans nodes. It polls hard while
//! there is traffic and sleeps otherwise, for a millisecond at most. It ends before MPI does.

use crate::net::{Network, schedule};
use crate::rsmpi;
use crate::rsmpi::Context;
use crate::shm::event::sleep_on_any;
use crate::shm::lock;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread polls hard after the last message. It takes short slices of the processor
/// after that, so that it gets the core at once when it wakes; while it polls they would keep
/// others from it.
const ALERT: Duration = Duration::from_micros(500);
/// The first sleep after that; each next one is twice as long.
const FIRST_SLEEP: Duration = Duration::from_micros(100);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// The networks of this process, and the thread that serves them.
static NETWORKS: Mutex<Vec<Arc<Network>>> = Mutex::new(Vec::new());
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);
static STOP: AtomicBool = AtomicBool::new(false);

/// The network of that communicator, if it has been opened.
pub(super) fn find(context: &Arc<Context>) -> Option<Arc<Network>> {
    let networks = lock(&NETWORKS);
    networks.iter().find(|net| net.is_of(context)).cloned()
}

/// Serves `net` from now on, until MPI ends.
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

/// Without the thread other nodes would wait for this one for good. The panic's hook has said why.
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
            // Two threads that poll would be in each other's way; the other one may leave off at any time.
            active |= net.is_polled_actively() || net.poll();
            if sleep_time.is_some() {
                // Open MPI looks for a message first, and lets the network make progress after that.
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

/// Sleeps, until a rank of this node calls the server at the latest.
fn sleep(networks: &[Arc<Network>], sleep_time: Duration) {
    let calls: Vec<_> = (networks.iter())
        .map(|net| {
            let call = net.domain().segment().call();
            call.announce_sleeper();
            // After the announcement: who calls from here on sees it.
            (call, call.word.load(Ordering::SeqCst))
        })
        .collect();
    // Nor if one called since they were looked at.
    if !networks.iter().any(|net| net.go_on()) {
        sleep_on_any(&calls, sleep_time);
    }
}

/// Ends the thread, and waits until all ranks of the communicators have come as far, for until then
/// they may need this node.
///
/// Called by a [`Universe`](crate::Universe) that is dropped, and otherwise by MPI when it is about
/// to end. That may be late: MPICH calls itself single-threaded from the first moment of
/// `MPI_Finalize`, so that a thread which is inside MPI just then spoils one of its locks.
fn end() {
    STOP.store(true, Ordering::Relaxed);
    if let Some(thread) = lock(&THREAD).take() {
        // It does not panic, see `serve_or_abort`.
        let _ = thread.join();
    }
    let networks = std::mem::take(&mut *lock(&NETWORKS));
    let mut farewells: Vec<_> = networks
        .iter()
        .filter(|net| !net.domain().has_lost_ranks())
        // Where MPI fails there is nothing to wait for, and MPI says so itself when it ends.
        .filter_map(|net| net.context().all().begin_barrier().ok())
        .collect();
    while !farewells.is_empty() {
        let mut active = false;
        for net in &networks {
            active |= net.poll();
            active |= net.go_on();
        }
        farewells.retain_mut(|farewell| !farewell.is_over());
        if !active && !farewells.is_empty() {
            thread::sleep(FIRST_SLEEP);
        }
    }
    for net in networks.iter().filter(|net| !net.domain().has_lost_ranks()) {
        net.close();
    }
}
