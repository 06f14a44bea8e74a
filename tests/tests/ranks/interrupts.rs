//! Waits that end because the program asks them to.

use std::cell::Cell;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync::batch::BatchError;
use mpisync::sync::{BarrierError, SemaphoreError, TurnError};
use mpisync::{
    Access, Barrier, Batch, ChannelError, Collective, CollectiveError, CreateError, LockError,
    Mutex, RemoteChannel, Semaphore, Turn, WindowController, interrupt_waits,
};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

mpisync_tests::cases!(on [2, 3, 4]:
    locks_are_interrupted,
    a_queue_goes_on_without_an_interrupted_rank,
    others_are_interrupted,
    collectors_are_interrupted,
    short_waits_ask_nobody,
);

mpisync_tests::cases!(on [2] with [OwnJob]:
    a_creation_is_interrupted,
    a_meeting_is_interrupted,
);

/// A wait ends within this time, also if there are more ranks than cores and other programs. Mostly it takes 20 ms.
const SOON: Duration = Duration::from_secs(2);
/// When an interruption comes.
const DELAY: Duration = Duration::from_millis(50);

thread_local! {
    static COMES_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn has_come() -> bool {
    COMES_AT.get().is_some_and(|at| Instant::now() >= at)
}

/// Interrupts the wait of `call`, and checks that it ends soon.
#[track_caller]
fn interrupted<T, E>(call: impl FnOnce() -> Result<T, E>) -> E {
    let at = Instant::now() + DELAY;
    COMES_AT.set(Some(at));
    interrupt_waits(Some(has_come));
    let outcome = call();
    interrupt_waits(None);
    let late = at.elapsed();
    assert!(late < SOON, "{late:?} late");
    outcome.err().expect("it is interrupted")
}

const NEVER: Duration = Duration::MAX;
const ABSENT: usize = 0;
const OVER: usize = 1;

/// Rank 0 holds something while the others run `work`.
fn beside(job: &Job, work: impl FnOnce()) {
    if job.rank == 0 {
        job.scratch.word(ABSENT).store(1, SeqCst);
        until("all are through", || {
            job.scratch.word(OVER).load(SeqCst) == job.size as u64 - 1
        });
    } else {
        until("rank 0 holds it", || {
            job.scratch.word(ABSENT).load(SeqCst) == 1
        });
        work();
        job.scratch.word(OVER).fetch_add(1, SeqCst);
    }
    job.world.barrier();
    job.clear_scratch();
}

fn locks_are_interrupted(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut mutex = Mutex::new(&job.world).unwrap();
    if job.rank == 0 {
        let held = mutex.lock();
        beside(job, || ());
        drop(held);
    } else {
        beside(job, || {
            let error = interrupted(|| mutex.lock_timeout(NEVER).map(drop));
            assert_eq!(error, LockError::Interrupted);
            let limit = Duration::from_secs(60);
            let error = interrupted(|| mutex.lock_timeout(limit).map(drop));
            assert_eq!(error, LockError::Interrupted);
        });
    }
    drop(mutex.lock());
    if job.rank == 0 {
        let held = ctrl.write();
        beside(job, || ());
        drop(held);
    } else {
        beside(job, || {
            let error = interrupted(|| ctrl.read_timeout(NEVER).map(drop));
            assert_eq!(error, LockError::Interrupted);
            let error = interrupted(|| ctrl.write_timeout(NEVER).map(drop));
            assert_eq!(error, LockError::Interrupted);
        });
    }
    drop(ctrl.write());
    drop(ctrl.read());
    ctrl.close().unwrap();
    mutex.close().unwrap();
}

/// A rank that was interrupted stands in no queue any more.
fn a_queue_goes_on_without_an_interrupted_rank(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    for _ in 0..3 {
        if job.rank == 0 {
            let held = mutex.lock();
            beside(job, || ());
            drop(held);
        } else {
            beside(job, || {
                interrupted(|| mutex.lock_timeout(NEVER).map(drop));
            });
        }
        *mutex.lock() += 1;
        job.world.barrier();
    }
    assert_eq!(*mutex.lock(), 3 * job.size as u64);
}

fn others_are_interrupted(job: &Job) {
    let semaphore = Semaphore::new(&job.world, 1).unwrap();
    let barrier = Barrier::new(&job.world).unwrap();
    let mut turn = Turn::new(&job.world).unwrap();
    let channel = RemoteChannel::<u64>::new(&job.world, 1).unwrap();
    let mut batch = Batch::builder(&job.world).tasks(1).build().unwrap();
    let permit = (job.rank == 0).then(|| semaphore.acquire());
    if job.rank == 0 {
        let task = batch.next_task().unwrap().unwrap();
        beside(job, || ());
        task.done().unwrap();
    } else {
        beside(job, || {
            let error = interrupted(|| semaphore.acquire_timeout(NEVER).map(drop));
            assert_eq!(error, SemaphoreError::Lock(LockError::Interrupted));
            let error = interrupted(|| barrier.wait_timeout(NEVER));
            assert_eq!(error, BarrierError::Lock(LockError::Interrupted));
            let error = interrupted(|| turn.take_timeout(NEVER).map(drop));
            assert_eq!(error, TurnError::Lock(LockError::Interrupted));
            let error = interrupted(|| channel.take_timeout(NEVER));
            assert_eq!(error, ChannelError::Interrupted);
            let error = interrupted(|| batch.wait_all());
            assert!(
                matches!(error, BatchError::Lock(LockError::Interrupted)),
                "{error}"
            );
        });
    }
    drop(permit);
    // They have arrived, and their turns come.
    barrier.wait();
    drop(turn.take());
    assert_eq!(batch.wait_all().unwrap().done, 1);
    drop(semaphore.acquire());
}

fn collectors_are_interrupted(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    match ctrl.single_write() {
        Access::Writer(fence) => {
            beside(job, || ());
            fence.share(7_u64).unwrap();
        }
        Access::Excluded(fence) => beside(job, || {
            let error = interrupted(|| fence.collect::<u64>());
            assert_eq!(error, CollectiveError::Lock(LockError::Interrupted));
        }),
    }
    // The next call is whole.
    let number = ctrl.single_write();
    let number = number.run(|_| Ok::<u64, CollectiveError>(8));
    assert_eq!(number, Ok(8));
}

/// A rank that was interrupted in a meeting has come to it.
fn a_meeting_is_interrupted(job: &Job) {
    let mut ctrl: WindowController = mpisync::sync(&job.world).unwrap();
    let mut enter = || Collective::enter(&mut ctrl, "step").map(drop);
    if job.rank == 0 {
        beside(job, || ());
        enter().expect("the other has come");
    } else {
        beside(job, || {
            let error = interrupted(&mut enter);
            assert_eq!(error, CollectiveError::Lock(LockError::Interrupted));
        });
    }
    job.world.barrier();
}

fn short_waits_ask_nobody(job: &Job) {
    thread_local! {
        static ASKED: Cell<u32> = const { Cell::new(0) };
    }
    let mut mutex = Mutex::new(&job.world).unwrap();
    interrupt_waits(Some(|| {
        ASKED.set(ASKED.get() + 1);
        false
    }));
    for _ in 0..100 {
        drop(mutex.lock());
    }
    job.world.barrier();
    let asked = ASKED.get();
    if job.rank == 0 {
        let held = mutex.lock();
        beside(job, || std::thread::sleep(DELAY));
        drop(held);
    } else {
        beside(job, || {
            let limit = Duration::from_millis(200);
            let error = mutex.lock_timeout(limit).map(drop);
            assert!(matches!(error, Err(LockError::Timeout { .. })), "{error:?}");
            assert!((2..30).contains(&(ASKED.get() - asked)), "{}", ASKED.get());
        });
    }
    interrupt_waits(None);
}

/// Makes an object alone, is interrupted, and cannot make one afterwards.
fn interrupted_in_creation(comm: &SimpleCommunicator) {
    let error = interrupted(|| Mutex::new(comm).map(drop));
    assert!(matches!(error, CreateError::Interrupted), "{error}");
    for _ in 0..2 {
        let start = Instant::now();
        let error = Mutex::new(comm).map(drop).unwrap_err();
        assert!(matches!(error, CreateError::InterruptedBefore), "{error}");
        assert!(start.elapsed() < SOON);
    }
}

fn a_creation_is_interrupted(job: &Job) {
    let (first, later) = (job.world.duplicate(), job.world.duplicate());
    let mutex = Mutex::new(&later).unwrap();
    if job.rank == 1 {
        interrupted_in_creation(&first);
        interrupted_in_creation(&later);
    }
    job.world.barrier();
    // Calls that were given up are still in MPI.
    std::mem::forget((mutex, first, later));
}
