//! Mutexes, semaphores, counters, regions and channels that the threads of each rank share.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;
use std::time::Duration;

use mpi::traits::*;
use mpisync::ndarray::Ix1;
use mpisync::{Counter, Mutex, Region, RemoteChannel, Semaphore};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

use crate::lock_futures::poll_once;
use crate::shared::{THREADS, on_threads};

mpisync_tests::cases!(on [1, 2, 3, 4]:
    threads_of_all_ranks_lock_a_mutex,
    a_rank_with_threads_lets_others_lock,
    threads_of_all_ranks_take_permits,
    threads_use_what_futures_have_leaked,
    threads_of_all_ranks_count,
    threads_of_all_ranks_read_a_region,
    threads_of_all_ranks_put_and_take,
    threads_put_beside_the_thread_that_takes,
);

mpisync_tests::cases!(processes on [3] with [SeveralNodes]: threads_that_must_not_send_messages);

const LONG: Duration = Duration::from_secs(20);

// Words of scratch memory.
const SUM: usize = 0;
const USERS: usize = 1;
const DONE: usize = 2;

/// The root is the last rank, so with several nodes most ranks ask another one.
fn threads_of_all_ranks_lock_a_mutex(job: &Job) {
    let scratch = &job.scratch;
    let builder = Mutex::builder(&job.world).value([0_u64; 2]);
    let mut mutex = builder.root(job.size - 1).build().unwrap();
    let shared = mutex.shared().unwrap();
    on_threads(|thread| {
        for round in 0..100 {
            let guard = match (thread + round) % 3 {
                0 => Some(shared.lock()),
                1 => Some(shared.lock_timeout(LONG).unwrap()),
                _ => shared.try_lock(),
            };
            let Some(mut guard) = guard else { continue };
            assert_eq!(guard[0], guard[1]);
            guard[0] += 1;
            guard[1] += 1;
            scratch.word(SUM).fetch_add(1, SeqCst);
        }
    });
    drop(shared);
    job.world.barrier();
    assert_eq!(mutex.lock()[0], scratch.word(SUM).load(SeqCst));
    mutex.close().unwrap();
}

/// The threads of a rank lock all the time, and the other ranks get in.
fn a_rank_with_threads_lets_others_lock(job: &Job) {
    let scratch = &job.scratch;
    let mut mutex = Mutex::new(&job.world).unwrap();
    if job.rank == 0 {
        let shared = mutex.shared().unwrap();
        let others = job.size as u64 - 1;
        on_threads(|_| {
            while scratch.word(DONE).load(Relaxed) < others {
                drop(shared.lock_timeout(LONG).unwrap());
            }
        });
    } else {
        for _ in 0..20 {
            drop(mutex.lock_timeout(LONG).unwrap());
        }
        scratch.word(DONE).fetch_add(1, SeqCst);
    }
}

fn threads_of_all_ranks_take_permits(job: &Job) {
    let scratch = &job.scratch;
    const PERMITS: u32 = 3;
    let builder = Semaphore::builder(&job.world, PERMITS);
    let mut semaphore = builder.root(job.size - 1).build().unwrap();
    let shared = semaphore.shared().unwrap();
    let users = scratch.word(USERS);
    on_threads(|thread| {
        for round in 0..60 {
            let count = 1 + (thread + round) as u32 % PERMITS;
            let permits = match round % 4 {
                0 => shared.try_acquire_many(count),
                1 => shared
                    .acquire_many_timeout(count, Duration::from_micros(300))
                    .ok(),
                _ => Some(shared.acquire_many_timeout(count, LONG).unwrap()),
            };
            if let Some(permits) = permits {
                let count = u64::from(permits.count());
                let before = users.fetch_add(count, SeqCst);
                assert!(before + count <= u64::from(PERMITS));
                thread::yield_now();
                users.fetch_sub(count, SeqCst);
            }
        }
    });
    drop(shared);
    job.world.barrier();
    // Those of another node may be under way.
    until("all permits", || semaphore.available() == PERMITS);
    semaphore.close().unwrap();
}

/// Futures that wait, or have been granted what they wanted, are leaked before threads share the objects.
fn threads_use_what_futures_have_leaked(job: &Job) {
    const ROUNDS: u64 = 30;
    let root = job.size - 1;
    let builder = Mutex::builder(&job.world).value(0_u64);
    let mut mutex = builder.root(root).build().unwrap();
    let builder = Semaphore::builder(&job.world, 2);
    let mut semaphore = builder.root(root).build().unwrap();
    for round in 0..ROUNDS {
        let mut lock = mutex.lock_async();
        std::mem::forget(poll_once(&mut lock));
        std::mem::forget(lock);
        for _ in 0..2 {
            let mut acquire = semaphore.acquire_async();
            std::mem::forget(poll_once(&mut acquire));
            std::mem::forget(acquire);
        }
        if round % 3 == 0 {
            // Meanwhile they may be granted it.
            thread::sleep(Duration::from_millis(1));
        }
        let (mutex, semaphore) = (mutex.shared().unwrap(), semaphore.shared().unwrap());
        on_threads(|_| {
            *mutex.lock_timeout(LONG).unwrap() += 1;
            assert_eq!(semaphore.acquire_many_timeout(2, LONG).unwrap().count(), 2);
        });
    }
    job.world.barrier();
    let all = ROUNDS * THREADS as u64 * job.size as u64;
    assert_eq!(*mutex.lock(), all);
    until("all permits", || semaphore.available() == 2);
    mutex.close().unwrap();
    semaphore.close().unwrap();
}

fn threads_of_all_ranks_count(job: &Job) {
    let scratch = &job.scratch;
    let builder = Counter::<u64>::builder(&job.world);
    let counter = builder.root(job.size - 1).build().unwrap();
    let shared = counter.shared().unwrap();
    on_threads(|thread| {
        let sum: u64 = match thread {
            0 => shared.up_to(1_000).sum(),
            1 => shared.up_to_by(1_000, 7).sum(),
            _ => {
                let few = (0..10).map(|_| shared.next());
                few.filter(|number| *number < 1_000).sum()
            }
        };
        scratch.word(SUM).fetch_add(sum, SeqCst);
    });
    job.world.barrier();
    assert_eq!(scratch.word(SUM).load(SeqCst), 999 * 1_000 / 2);
}

/// One rank writes while the threads of the others read: none of them sees half of a change.
fn threads_of_all_ranks_read_a_region(job: &Job) {
    let builder = Region::<u64, Ix1>::builder(&job.world, [500]).threads(THREADS);
    let mut field = builder.build().unwrap();
    if job.rank == 0 && job.size > 1 {
        for round in 1..=30 {
            field.write().fill(round);
        }
    } else {
        let shared = field.shared().unwrap();
        on_threads(|_| {
            let mut last = 0;
            for _ in 0..100 {
                let items = shared.read_timeout(LONG).unwrap();
                let first = items[0];
                assert!(items.iter().all(|item| *item == first), "a torn change");
                assert!(first >= last, "an older state");
                last = first;
            }
        });
    }
    job.world.barrier();
    let expected = if job.size > 1 { 30 } else { 0 };
    assert_eq!(field.read()[499], expected);
    field.close().unwrap();
}

fn threads_of_all_ranks_put_and_take(job: &Job) {
    let scratch = &job.scratch;
    const EACH: u64 = 40;
    let mut channel = RemoteChannel::<u64>::new(&job.world, 8).unwrap();
    channel.claim_together(EACH * job.size as u64);
    job.world.barrier();
    let shared = channel.shared().unwrap();
    on_threads(|thread| match thread {
        0 => {
            for message in 1..=EACH {
                shared.put_timeout(message, LONG).unwrap();
            }
        }
        _ => {
            while let Some(message) = shared.take_timeout(LONG).unwrap() {
                scratch.word(SUM).fetch_add(message, SeqCst);
            }
        }
    });
    job.world.barrier();
    let all = EACH * (EACH + 1) / 2 * job.size as u64;
    assert_eq!(scratch.word(SUM).load(SeqCst), all);
}

/// A rank in `take` does not count as one that puts nothing while its threads share the producer.
fn threads_put_beside_the_thread_that_takes(job: &Job) {
    let channel = RemoteChannel::<u64>::new(&job.world, 4).unwrap();
    let (mut producer, consumer) = channel.split();
    let shared = producer.shared().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // All ranks are in `take` by now.
            thread::sleep(Duration::from_millis(50));
            shared.put_timeout(7, LONG).unwrap();
        });
        assert_eq!(consumer.take_timeout(Duration::MAX), Ok(Some(7)));
    });
    drop(shared);
    job.world.barrier();
    drop(producer);
    assert_eq!(consumer.take_timeout(LONG), Ok(None));
}

/// MPI is initialized for one thread, and there are several nodes.
fn threads_that_must_not_send_messages() {
    let asked = mpi::Threading::Serialized;
    let (universe, provided) =
        mpi::initialize_with_threading(asked).expect("MPI is initialized once");
    if provided == mpi::Threading::Multiple {
        return;
    }
    let world = universe.world();
    let text = |error: Option<mpisync::CreateError>| {
        let text = error.expect("threads must not send").to_string();
        assert!(text.contains("mpisync::initialize()"), "{text}");
    };
    // Objects over several nodes need the level, too, unless this rank's leader answers nobody.
    match Mutex::new(&world) {
        Ok(mut mutex) => text(mutex.shared().err()),
        Err(error) => text(Some(error)),
    }
    match Counter::<u32>::new(&world) {
        Ok(counter) => text(counter.shared().err()),
        Err(error) => text(Some(error)),
    }
}
