//! The leader of a host is killed, or a whole host does not answer; all other ranks, of all hosts, get an
//! error from what they wait for.

use std::error::Error;
use std::fmt::Display;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::traits::*;
use mpisync::ndarray::Ix1;
use mpisync::sync::{BarrierError, LatchError, OnceError};
use mpisync::{
    Access, Barrier, Batch, CollectiveError, Condvar, Counter, Latch, LockError, Mutex, OnceShared,
    Region, RemoteChannel, Semaphore, Turn, WindowController,
};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;
use mpisync_tests::signals::{Signal, send};

use super::{READY, await_death, die, ready, survived};

mpisync_tests::cases!(on [4] with [SeveralNodes, LastRankDies, Environment(&[("MPISYNC_SILENCE", "4")])]:
    other_leader_dies_idle = |job| leader_dies(job, 1, idle),
    first_leader_dies_idle = |job| leader_dies(job, 0, idle),
    other_leader_dies_reading = |job| leader_dies(job, 1, write_behind_reader),
    first_leader_dies_reading = |job| leader_dies(job, 0, write_behind_reader),
    other_leader_dies_writing = |job| leader_dies(job, 1, read_behind_writer),
    first_leader_dies_writing = |job| leader_dies(job, 0, read_behind_writer),
    other_leader_dies_in_a_fence = |job| leader_dies(job, 1, fence),
    first_leader_dies_in_a_fence = |job| leader_dies(job, 0, fence),
    other_leader_dies_before_a_large_value = |job| leader_dies(job, 1, large_values),
    first_leader_dies_before_a_large_value = |job| leader_dies(job, 0, large_values),
    other_leader_dies_in_a_collective_call = |job| leader_dies(job, 1, collective_call),
    first_leader_dies_in_a_collective_call = |job| leader_dies(job, 0, collective_call),
    other_leader_dies_before_a_barrier = |job| leader_dies(job, 1, barrier),
    first_leader_dies_before_a_barrier = |job| leader_dies(job, 0, barrier),
    other_leader_dies_before_its_turn = |job| leader_dies(job, 1, turn),
    first_leader_dies_before_its_turn = |job| leader_dies(job, 0, turn),
    other_leader_dies_before_it_puts = |job| leader_dies(job, 1, take),
    first_leader_dies_before_it_puts = |job| leader_dies(job, 0, take),
    other_leader_dies_before_it_takes = |job| leader_dies(job, 1, put),
    first_leader_dies_before_it_takes = |job| leader_dies(job, 0, put),
    other_leader_dies_with_a_region = |job| leader_dies(job, 1, region),
    first_leader_dies_with_a_region = |job| leader_dies(job, 0, region),
    other_leader_dies_before_a_region_is_set = |job| leader_dies(job, 1, set),
    first_leader_dies_before_a_region_is_set = |job| leader_dies(job, 0, set),
    other_leader_dies_with_a_mutex = |job| leader_dies(job, 1, mutex),
    first_leader_dies_with_a_mutex = |job| leader_dies(job, 0, mutex),
    other_leader_dies_with_a_permit = |job| leader_dies(job, 1, semaphore),
    first_leader_dies_with_a_permit = |job| leader_dies(job, 0, semaphore),
    other_leader_dies_while_others_count = |job| leader_dies(job, 1, counter),
    first_leader_dies_while_others_count = |job| leader_dies(job, 0, counter),
    other_leader_dies_computing_once = |job| leader_dies(job, 1, once),
    first_leader_dies_computing_once = |job| leader_dies(job, 0, once),
    other_leader_dies_before_a_latch = |job| leader_dies(job, 1, latch),
    first_leader_dies_before_a_latch = |job| leader_dies(job, 0, latch),
    other_leader_dies_before_it_notifies = |job| leader_dies(job, 1, condition),
    first_leader_dies_before_it_notifies = |job| leader_dies(job, 0, condition),
    other_leader_dies_with_a_task = |job| leader_dies(job, 1, batch),
    first_leader_dies_with_a_task = |job| leader_dies(job, 0, batch),
    other_leader_dies_before_close = |job| leader_dies(job, 1, close),
    first_leader_dies_before_close = |job| leader_dies(job, 0, close),
    other_leader_dies_before_creation = |job| leader_dies(job, 1, create),
    first_leader_dies_before_creation = |job| leader_dies(job, 0, create),
);

mpisync_tests::cases!(on [4] with [SeveralNodes, LastRankDies, Environment(&[("MPISYNC_SILENCE", "2")])]:
    other_host_dies = |job| host_dies(job, 1),
    first_host_dies = |job| host_dies(job, 0),
);

mpisync_tests::cases!(on [4] with [SeveralNodes, OwnJob, Environment(&[("MPISYNC_SILENCE", "2")])]:
    other_host_is_silent = |job| is_silent(job, 1, |_| true),
    first_host_is_silent = |job| is_silent(job, 0, |_| true),
    leader_is_silent = |job| is_silent(job, 1, |is_leader| is_leader),
);

mpisync_tests::cases!(on [4] with [SeveralNodes, OwnJob]:
    host_is_stopped_for_a_while,
);

/// How long the ranks may take to get an error. Mostly they need less than a second if a rank of the
/// dead leader's host waits, too; at the latest the host is silent for too long.
const LIMIT: Duration = Duration::from_secs(8);
/// Waits indefinitely, and returns failures as errors.
const FOREVER: Duration = Duration::MAX;

// Words of scratch memory; those of the processes are one for each rank.
const STOPPED: usize = 6;
const INSIDE: usize = 7;
const LEFT: usize = 8;
const PROCESSES: usize = 10;

/// The ranks by host.
struct Hosts {
    /// The leader of each rank's host.
    leader_of: Vec<i32>,
}

impl Hosts {
    fn of(job: &Job) -> Self {
        let node = job.world.split_shared(job.rank);
        let mut leader = job.rank;
        node.process_at_rank(0).broadcast_into(&mut leader);
        let mut leader_of = vec![0; job.size as usize];
        job.world.all_gather_into(&leader, &mut leader_of);
        Self { leader_of }
    }

    fn leaders(&self) -> Vec<i32> {
        let mut leaders = self.leader_of.clone();
        leaders.sort_unstable();
        leaders.dedup();
        leaders
    }
}

type Outcome = Result<(), Box<dyn Error>>;

/// What the ranks do; the victim dies in `strike`, which never returns.
type Situation = fn(&Job, &Victim) -> Outcome;

struct Victim {
    rank: i32,
    is_this: bool,
}

impl Victim {
    /// The victim dies, after the others have had time to get into their waits.
    fn strike(&self, job: &Job) {
        if self.is_this {
            ready(job);
            thread::sleep(Duration::from_millis(200));
            die();
        }
        job.scratch.wait_for(READY);
    }
}

/// Kills a leader in this situation: that of the host of rank 0, or that of the other one. All others
/// get an error that names it in time, also from all that they use later.
fn leader_dies(job: &Job, which: usize, situation: Situation) {
    let leaders = Hosts::of(job).leaders();
    let rank = leaders[which];
    let victim = Victim {
        rank,
        is_this: job.rank == rank,
    };
    let mut objects = Objects::new(job);
    let start = Instant::now();
    let error = situation(job, &victim).expect_err("a rank that the call needs is dead");
    await_death(job);
    let took = start.elapsed();
    assert!(took < LIMIT, "{took:?}: {error}");
    assert_names(&error, rank);
    objects.are_lost(rank);
    survived(job)
}

fn assert_names(error: &impl Display, rank: i32) {
    let text = error.to_string();
    let names = text.contains(&format!("rank {rank} ")) || text.contains("has not answered");
    assert!(names, "{text}");
}

/// Objects that the ranks use after the death.
struct Objects {
    ctrl: WindowController,
    mutex: Mutex<u64>,
    barrier: Barrier,
}

impl Objects {
    fn new(job: &Job) -> Self {
        Self {
            ctrl: mpisync::sync(&job.world).unwrap(),
            mutex: Mutex::with_value(&job.world, 0).unwrap(),
            barrier: Barrier::new(&job.world).unwrap(),
        }
    }

    /// Calls that need the host end with an error that names the rank.
    fn are_lost(&mut self, rank: i32) {
        let start = Instant::now();
        let error = self.barrier.wait_timeout(FOREVER).unwrap_err();
        assert_names(&error, rank);
        // They may be free, and need no answer of that host.
        if let Err(error) = self.ctrl.write_timeout(FOREVER).map(drop) {
            assert_names(&error, rank);
        }
        if let Err(error) = self.mutex.lock_timeout(FOREVER).map(drop) {
            assert_names(&error, rank);
        }
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    }
}

/// Nothing needs the victim but the host.
fn idle(job: &Job, victim: &Victim) -> Outcome {
    let mut ctrl = mpisync::sync(&job.world)?;
    victim.strike(job);
    loop {
        drop(ctrl.write_timeout(FOREVER)?);
        thread::sleep(Duration::from_millis(1));
    }
}

fn write_behind_reader(job: &Job, victim: &Victim) -> Outcome {
    let mut ctrl = mpisync::sync(&job.world)?;
    let reading = victim.is_this.then(|| ctrl.read());
    victim.strike(job);
    drop(reading);
    loop {
        drop(ctrl.write_timeout(FOREVER)?);
        thread::sleep(Duration::from_millis(1));
    }
}

fn read_behind_writer(job: &Job, victim: &Victim) -> Outcome {
    let mut ctrl = mpisync::sync(&job.world)?;
    if victim.is_this {
        let _guard = ctrl.write();
        victim.strike(job);
    }
    victim.strike(job);
    loop {
        drop(ctrl.read_timeout(FOREVER)?);
        thread::sleep(Duration::from_millis(1));
    }
}

fn fence(job: &Job, victim: &Victim) -> Outcome {
    let mut ctrl = WindowController::builder(&job.world)
        .master(victim.rank)
        .build()?;
    match ctrl.single_write_timeout(FOREVER)? {
        Access::Writer(fence) => {
            victim.strike(job);
            fence.share(1)?;
        }
        Access::Excluded(fence) => drop(fence.collect::<i32>()?),
    }
    Ok(())
}

/// Another rank shares large values, which the victim does not collect.
fn large_values(job: &Job, victim: &Victim) -> Outcome {
    let writer = (victim.rank + 1) % job.size;
    let mut ctrl = WindowController::builder(&job.world)
        .master(writer)
        .build()?;
    victim.strike(job);
    loop {
        match ctrl.single_write_timeout(FOREVER)? {
            Access::Writer(fence) => drop(fence.share(vec![7_u64; 100_000])?),
            Access::Excluded(fence) => assert_eq!(fence.collect::<Vec<u64>>()?, [7; 100_000]),
        }
    }
}

#[mpisync::collective]
fn together(ctrl: &mut WindowController, act: impl FnOnce()) -> Result<(), CollectiveError> {
    act();
    Ok(())
}

fn collective_call(job: &Job, victim: &Victim) -> Outcome {
    let mut ctrl = mpisync::sync(&job.world)?;
    Ok(together(&mut ctrl, || {
        if victim.is_this {
            victim.strike(job);
        }
    })?)
}

fn barrier(job: &Job, victim: &Victim) -> Outcome {
    let barrier = Barrier::new(&job.world)?;
    victim.strike(job);
    Ok(barrier.wait_timeout(FOREVER)?)
}

fn turn(job: &Job, victim: &Victim) -> Outcome {
    let mut turn = Turn::new(&job.world)?;
    victim.strike(job);
    loop {
        drop(turn.take_timeout(FOREVER)?);
    }
}

fn take(job: &Job, victim: &Victim) -> Outcome {
    let (producer, consumer) = RemoteChannel::<i32>::new(&job.world, 4)?.split();
    if victim.is_this {
        victim.strike(job);
    }
    drop(producer);
    consumer.take_timeout(FOREVER)?;
    Ok(())
}

fn put(job: &Job, victim: &Victim) -> Outcome {
    let (producer, consumer) = RemoteChannel::<i32>::new(&job.world, 1)?.split();
    if victim.is_this {
        victim.strike(job);
    }
    drop(consumer);
    loop {
        producer
            .put_timeout(1, FOREVER)
            .map_err(|error| error.reason)?;
    }
}

fn region(job: &Job, victim: &Victim) -> Outcome {
    let mut region = Region::<u64, Ix1>::new(&job.world, [1000])?;
    victim.strike(job);
    loop {
        region.write_timeout(FOREVER)?.fill(1);
        assert_eq!(region.read_timeout(FOREVER)?[999], 1);
    }
}

fn set(job: &Job, victim: &Victim) -> Outcome {
    let mut region = Region::<u64, Ix1>::new(&job.world, [100_000])?;
    let data = mpisync::ndarray::Array1::from_elem(100_000, 3_u64);
    victim.strike(job);
    loop {
        let data = (job.rank == 1).then(|| data.view());
        region.set(1, data, [0])?;
    }
}

fn mutex(job: &Job, victim: &Victim) -> Outcome {
    let mut mutex = Mutex::with_value(&job.world, 0_u64)?;
    if victim.is_this {
        let _guard = mutex.lock();
        victim.strike(job);
    }
    victim.strike(job);
    mutex.lock_timeout(FOREVER).map(drop)?;
    Ok(())
}

fn semaphore(job: &Job, victim: &Victim) -> Outcome {
    let semaphore = Semaphore::builder(&job.world, 1)
        .root(victim.rank)
        .build()?;
    if victim.is_this {
        let _permit = semaphore.acquire();
        victim.strike(job);
    }
    victim.strike(job);
    loop {
        // On its host the permit comes back.
        semaphore.acquire_timeout(FOREVER)?.forget();
    }
}

fn counter(job: &Job, victim: &Victim) -> Outcome {
    let counter = Counter::<u64>::builder(&job.world)
        .root(victim.rank)
        .build()?;
    victim.strike(job);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        counter.try_next()?;
        thread::sleep(Duration::from_millis(1));
    }
    // On its host, counting needs no other rank.
    create(job, victim)
}

fn once(job: &Job, victim: &Victim) -> Outcome {
    let once = OnceShared::<u64>::builder(&job.world)
        .root(victim.rank)
        .build()?;
    if victim.is_this {
        once.get_or_init(|| {
            victim.strike(job);
            1
        });
    }
    victim.strike(job);
    once.get_or_try_init(|| Ok::<_, OnceError>(2))?;
    // The next one on its host computes the value.
    create(job, victim)
}

fn latch(job: &Job, victim: &Victim) -> Outcome {
    let latch = Latch::new(&job.world, job.size as u64)?;
    victim.strike(job);
    latch.count_down(1)?;
    Ok(latch.wait_timeout(FOREVER)?)
}

fn condition(job: &Job, victim: &Victim) -> Outcome {
    let mut mutex = Mutex::with_value(&job.world, 0_u64)?;
    let condition = Condvar::new(&job.world)?;
    victim.strike(job);
    let guard = mutex.lock_timeout(FOREVER)?;
    match condition.wait_timeout(guard, FOREVER).map(drop) {
        // All others wait, too.
        Err(LockError::Alone) => create(job, victim),
        waited => Ok(waited?),
    }
}

fn batch(job: &Job, victim: &Victim) -> Outcome {
    let mut batch = Batch::builder(&job.world).tasks(8).build()?;
    if victim.is_this {
        let _task = batch.next_task()?;
        victim.strike(job);
    }
    victim.strike(job);
    while let Some(task) = batch.next_task()? {
        // A task that ends before the death is known may be done.
        thread::sleep(Duration::from_millis(50));
        task.done()?;
    }
    create(job, victim)
}

fn close(job: &Job, victim: &Victim) -> Outcome {
    let barrier = Barrier::new(&job.world)?;
    victim.strike(job);
    Ok(barrier.close()?)
}

fn create(job: &Job, victim: &Victim) -> Outcome {
    victim.strike(job);
    Barrier::new(&job.world)?;
    Ok(())
}

/// All processes of a host are killed at once, so that none of them tells the others.
fn host_dies(job: &Job, which: usize) {
    let hosts = Hosts::of(job);
    let leader = hosts.leaders()[which];
    let barrier = Barrier::new(&job.world).unwrap();
    if hosts.leader_of[job.rank as usize] == leader {
        if job.rank != leader {
            // The test expects this of all ranks but one.
            job.tell("survived");
        }
        job.scratch.meet(STOPPED, 2);
        // Its leader is the first to die, and does not see the other one's death.
        let later = if job.rank == leader { 0 } else { 20 };
        thread::sleep(Duration::from_millis(200 + later));
        die();
    }
    let start = Instant::now();
    let error = barrier.wait_timeout(FOREVER).unwrap_err();
    assert_is_silent(&error, leader);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    let error = Barrier::new(&job.world).unwrap_err();
    assert!(error.to_string().contains("has not answered"), "{error}");
    job.tell("survived");
    job.scratch.meet(LEFT, 2);
    job.leave()
}

fn assert_is_silent(error: &BarrierError, leader: i32) {
    let BarrierError::Lock(LockError::HostSilent { ranks }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((ranks.leader(), ranks.count()), (leader, 2), "{error}");
}

/// Stops these processes, in rank 0's or in the other host, by a process of the host that goes on.
struct Stopped(Vec<u64>);

impl Stopped {
    /// All ranks call this. Returns on one rank of the host that is not `leader`'s: with the stopped
    /// processes.
    fn stop(job: &Job, leader: i32, is_meant: impl Fn(bool) -> bool) -> Option<Self> {
        let hosts = Hosts::of(job);
        let mine = job.scratch.word(PROCESSES + job.rank as usize);
        mine.store(std::process::id().into(), SeqCst);
        job.world.barrier();
        let mut others = (0..job.size).filter(|&rank| hosts.leader_of[rank as usize] != leader);
        if others.next() != Some(job.rank) {
            return None;
        }
        let its = (0..job.size).filter(|&rank| hosts.leader_of[rank as usize] == leader);
        let its = its.filter(|&rank| is_meant(rank == leader));
        let process = |rank| job.scratch.word(PROCESSES + rank as usize).load(SeqCst);
        let stopped = Self(its.map(process).collect());
        // The others are in their waits by then.
        thread::sleep(Duration::from_millis(200));
        stopped.signal(Signal::STOP);
        Some(stopped)
    }

    fn signal(&self, signal: Signal) {
        for &process in &self.0 {
            // It may have ended.
            let _ = send(process, signal);
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}

/// Processes of a host are stopped for longer than the limit. All ranks get an error, these when they
/// go on, and MPI can be finalized.
fn is_silent(job: &Job, which: usize, is_meant: fn(bool) -> bool) {
    let leader = Hosts::of(job).leaders()[which];
    // It does not open.
    let latch = Latch::new(&job.world, 1).unwrap();
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    let ctrl = mpisync::sync(&job.world).unwrap();
    let stopped = Stopped::stop(job, leader, is_meant);
    let start = Instant::now();
    expect_silence(&latch, leader);
    if stopped.is_some() {
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    }
    drop(stopped);
    expect_silence(&latch, leader);
    // A section of the mutex is still alone, where it can be entered.
    for _ in 0..100 {
        if let Ok(mut value) = mutex.lock_timeout(FOREVER) {
            let inside = job.scratch.word(INSIDE);
            assert_eq!(inside.fetch_add(1, SeqCst), 0);
            *value += 1;
            inside.fetch_sub(1, SeqCst);
        }
    }
    // What needs no other host goes on.
    drop(ctrl.read_timeout(FOREVER).unwrap());
}

fn expect_silence(latch: &Latch, leader: i32) {
    match latch.wait_timeout(FOREVER).unwrap_err() {
        LatchError::Lock(LockError::HostSilent { ranks }) => {
            assert_eq!((ranks.leader(), ranks.count()), (leader, 2));
        }
        error => panic!("{error:?}"),
    }
}

/// All processes of a host are stopped, but not for longer than the limit.
fn host_is_stopped_for_a_while(job: &Job) {
    let leader = Hosts::of(job).leaders()[1];
    let barrier = Barrier::new(&job.world).unwrap();
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    let stopped = Stopped::stop(job, leader, |_| true);
    if let Some(stopped) = stopped {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(5));
            drop(stopped);
        });
    }
    barrier.wait_timeout(FOREVER).unwrap();
    *mutex.lock_timeout(FOREVER).unwrap() += 1;
    until("all ranks", || *mutex.lock() == job.size as u64);
    barrier.wait();
}
