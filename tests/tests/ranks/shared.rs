//! Controllers that the threads of each rank share.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use mpi::traits::*;
use mpisync::{
    Access, CreateError, LockError, Mutex, OnDeadlock, SharedController, WindowController, inspect,
    on_deadlock,
};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::{Scratch, until};

use super::common::{differs, still_works};

mpisync_tests::cases!(on [1, 2, 3, 4]:
    threads_of_all_ranks_exclude_each_other,
    threads_of_all_ranks_read_at_the_same_time,
    a_waiting_thread_stops_readers_of_all_ranks,
    readers_of_other_ranks_are_not_starved,
    ranks_with_one_thread_and_with_several,
    collective_calls_between_shared_uses,
    a_thread_is_named_in_the_report,
    panics_in_threads,
    numbers_of_threads_are_compared,
    a_waiting_thread_lets_mpi_make_progress,
);

mpisync_tests::cases!(on [1, 2, 4] with [OneNode]:
    reading_threads_are_seen_from_outside,
);

mpisync_tests::cases!(on [2, 4] with [OwnJob, OneNode, Environment(&[("MPISYNC_DEADLOCK", "error")])]:
    a_rank_with_other_threads_is_in_no_deadlock,
);

mpisync_tests::cases!(processes on [1, 2] with [OneNode]: threads_that_must_not_call_mpi);
mpisync_tests::cases!(processes on [1, 2]: threads_that_wait_while_mpi_ends);
mpisync_tests::cases!(processes on [3] with [SeveralNodes]: threads_that_must_send_messages);

pub const THREADS: usize = 3;
const LONG: Duration = Duration::from_secs(20);

// Words of scratch memory.
const FIRST: usize = 0;
const SECOND: usize = 1;
const WRITTEN: usize = 2;
const MET: usize = 3;
const FLAG: usize = 4;
const OTHER: usize = 5;
const LEFT: usize = 6;

fn controller(job: &Job) -> WindowController {
    let builder = WindowController::builder(&job.world).threads(THREADS);
    builder.name("shared").build().unwrap()
}

/// What `work` returns on each of the threads.
pub fn on_threads<R: Send>(work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || work(thread)))
            .collect();
        let results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.collect()
    })
}

/// Changes two words that are equal whenever nobody writes.
fn change(scratch: &Scratch) {
    let (first, second) = (scratch.word(FIRST), scratch.word(SECOND));
    let next = first.load(Relaxed) + 1;
    assert_eq!(second.load(Relaxed), next - 1, "beside a writer");
    first.store(next, Relaxed);
    thread::yield_now();
    second.store(next, Relaxed);
}

fn look(scratch: &Scratch) {
    let first = scratch.word(FIRST).load(Relaxed);
    assert_eq!(first, scratch.word(SECOND).load(Relaxed), "beside a writer");
}

fn mixed_operations(scratch: &Scratch, shared: &SharedController<'_>, rounds: usize) {
    let mut written = 0;
    let soon = Duration::from_micros(50);
    for round in 0..rounds {
        let writing = match round % 6 {
            0 => Some(shared.write()),
            1 => shared.try_write(),
            2 => shared.write_timeout(soon).ok(),
            _ => None,
        };
        if let Some(writing) = writing {
            change(scratch);
            written += 1;
            if round % 4 == 0 {
                let _reading = writing.downgrade();
                look(scratch);
            }
            continue;
        }
        let reading = match round % 6 {
            3 => shared.try_read(),
            4 => shared.read_timeout(soon).ok(),
            _ => Some(shared.read()),
        };
        if reading.is_some() {
            look(scratch);
        }
    }
    scratch.word(WRITTEN).fetch_add(written, SeqCst);
}

fn counts_agree(job: &Job) {
    job.world.barrier();
    let written = job.scratch.word(WRITTEN).load(SeqCst);
    assert_eq!(job.scratch.word(FIRST).load(SeqCst), written);
}

fn threads_of_all_ranks_exclude_each_other(job: &Job) {
    let mut ctrl = controller(job);
    let shared = ctrl.shared().unwrap();
    let scratch = &job.scratch;
    on_threads(|_| mixed_operations(scratch, &shared, 300));
    drop(shared);
    counts_agree(job);
    still_works(&mut ctrl);
    ctrl.close().unwrap();
}

fn threads_of_all_ranks_read_at_the_same_time(job: &Job) {
    let scratch = &job.scratch;
    let mut ctrl = controller(job);
    let shared = ctrl.shared().unwrap();
    let all = job.size as usize * THREADS;
    on_threads(|_| {
        let _reading = shared.read();
        scratch.meet(MET, all as i32);
    });
    job.world.barrier();
    assert!(shared.write_timeout(LONG).is_ok(), "all have left");
}

/// While a thread waits to write, no thread of any rank begins to read, but one that reads already.
fn a_waiting_thread_stops_readers_of_all_ranks(job: &Job) {
    let scratch = &job.scratch;
    let mut ctrl = controller(job);
    let shared = ctrl.shared().unwrap();
    let reading = (job.rank == 0).then(|| shared.read());
    job.world.barrier();
    thread::scope(|scope| {
        if job.rank == job.size - 1 {
            scope.spawn(|| {
                drop(shared.write());
                scratch.raise(FLAG);
            });
        }
        let late = scope.spawn(|| {
            until("a writer", || shared.try_read().is_none());
        });
        late.join().unwrap();
        assert!(!scratch.is_raised(FLAG), "a thread reads");
        scratch.meet(MET, job.size);
        if reading.is_some() {
            drop(shared.read());
        }
        drop(reading);
        scratch.wait_for(FLAG);
    });
}

/// Two threads of a rank write all the time, and each thread of the others reads now and then.
fn readers_of_other_ranks_are_not_starved(job: &Job) {
    let scratch = &job.scratch;
    let mut ctrl = controller(job);
    let shared = ctrl.shared().unwrap();
    let rank = job.rank;
    let readers = job.size as usize * THREADS - 2;
    on_threads(|thread| {
        if rank == 0 && thread < 2 {
            while scratch.word(MET).load(Relaxed) < readers as u64 {
                drop(shared.write());
            }
        } else {
            (0..20).for_each(|_| drop(shared.read_timeout(LONG).unwrap()));
            scratch.word(MET).fetch_add(1, SeqCst);
        }
    });
}

fn ranks_with_one_thread_and_with_several(job: &Job) {
    let mut ctrl = controller(job);
    if job.rank % 2 == 0 {
        let shared = ctrl.shared().unwrap();
        let scratch = &job.scratch;
        on_threads(|_| mixed_operations(scratch, &shared, 200));
    } else {
        for _ in 0..200 {
            look_and_change(job, &mut ctrl);
        }
    }
    counts_agree(job);
}

fn look_and_change(job: &Job, ctrl: &mut WindowController) {
    ctrl.read_with(|_| look(&job.scratch));
    let _writing = ctrl.write();
    change(&job.scratch);
    job.scratch.word(WRITTEN).fetch_add(1, SeqCst);
}

fn collective_calls_between_shared_uses(job: &Job) {
    let mut ctrl = controller(job);
    for round in 0..10 {
        let shared = ctrl.shared().unwrap();
        let scratch = &job.scratch;
        on_threads(|_| mixed_operations(scratch, &shared, 12));
        drop(shared);
        let value = match ctrl.single_write() {
            Access::Writer(fence) => fence.share(round),
            Access::Excluded(fence) => fence.collect(),
        };
        assert_eq!(value, Ok(round));
    }
    counts_agree(job);
}

/// What the report says: the rank that has the lock, if that is this one, too, and the line.
fn a_thread_is_named_in_the_report(job: &Job) {
    let mut ctrl = controller(job);
    let (has_lock, is_one_node) = (job.rank == 0, ctrl.nodes() == 1);
    let shared = ctrl.shared().unwrap();
    let limit = Duration::from_millis(60);
    let writing = has_lock.then(|| shared.write());
    job.world.barrier();
    on_threads(|thread| {
        let timeout = match thread {
            0 => shared.write_timeout(limit).map(drop),
            _ => shared.read_timeout(limit).map(drop),
        };
        let Err(LockError::Timeout { report, .. }) = timeout else {
            panic!("{timeout:?}");
        };
        let text = report.to_string();
        assert!(!is_one_node || text.contains("rank 0"), "{text}");
        let is_here = text.contains("in another thread of this rank");
        // Over several hosts a rank of another one is not looked at.
        assert!(!has_lock || is_here, "{text}");
        assert!(!has_lock || text.contains("shared.rs:"), "{text}");
    });
    job.world.barrier();
    drop(writing);
}

fn panics_in_threads(job: &Job) {
    let mut ctrl = controller(job);
    let shared = ctrl.shared().unwrap();
    for writes in [true, false] {
        let outcome = thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _guards = match writes {
                        true => (Some(shared.write()), None),
                        false => (None, Some(shared.read())),
                    };
                    panic!("on purpose");
                })
                .join()
        });
        assert!(outcome.is_err());
    }
    on_threads(|_| drop(shared.write_timeout(LONG).unwrap()));
    drop(shared);
    still_works(&mut ctrl);
}

fn numbers_of_threads_are_compared(job: &Job) {
    let builder = WindowController::builder(&job.world).threads(1 + job.rank as usize);
    match builder.build() {
        Ok(_) => assert_eq!(job.size, 1),
        Err(error) if job.rank == 0 => assert!(matches!(error, CreateError::OtherRank { .. })),
        Err(error) => differs(Err(error), "number of threads"),
    }
}

/// A message that MPI sends in steps arrives while the sender's thread waits for the lock.
fn a_waiting_thread_lets_mpi_make_progress(job: &Job) {
    if job.size < 2 || mpi::environment::threading_support() < mpi::Threading::Multiple {
        return;
    }
    let mut ctrl = controller(job);
    let shared = ctrl.shared().unwrap();
    let large = vec![7_u64; 1 << 18];
    let writing = (job.rank == 1).then(|| shared.write());
    job.world.barrier();
    match job.rank {
        0 => mpi::request::scope(|scope| {
            let to = job.world.process_at_rank(1);
            let request = to.immediate_send(scope, &large[..]);
            thread::scope(|threads| {
                threads.spawn(|| drop(shared.read_timeout(LONG).unwrap()));
            });
            request.wait();
        }),
        1 => {
            let (received, _) = job.world.process_at_rank(0).receive_vec::<u64>();
            assert_eq!(received, large);
            drop(writing);
        }
        _ => {}
    }
}

fn reading_threads_are_seen_from_outside(job: &Job) {
    let mut ctrl = controller(job);
    let shared = ctrl.shared().unwrap();
    let first = job.rank == 0;
    on_threads(|thread| {
        // One thread alone, whichever counter is its own.
        let reading = (first && thread == THREADS - 1).then(|| shared.read());
        if reading.is_some() {
            let host = inspect::look();
            let holders = host.communicators.iter().flat_map(|communicator| {
                let objects = communicator.objects.iter();
                let named = objects.filter(|object| object.name == "shared");
                named.filter_map(|object| object.holders.as_ref())
            });
            let roles: Vec<_> = holders
                .flatten()
                .map(|holder| (holder.rank, holder.role.clone()))
                .collect();
            let reads = |(rank, role): &(Option<u32>, String)| *rank == Some(0) && role == "reads";
            assert!(roles.iter().any(reads), "{roles:?}");
        }
    });
    job.world.barrier();
}

/// Rank 0 waits for rank 1 in one thread, and rank 1 waits for rank 0, another thread of which then goes on. Once the
/// waiting thread waits for the shared controller, and once for an object of its own.
fn a_rank_with_other_threads_is_in_no_deadlock(job: &Job) {
    let scratch = &job.scratch;
    on_deadlock(OnDeadlock::Error);
    // Several times as long as it takes to find a deadlock.
    let pause = Duration::from_secs(4);
    let mut ctrl = controller(job);
    let mut other = WindowController::builder(&job.world)
        .threads(THREADS)
        .build()
        .unwrap();
    let mut mutex = Mutex::new(&job.world).unwrap();
    for (own, met) in [(false, OTHER), (true, LEFT)] {
        match job.rank {
            0 => {
                let shared = ctrl.shared().unwrap();
                let other = other.shared().unwrap();
                thread::scope(|scope| {
                    scope.spawn(|| {
                        let _writing = shared.write();
                        scratch.meet(met, 2);
                        thread::sleep(pause);
                    });
                    until("the other rank", || scratch.word(met).load(SeqCst) == 2);
                    let waited = match own {
                        true => mutex.lock_timeout(Duration::MAX).map(drop),
                        false => other.write_timeout(Duration::MAX).map(drop),
                    };
                    assert_eq!(waited, Ok(()));
                });
            }
            1 => {
                let (_writing, _locked) = match own {
                    true => (None, Some(mutex.lock())),
                    false => (Some(other.write()), None),
                };
                scratch.meet(met, 2);
                let start = Instant::now();
                let waited = ctrl.read_timeout(Duration::MAX).map(drop);
                assert_eq!(waited, Ok(()));
                assert!(start.elapsed() > pause / 2, "it has waited for the thread");
            }
            _ => {}
        }
        job.world.barrier();
    }
}

/// MPI is initialized for one thread. The others lock, and call no MPI.
fn threads_that_must_not_call_mpi() {
    let asked = mpi::Threading::Funneled;
    let (universe, _) = mpi::initialize_with_threading(asked).expect("MPI is initialized once");
    let mut ctrl = mpisync::sync(&universe.world()).unwrap();
    let shared = ctrl.shared().expect("there is one node");
    on_threads(|_| {
        for _ in 0..50 {
            {
                let _writing = shared.write();
                // The others wait as long as it takes to poll MPI.
                thread::sleep(Duration::from_micros(200));
            }
            drop(shared.read());
        }
    });
    drop(shared);
    drop(ctrl);
}

/// Threads that nobody joins poll MPI for as long as they wait, and MPI is finalized meanwhile.
fn threads_that_wait_while_mpi_ends() {
    let universe = mpisync::initialize().expect("MPI is initialized once");
    let ctrl = mpisync::sync(&universe.world()).unwrap();
    let ctrl: &'static mut WindowController = Box::leak(Box::new(ctrl));
    let shared: &'static SharedController<'static> = Box::leak(Box::new(ctrl.shared().unwrap()));
    let rank = universe.world().rank();
    let has_lock = (rank == 0).then(|| shared.write());
    universe.world().barrier();
    for thread in 0..4 {
        thread::spawn(move || match thread % 2 {
            0 => drop(shared.read_timeout(Duration::MAX)),
            _ => drop(shared.write_timeout(Duration::MAX)),
        });
    }
    thread::sleep(Duration::from_millis(30));
    drop(universe);
    let error = shared.read_timeout(LONG).map(drop);
    assert!(
        has_lock.is_some() || error == Err(LockError::Finalized),
        "{error:?}"
    );
    std::mem::forget(has_lock);
}

/// MPI is initialized for one thread, and there are several nodes.
fn threads_that_must_send_messages() {
    let asked = mpi::Threading::Funneled;
    let (universe, provided) =
        mpi::initialize_with_threading(asked).expect("MPI is initialized once");
    let world = universe.world();
    let builder = WindowController::builder(&world).progress_thread(false);
    let mut ctrl = builder.build().expect("it takes no thread");
    let shared = ctrl.shared().map(drop);
    if provided == mpi::Threading::Multiple {
        return assert!(shared.is_ok());
    }
    let error = shared.expect_err("threads must not send");
    assert!(
        matches!(error, CreateError::SharedByThreads { .. }),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("mpisync::initialize()"), "{text}");
}
