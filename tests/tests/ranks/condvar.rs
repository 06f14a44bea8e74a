//! Conditions: waiting under a mutex for a change by another rank, and the order of wake-ups.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::sync::Wake;
use mpisync::{
    Condvar, Counter, CreateError, Equivalence, IntraCommunicator, LockError, Mutex, Transport,
};
use mpisync_tests::job::Job;
use mpisync_tests::panics::expect_panic;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;

use crate::semaphore::{Arrivals, line, times};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    condvar_wakes_in_order,
    condvar_wakes_so_many,
    condvar_wakes_who_waits,
    condvar_counts_add_up,
    condvar_makes_a_barrier,
    condvar_waits_while,
    condvar_times_out,
    condvar_ping_pong,
    condvar_guards_a_buffer,
    condvar_refuses_to_wait_alone,
    condvar_line_closes_up,
    condvar_roots,
    condvars_beside_each_other,
    condvars_come_and_go,
    condvar_arguments_differ,
    condvar_shows_its_state,
    condvar_through_windows,
);

/// Words of scratch memory.
const INSIDE: usize = 0;
const AWAKE: usize = 1;
const COUNTED: usize = 2;
const DONE: usize = 3;
const SUM: usize = 4;

const SOON: Duration = Duration::from_secs(20);

fn made(job: &Job, root: i32) -> Condvar {
    let builder = Condvar::builder(&job.world).root(root);
    builder.build().unwrap()
}

/// Holds the mutex alone for a moment.
fn alone(job: &Job) {
    let inside = job.scratch.word(INSIDE);
    assert_eq!(inside.fetch_add(1, SeqCst), 0, "another rank has the mutex");
    inside.fetch_sub(1, SeqCst);
}

/// Waits until `count` ranks are awake.
fn awake(job: &Job, count: usize) {
    let awake = job.scratch.word(AWAKE);
    let all_are = || awake.load(SeqCst) == count as u64;
    until("those who were woken", all_are);
}

/// Waits once, and counts itself when it is awake. Returns how many were awake before.
fn wait(job: &Job, condvar: &Condvar, mutex: &mut Mutex) -> u64 {
    let guard = condvar.wait(mutex.lock());
    alone(job);
    let before = job.scratch.word(AWAKE).fetch_add(1, SeqCst);
    drop(guard);
    before
}

/// One rank at a time is woken, in the order of arrival.
fn condvar_wakes_in_order(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    for (round, root) in [(0, 0), (1, job.size - 1)] {
        let condvar = made(job, root);
        let known = (condvar.rank(), condvar.size(), condvar.root());
        assert_eq!(known, (job.rank, job.size, root));
        let arrivals = Arrivals::around(job, root, round == 0, 10 + round);
        let woken = job.scratch.word(AWAKE);
        job.world.barrier();
        if job.rank == root {
            woken.store(0, SeqCst);
            assert_eq!(condvar.notify_one(), 0);
            arrivals.let_come(&condvar);
            for next in 1..=arrivals.order.len() {
                assert_eq!(condvar.notify_one(), 1);
                awake(job, next);
                assert_eq!(line(&condvar), arrivals.order[next..]);
            }
            assert_eq!(condvar.notify_one(), 0);
        } else {
            let place = arrivals.turn(job.rank);
            assert_eq!(wait(job, &condvar, &mut mutex), place as u64);
        }
        condvar.close().unwrap();
    }
}

/// As many ranks are woken as requested, or as wait; with the mutex they continue when it is free.
fn condvar_wakes_so_many(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let all = job.size as u32 - 1;
    for (round, root) in [(0, 0), (1, job.size - 1)] {
        let condvar = made(job, root);
        let arrivals = Arrivals::around(job, root, round == 0, 10 + round);
        job.world.barrier();
        if job.rank == root {
            job.scratch.word(AWAKE).store(0, SeqCst);
            arrivals.let_come(&condvar);
            let some = all.min(3);
            assert_eq!((condvar.notify(0), condvar.notify(3)), (0, some));
            awake(job, some as usize);
            assert_eq!(line(&condvar), arrivals.order[some as usize..]);
            let guard = mutex.lock();
            assert_eq!(condvar.notify_all(), all - some);
            thread::sleep(Duration::from_millis(2));
            awake(job, some as usize);
            drop(guard);
            awake(job, all as usize);
            assert_eq!(condvar.notify(1), 0);
        } else {
            arrivals.turn(job.rank);
            wait(job, &condvar, &mut mutex);
        }
    }
}

/// A rank that has released the mutex to wait is in the queue, and no other rank is.
fn condvar_wakes_who_waits(job: &Job) {
    let mut waiting = Mutex::with_value(&job.world, 0u32).unwrap();
    let each = times(job, 500, 100) as u32;
    // Rank 0 notifies; with three or more ranks, rank 1 does not wait.
    let first = (job.size - 1).clamp(1, 2);
    for condvar in [0, job.size - 1].map(|root| made(job, root)) {
        if job.rank == 0 {
            let mut left = each * (job.size - first) as u32;
            let mut ways = [1, 2, u32::MAX].into_iter().cycle();
            while left > 0 {
                let mut waiting = waiting.lock();
                let most = ways.next().unwrap();
                let woken = condvar.notify(most);
                assert_eq!(woken, most.min(*waiting));
                *waiting -= woken;
                left -= woken;
            }
            assert_eq!(condvar.notify_all(), 0);
        } else if job.rank >= first {
            for _ in 0..each {
                let mut waiting = waiting.lock();
                *waiting += 1;
                drop(condvar.wait(waiting));
            }
        }
        job.world.barrier();
    }
}

/// Each wake-up is counted once, by the notifier and by the woken rank, also if the time is nearly
/// up.
fn condvar_counts_add_up(job: &Job) {
    let [woken, counted, done] = [AWAKE, COUNTED, DONE].map(|word| job.scratch.word(word));
    for root in [0, job.size - 1] {
        let builder = Mutex::builder(&job.world).root(job.size / 2);
        let mut mutex = builder.build().unwrap();
        let condvar = made(job, root);
        let mut rng = Rng::new(job.rank as u64);
        let notify = |rng: &mut Rng| {
            let many = match rng.below(3) {
                0 => condvar.notify_one(),
                1 => condvar.notify(rng.below(4) as u32),
                _ => condvar.notify_all(),
            };
            counted.fetch_add(many.into(), SeqCst);
        };
        for _ in 0..times(job, 1_500, 300) {
            if job.rank == 0 && job.size > 1 {
                break;
            }
            let guard = mutex.lock();
            if rng.below(4) == 0 {
                notify(&mut rng);
            }
            alone(job);
            let limit = match rng.below(8) {
                0 if job.size > 1 => Duration::MAX,
                1 | 2 => Duration::ZERO,
                _ => Duration::from_micros(rng.below(100)),
            };
            let (guard, wake) = condvar.wait_timeout(guard, limit).unwrap();
            alone(job);
            drop(guard);
            woken.fetch_add((wake == Wake::Notified).into(), SeqCst);
            if rng.below(4) == 0 {
                notify(&mut rng);
            }
        }
        // The first rank notifies until the others are done.
        done.fetch_add(1, SeqCst);
        while job.rank == 0 && done.load(SeqCst) % (job.size as u64) > 0 {
            notify(&mut rng);
            thread::yield_now();
        }
        job.world.barrier();
        assert_eq!(woken.load(SeqCst), counted.load(SeqCst));
        assert_eq!(woken.load(SeqCst) > 0, job.size > 1);
        assert_eq!(condvar.notify_all(), 0);
        job.world.barrier();
    }
}

/// The last of all ranks finds all others waiting; its change is visible to the ranks that it
/// wakes.
fn condvar_makes_a_barrier(job: &Job) {
    let mut meeting = Mutex::with_value(&job.world, [0u32; 2]).unwrap();
    let condvar = made(job, job.size - 1);
    let rounds = times(job, 200, 30) as u32;
    let mut guard = meeting.lock();
    for number in 0..rounds {
        let [come, met] = *guard;
        assert_eq!(met, number);
        if come + 1 == job.size as u32 {
            *guard = [0, number + 1];
            assert_eq!(condvar.notify_all(), come);
        } else {
            *guard = [come + 1, number];
            // No other rank wakes it, so it need not check again.
            guard = condvar.wait(guard);
            assert_eq!(guard[1], number + 1);
        }
    }
}

fn condvar_waits_while(job: &Job) {
    let mut stage = Mutex::with_value(&job.world, [0u64; 2]).unwrap();
    let condvar = made(job, 0);
    let last = times(job, 300, 50);
    for next in 1..=last {
        if job.rank == 0 {
            stage.lock()[0] = next;
            // Without the mutex.
            condvar.notify_all();
        } else {
            let guard = condvar.wait_while(stage.lock(), |[stage, looked]| {
                *looked += 1;
                *stage < next
            });
            assert!((next..=last).contains(&guard[0]));
        }
    }
    job.world.barrier();
    // The change of the condition stays.
    assert!(stage.lock()[1] >= last * (job.size as u64 - 1));
    // No rank notifies if there is nothing to wait for.
    drop(condvar.wait_while(stage.lock(), |[stage, _]| *stage != last));
    job.world.barrier();
    assert_eq!(condvar.notify_all(), 0);
}

fn condvar_times_out(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0u32).unwrap();
    let condvar = made(job, job.size - 1);
    for limit in [0, 1, 20].map(Duration::from_millis) {
        let start = Instant::now();
        let (mut guard, wake) = condvar.wait_timeout(mutex.lock(), limit).unwrap();
        alone(job);
        *guard += 1;
        assert_eq!(wake, Wake::TimedOut);
        let (guard, wake) = condvar.wait_timeout_while(guard, limit, |_| true).unwrap();
        assert_eq!(wake, Wake::TimedOut);
        assert!(start.elapsed() >= 2 * limit);
        let (_guard, wake) = condvar.wait_timeout_while(guard, limit, |_| false).unwrap();
        assert_eq!(wake, Wake::Notified);
    }
    job.world.barrier();
    assert_eq!(condvar.notify_all(), 0);
    assert_eq!(*mutex.lock(), 3 * job.size as u32);
    job.world.barrier();
    // In time: a condition that becomes true only after some wake-ups.
    if job.rank == 0 {
        for _ in 0..5 {
            *mutex.lock() += 1;
            condvar.notify_all();
            thread::sleep(Duration::from_millis(1));
        }
    } else {
        let is_early = |value: &mut u32| *value < 3 * job.size as u32 + 5;
        let waited = condvar.wait_timeout_while(mutex.lock(), SOON, is_early);
        let (mut guard, wake) = waited.unwrap();
        assert!(wake == Wake::Notified && !is_early(&mut guard));
        let waited = condvar.wait_timeout_while(guard, Duration::MAX, is_early);
        assert_eq!(waited.unwrap().1, Wake::Notified);
    }
}

/// All ranks of `comm` take turns, `laps` times each.
fn turns(comm: &impl IntraCommunicator, (mutex_root, condvar_root): (i32, i32), laps: u64) {
    let builder = Mutex::builder(comm).root(mutex_root);
    let mut turn = builder.value(0u64).build().unwrap();
    let builder = Condvar::builder(comm).root(condvar_root);
    let condvar = builder.build().unwrap();
    let (rank, size) = (comm.rank() as u64, comm.size() as u64);
    let mut guard = turn.lock();
    for lap in 0..laps {
        guard = condvar.wait_while(guard, |turn| *turn % size != rank);
        assert_eq!(*guard, lap * size + rank);
        *guard += 1;
        if lap % 4 == 0 {
            drop(guard);
            condvar.notify_all();
            guard = turn.lock();
        } else {
            // The woken ranks request the mutex when this rank releases it.
            condvar.notify_all();
        }
    }
}

fn condvar_ping_pong(job: &Job) {
    let laps = times(job, 1_000, 100);
    // The first and the last rank, and no others.
    let plays = job.rank == 0 || job.rank == job.size - 1;
    let color = Color::with_value(plays.into());
    let comm = job.world.split_by_color(color).unwrap();
    if plays {
        turns(&comm, (0, comm.size() - 1), laps);
    }
}

fn condvar_roots(job: &Job) {
    turns(&job.world, (0, 0), times(job, 40, 8));
    for root in 0..job.size {
        turns(&job.world, (root, (root + 1) % job.size), 2);
    }
    // Every other rank, then each alone.
    for colors in [2, job.size] {
        let color = Color::with_value(job.rank % colors);
        let comm = job.world.split_by_color(color).unwrap();
        turns(&comm, (comm.size() - 1, comm.size() / 2), 10);
    }
}

/// A few items that some ranks produce for others.
#[derive(Clone, Copy, Equivalence)]
struct Buffer {
    items: [u64; 4],
    put: u64,
    taken: u64,
}

fn condvar_guards_a_buffer(job: &Job) {
    const ROOM: u64 = 4;
    let empty = Buffer {
        items: [0; 4],
        put: 0,
        taken: 0,
    };
    let mut buffer = Mutex::with_value(&job.world, empty).unwrap();
    let (filled, emptied) = (made(job, job.size - 1), made(job, 0));
    let [puts, takes] = [0, 1].map(|_| Counter::<u64>::new(&job.world).unwrap());
    let all = times(job, 1_000, 100);
    let put = |buffer: &mut Mutex<Buffer>, number: u64| {
        let is_full = |buffer: &mut Buffer| buffer.put - buffer.taken == ROOM;
        let mut buffer = emptied.wait_while(buffer.lock(), is_full);
        let place = (buffer.put % ROOM) as usize;
        buffer.items[place] = number + 1;
        buffer.put += 1;
        assert!(filled.notify_one() <= 1);
    };
    let mut last = 0;
    let mut take = |buffer: &mut Mutex<Buffer>| {
        let is_empty = |buffer: &mut Buffer| buffer.put == buffer.taken;
        let mut buffer = filled.wait_while(buffer.lock(), is_empty);
        let item = buffer.items[(buffer.taken % ROOM) as usize];
        buffer.taken += 1;
        drop(buffer);
        emptied.notify_one();
        job.scratch.word(SUM).fetch_add(item, SeqCst);
        // Items of the same rank stay in order.
        assert!(job.size > 2 || item > last, "{item} after {last}");
        last = item;
    };
    match (job.size, job.rank % 2) {
        (1, _) => puts.up_to(all).for_each(|number| {
            put(&mut buffer, number);
            take(&mut buffer);
        }),
        (_, 0) => (puts.up_to(all)).for_each(|number| put(&mut buffer, number)),
        _ => takes.up_to(all).for_each(|_| take(&mut buffer)),
    }
    job.world.barrier();
    assert_eq!(job.scratch.word(SUM).load(SeqCst), all * (all + 1) / 2);
    let buffer = buffer.lock();
    assert_eq!((buffer.put, buffer.taken), (all, all));
}

/// On a communicator of one rank no other rank can notify it, so it must not wait indefinitely.
fn condvar_refuses_to_wait_alone(job: &Job) {
    let alone = job
        .world
        .split_by_color(Color::with_value(job.rank))
        .unwrap();
    let mut mutex = Mutex::with_value(&alone, 0u32).unwrap();
    let condvar = Condvar::new(&alone).unwrap();
    let words = expect_panic(|| drop(condvar.wait(mutex.lock())));
    assert!(words.contains("no other rank can end this wait"), "{words}");
    let error = condvar.wait_timeout(mutex.lock(), Duration::MAX).err();
    assert_eq!(error, Some(LockError::Alone));
    let limit = Duration::from_millis(1);
    let (_, wake) = condvar.wait_timeout(mutex.lock(), limit).unwrap();
    assert_eq!(wake, Wake::TimedOut);
    assert!(mutex.try_lock().is_some());
}

/// A rank that gave up is skipped.
fn condvar_line_closes_up(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let condvar = made(job, 0);
    let (impatient, gave_up) = (job.size / 2, 10);
    let others = (job.size as u32).saturating_sub(2);
    if job.rank == 0 && job.size > 1 {
        job.scratch.wait_for(gave_up);
        let all_wait = || line(&condvar).len() as u32 == others;
        until("the others", all_wait);
        assert_eq!(condvar.notify(others + 1), others);
    } else if job.rank == impatient {
        // Also alone.
        let limit = Duration::from_millis(10);
        let waited = condvar.wait_timeout(mutex.lock(), limit);
        assert_eq!(waited.unwrap().1, Wake::TimedOut);
        job.scratch.raise(gave_up);
    } else {
        let waited = condvar.wait_timeout(mutex.lock(), SOON);
        assert_eq!(waited.unwrap().1, Wake::Notified);
    }
}

/// One condition per rank, with the same mutex: only the next rank is woken.
fn condvars_beside_each_other(job: &Job) {
    let mut turn = Mutex::with_value(&job.world, 0u64).unwrap();
    let condvars: Vec<_> = (0..job.size).map(|root| made(job, root)).collect();
    let (rank, size) = (job.rank as u64, job.size as u64);
    for lap in 0..times(job, 100, 10) {
        let mut guard = turn.lock();
        if *guard != lap * size + rank {
            guard = condvars[job.rank as usize].wait(guard);
        }
        assert_eq!(*guard, lap * size + rank);
        *guard += 1;
        let next = *guard % size;
        assert!(condvars[next as usize].notify_all() <= 1);
    }
}

fn condvars_come_and_go(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0u64).unwrap();
    for round in 0..times(job, 300, 40) {
        let condvar = made(job, 0);
        if job.rank == job.size - 1 {
            *mutex.lock() = round + 1;
            condvar.notify_all();
        } else {
            drop(condvar.wait_while(mutex.lock(), |value| *value <= round));
        }
        if round % 3 == 0 {
            condvar.close().unwrap();
        }
    }
}

fn condvar_arguments_differ(job: &Job) {
    let builder = || Condvar::builder(&job.world);
    for root in [-1, job.size] {
        let error = builder().root(root).build().unwrap_err();
        assert!(error.to_string().contains("root"), "{error}");
    }
    if job.size == 1 {
        return;
    }
    let odd = job.rank == 1;
    let error = builder().root(odd.into()).build().unwrap_err();
    assert!(error.to_string().contains("root"), "{error}");
    let outcome = if odd {
        Mutex::new(&job.world).map(drop)
    } else {
        builder().build().map(drop)
    };
    let error = outcome.expect_err("another kind of object").to_string();
    assert!(error.contains("the same objects"), "{error}");
    assert_eq!(made(job, 0).notify_all(), 0);
}

fn condvar_shows_its_state(job: &Job) {
    let builder = Condvar::builder(&job.world).name("advanced");
    let condvar = builder.build().unwrap();
    let shown = format!("{condvar:?}");
    let known = format!("Condvar {{ name: \"advanced\", rank: {}", job.rank);
    assert!(shown.starts_with(&known), "{shown}");
    assert!(job.rank > 0 || line(&condvar).is_empty());
}

fn condvar_through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Condvar::builder(&comm).transport(Transport::Windows);
    let condvar = match builder.root(job.size - 1).build() {
        Ok(condvar) => condvar,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let builder = Mutex::builder(&comm).transport(Transport::Windows);
    let mut turn = builder.value(0i32).build().unwrap();
    for lap in 0..5 {
        let mine = lap * job.size + job.rank;
        *condvar.wait_while(turn.lock(), |turn| *turn != mine) += 1;
        condvar.notify_all();
    }
}
