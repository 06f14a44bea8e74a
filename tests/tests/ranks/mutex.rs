//! Mutexes: one rank at a time, in the order of arrival, and the value that belongs to the lock.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::sync::ReborrowedMutexGuard;
use mpisync::{
    Counter, CreateError, Equivalence, LockError, Mutex, Transport, WaitReport, WindowController,
};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

use crate::common::differs;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    mutex_excludes,
    mutex_sections_are_not_torn,
    mutex_is_fair,
    mutex_serves_in_order,
    mutex_order_is_strict,
    mutex_order_with_timeouts,
    mutex_tries,
    mutex_times_out,
    mutex_is_kept_for_who_waits,
    mutex_nests,
    mutex_value_travels,
    mutex_survives_panics,
    mutex_roots,
    mutexes_beside_each_other,
    mutexes_come_and_go,
    mutex_arguments_differ,
    mutex_shows_its_state,
    mutex_through_windows,
);

/// Words of scratch memory.
const INSIDE: usize = 0;
const DONE: usize = 1;
const LAST: usize = 2;
const WAITED: usize = 3;

/// Executes a section alone for a moment.
fn alone(job: &Job) {
    let before = job.scratch.word(INSIDE).fetch_add(1, SeqCst);
    assert_eq!(before, 0, "another rank has the lock");
    job.scratch.word(INSIDE).fetch_sub(1, SeqCst);
    job.scratch.word(DONE).fetch_add(1, SeqCst);
}

fn mutex_excludes(job: &Job) {
    const EACH: u64 = 300;
    let mut mutex = Mutex::new(&job.world).unwrap();
    assert_eq!(
        (mutex.rank(), mutex.size(), mutex.root()),
        (job.rank, job.size, 0)
    );
    for _ in 0..EACH {
        let _guard = mutex.lock();
        alone(job);
    }
    job.world.barrier();
    let done = job.scratch.word(DONE).load(SeqCst);
    assert_eq!(done, EACH * job.size as u64);
    mutex.close().unwrap();
}

/// The numbers that a rank takes of a counter under the lock have no gaps.
fn mutex_sections_are_not_torn(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let counter = Counter::<u64>::new(&job.world).unwrap();
    for _ in 0..10 {
        let guard = mutex.lock();
        let values: Vec<u64> = (0..10).map(|_| counter.next()).collect();
        drop(guard);
        assert_eq!(values[0] % 10, 0);
        assert!(
            values.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{values:?}"
        );
    }
}

/// Ranks that meet after each section have taken the same number of them.
fn mutex_is_fair(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let counter = Counter::<i32>::new(&job.world).unwrap();
    let mut sections = 0;
    while counter.next() < job.size * 5 {
        let guard = mutex.lock();
        sections += 1;
        drop(guard);
        job.world.barrier();
    }
    assert_eq!(sections, 5);
}

/// Ranks that are known to wait get the lock in the order of arrival.
fn mutex_serves_in_order(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    for round in 0..3 {
        let first = round % job.size;
        job.world.barrier();
        job.scratch.word(LAST).store(0, SeqCst);
        job.world.barrier();
        // Rank `first` holds it until all others are in the queue, one after the other.
        let place = (job.rank - first).rem_euclid(job.size) as u64;
        let come = job.scratch.word(WAITED);
        if place == 0 {
            let guard = mutex.lock();
            come.store(1, SeqCst);
            until("the others to come", || {
                come.load(SeqCst) == job.size as u64
            });
            // The last one has announced itself just before its request.
            thread::sleep(Duration::from_millis(30));
            drop(guard);
        } else {
            until("those before", || come.load(SeqCst) == place);
            thread::sleep(Duration::from_millis(10));
            let next = thread::spawn({
                let come = job.scratch.word(WAITED);
                move || {
                    thread::sleep(Duration::from_millis(20));
                    come.fetch_add(1, SeqCst);
                }
            });
            let guard = mutex.lock();
            let before = job.scratch.word(LAST).fetch_add(1, SeqCst);
            assert_eq!(before, place - 1, "round {round}");
            drop(guard);
            next.join().unwrap();
        }
        job.world.barrier();
        come.store(0, SeqCst);
    }
}

/// Takes the lock, and checks that its ticket is larger than earlier ones.
fn in_order(job: &Job, ticket: Option<u64>) {
    alone(job);
    if let Some(ticket) = ticket {
        let last = job.scratch.word(LAST);
        let before = last.load(SeqCst);
        assert!(ticket >= before, "ticket {ticket} after {before}");
        last.store(ticket + 1, SeqCst);
        job.scratch.word(WAITED).fetch_add(1, SeqCst);
    }
}

fn mutex_order_is_strict(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let spans_nodes = mpisync::sync(&job.world).unwrap().nodes() > 1;
    let all = if spans_nodes { 4_000 } else { 100_000 };
    let each = all / job.size as u64;
    for _ in 0..each {
        let guard = mutex.lock();
        in_order(job, guard.ticket());
    }
    job.world.barrier();
    assert_eq!(job.scratch.word(DONE).load(SeqCst), each * job.size as u64);
    let tickets = job.scratch.word(LAST).load(SeqCst);
    let waited = job.scratch.word(WAITED).load(SeqCst);
    assert_eq!(tickets, waited, "every ticket was served");
}

fn mutex_order_with_timeouts(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let spans_nodes = mpisync::sync(&job.world).unwrap().nodes() > 1;
    let rounds = if spans_nodes { 500 } else { 10_000 };
    let mut got = 0;
    for round in 0..rounds {
        let limit = Duration::from_micros((round + job.rank as u64 * 7) % 50);
        let patient = (round + job.rank as u64).is_multiple_of(2);
        let limit = if patient { Duration::MAX } else { limit };
        match mutex.lock_timeout(limit) {
            Ok(guard) => {
                in_order(job, guard.ticket());
                got += 1;
            }
            Err(LockError::Timeout { waited, .. }) => assert!(!patient && waited == limit),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(got >= rounds / 2);
    job.world.barrier();
    let tickets = job.scratch.word(LAST).load(SeqCst);
    assert!(tickets >= job.scratch.word(WAITED).load(SeqCst));
}

fn mutex_tries(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    for round in 0..10 {
        job.world.barrier();
        let got = job.scratch.word(10 + round);
        let guard = mutex.try_lock();
        got.fetch_add(guard.is_some().into(), SeqCst);
        job.world.barrier();
        assert_eq!(got.load(SeqCst), 1, "one rank gets it");
        job.world.barrier();
        drop(guard);
        until("the lock", || mutex.try_lock().is_some());
    }
}

fn mutex_times_out(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    for holder in 0..job.size.min(3) {
        job.world.barrier();
        let held = job.scratch.word(10 + holder as usize);
        if job.rank == holder {
            let guard = mutex.lock();
            held.store(1, SeqCst);
            until("the others to give up", || {
                held.load(SeqCst) == job.size as u64
            });
            drop(guard);
        } else {
            until("the holder", || held.load(SeqCst) > 0);
            for limit in [0, 1, 20] {
                let (limit, start) = (Duration::from_millis(limit), Instant::now());
                let error = mutex.lock_timeout(limit).unwrap_err();
                let timeout = LockError::Timeout {
                    waited: limit,
                    report: WaitReport::default(),
                };
                assert_eq!(error, timeout);
                assert!(start.elapsed() >= limit);
            }
            assert!(mutex.try_lock().is_none());
            held.fetch_add(1, SeqCst);
        }
        drop(mutex.lock_timeout(Duration::MAX).unwrap());
    }
}

/// A rank that releases the lock and requests it again at once comes after the waiting ranks.
fn mutex_is_kept_for_who_waits(job: &Job) {
    if job.size == 1 {
        return;
    }
    let mut mutex = Mutex::new(&job.world).unwrap();
    for round in 0..20 {
        let word = job.scratch.word(100 + round);
        job.world.barrier();
        if job.rank == 1 {
            let guard = mutex.lock();
            job.world.barrier();
            // Rank 0 is in the queue by then, on a busy machine too.
            thread::sleep(Duration::from_millis(100));
            drop(guard);
            let _guard = mutex.lock();
            assert_eq!(word.load(SeqCst), 1, "rank 0 was passed over");
        } else {
            job.world.barrier();
            if job.rank == 0 {
                let _guard = mutex.lock();
                word.store(1, SeqCst);
            }
        }
    }
}

fn mutex_nests(job: &Job) {
    fn deeper(job: &Job, mut guard: ReborrowedMutexGuard<'_, u64>, depth: u32) {
        *guard += 1;
        alone(job);
        if depth > 0 {
            deeper(job, guard.reborrow(), depth - 1);
        }
        alone(job);
    }
    let mut mutex = Mutex::with_value(&job.world, 0u64).unwrap();
    for _ in 0..20 {
        let mut guard = mutex.lock();
        deeper(job, guard.reborrow(), 3);
        alone(job);
        *guard += 1;
    }
    job.world.barrier();
    assert_eq!(*mutex.lock(), 100 * job.size as u64);
}

#[derive(Clone, Copy, PartialEq, Debug, Equivalence)]
struct Header {
    rank: u64,
    writes: u64,
    samples: [f64; 30],
}

fn mutex_value_travels(job: &Job) {
    let first = Header {
        rank: 0,
        writes: 0,
        samples: [0.5; 30],
    };
    let mut mutex = Mutex::with_value(&job.world, first).unwrap();
    assert!(mutex.lock().samples.iter().all(|sample| *sample >= 0.5));
    for _ in 0..100 {
        let mut header = mutex.lock();
        let before = header.samples[0];
        assert!(header.samples.iter().all(|sample| *sample == before));
        header.rank = job.rank as u64;
        header.writes += 1;
        header.samples = [before + 1.0; 30];
    }
    job.world.barrier();
    let header = *mutex.lock();
    let all = 100 * job.size as u64;
    assert_eq!((header.writes, header.samples[29]), (all, all as f64 + 0.5));
    // The longest value.
    let mut long = Mutex::with_value(&job.world, [7u8; 4096]).unwrap();
    long.lock()[job.rank as usize] = 8;
    job.world.barrier();
    let long = long.lock();
    let (changed, rest) = long.split_at(job.size as usize);
    assert!(changed.iter().all(|byte| *byte == 8) && rest.iter().all(|byte| *byte == 7));
}

fn mutex_survives_panics(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0u32).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut guard = mutex.lock();
        *guard += 1;
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
    job.world.barrier();
    assert_eq!(*mutex.lock(), job.size as u32);
}

fn mutex_roots(job: &Job) {
    for root in 0..job.size {
        let builder = Mutex::builder(&job.world).root(root).value(0i64);
        let mut mutex = builder.build().unwrap();
        assert_eq!(mutex.root(), root);
        for _ in 0..20 {
            *mutex.lock() += 1;
        }
        job.world.barrier();
        assert_eq!(*mutex.lock(), 20 * i64::from(job.size));
    }
    let half = Color::with_value(job.rank % 2);
    let comm = job.world.split_by_color(half).unwrap();
    let builder = Mutex::builder(&comm).root(comm.size() - 1).value(0i32);
    let mut mutex = builder.build().unwrap();
    for _ in 0..100 {
        *mutex.lock() += 1;
    }
    comm.barrier();
    assert_eq!(*mutex.lock(), 100 * comm.size());
}

fn mutexes_beside_each_other(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut mutexes: Vec<Mutex<u32>> = (0..30)
        .map(|number| {
            let builder = Mutex::builder(&job.world).root(number % job.size);
            builder.value(0).build().unwrap()
        })
        .collect();
    for round in 0..10 {
        let writing = ctrl.write();
        for mutex in &mut mutexes {
            *mutex.lock() += 1;
        }
        drop(writing);
        // Several at once, all ranks in the same order.
        let (some, others) = mutexes.split_at_mut(15);
        let mut guards: Vec<_> = some.iter_mut().map(Mutex::lock).collect();
        *guards[round] += 1;
        *others[round].lock() += 1;
    }
    job.world.barrier();
    let sum: u32 = mutexes.iter_mut().map(|mutex| *mutex.lock()).sum();
    assert_eq!(sum, (300 + 20) * job.size as u32);
}

fn mutexes_come_and_go(job: &Job) {
    let spans_nodes = mpisync::sync(&job.world).unwrap().nodes() > 1;
    for round in 0..if spans_nodes { 50 } else { 150 } {
        let mut mutex = Mutex::with_value(&job.world, round).unwrap();
        let last = job.rank == job.size - 1;
        // The memory of an earlier mutex is cleared, and the lock is free.
        assert_eq!(*mutex.lock(), round);
        if round % 3 == 0 {
            mutex.close().unwrap();
        } else if last {
            drop(mutex);
        }
    }
}

fn mutex_arguments_differ(job: &Job) {
    for root in [-1, job.size] {
        let error = Mutex::builder(&job.world).root(root).build().unwrap_err();
        assert!(
            matches!(error, CreateError::RankOutOfRange { .. }),
            "{error}"
        );
    }
    if job.size == 1 {
        return;
    }
    let odd = job.rank == 1;
    let builder = || Mutex::builder(&job.world);
    differs(builder().root(odd.into()).build().map(drop), "root");
    let value = u32::from(odd);
    differs(builder().value(value).build().map(drop), "value");
    let outcome = if odd {
        builder().anywhere().value(0i32).build().map(drop)
    } else {
        builder().anywhere().value(0u32).build().map(drop)
    };
    differs(outcome, "type of value");
    let outcome = if odd {
        WindowController::builder(&job.world).build().map(drop)
    } else {
        builder().build().map(drop)
    };
    differs(outcome, "the same objects");
    drop(builder().build().unwrap().lock());
}

fn mutex_shows_its_state(job: &Job) {
    let mut mutex = Mutex::builder(&job.world).name("licence").build().unwrap();
    job.world.barrier();
    if job.rank == 0 {
        let shown = format!("{mutex:?}");
        assert!(
            shown.contains("licence") && shown.contains("free: 1"),
            "{shown}"
        );
        let guard = mutex.lock();
        let shown = format!("{guard:?}");
        assert!(shown.contains("ticket: None"), "{shown}");
    }
    job.world.barrier();
}

fn mutex_through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Mutex::builder(&comm).transport(Transport::Windows);
    let mut mutex = match builder.value(0u64).build() {
        Ok(mutex) => mutex,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    for _ in 0..50 {
        *mutex.lock() += 1;
    }
    job.world.barrier();
    assert_eq!(*mutex.lock(), 50 * job.size as u64);
}
