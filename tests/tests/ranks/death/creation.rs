//! A rank is killed, or stays away, while the others make an object.

use std::fs;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::traits::*;
use mpisync::ndarray::Ix1;
use mpisync::{Counter, CreateError, Region};
use mpisync_tests::job::Job;
use mpisync_tests::launch::Launch;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;

use super::{COUNT, die, lock_works, ready, survived, victim, victim_dies};

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    rank_dies_before_an_object_is_made,
    rank_dies_while_objects_are_made,
    rank_dies_while_a_communicator_gets_its_first_object,
    rank_stays_away_from_an_object,
    rank_stays_away_from_the_first_object,
);

mpisync_tests::cases!(on []:
    makes_objects,
);

mpisync_tests::cases!(tests on [4] with [OneNode]:
    a_killed_job_leaves_no_name_in_dev_shm,
);

/// Far more than it takes to notice a death, and less than any limit of a test.
const SOON: Duration = Duration::from_secs(10);
/// How long the ranks wait for one that does not come.
const LIMIT: Duration = Duration::from_secs(1);

/// A word of scratch memory.
const DONE: usize = 4;

fn assert_rank_died<T>(job: &Job, made: Result<T, CreateError>) {
    match made.map(drop) {
        Err(CreateError::RankDied { rank }) => assert_eq!(rank, victim(job)),
        other => panic!("{other:?}"),
    }
}

fn rank_dies_before_an_object_is_made(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    victim_dies(job);
    let start = Instant::now();
    for _ in 0..3 {
        assert_rank_died(job, Counter::<u64>::new(&job.world));
        assert_rank_died(job, Region::<u8, Ix1>::new(&job.world, 1 << 20));
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    // Older objects work as before.
    lock_works(job, &mut ctrl);
    survived(job)
}

/// At any moment. Some may have made an object more than the others: all know at the next one.
fn rank_dies_while_objects_are_made(job: &Job) {
    let _ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        ready(job);
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(u64::from(std::process::id() % 100)));
            die()
        });
    }
    let error = loop {
        let made = Counter::<u64>::new(&job.world).map(drop);
        if let Err(error) = made.and_then(|()| Region::<u8, Ix1>::new(&job.world, 5000).map(drop)) {
            break error;
        }
    };
    assert_rank_died::<()>(job, Err(error));
    survived(job)
}

/// What is known of its ranks from another communicator counts.
fn rank_dies_while_a_communicator_gets_its_first_object(job: &Job) {
    let _ctrl = mpisync::sync(&job.world).unwrap();
    let comm = job.world.duplicate();
    victim_dies(job);
    let start = Instant::now();
    assert_rank_died(job, mpisync::sync(&comm));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    std::mem::forget(comm);
    survived(job)
}

fn make(job: &Job) -> Result<Counter<u64>, CreateError> {
    let builder = Counter::builder(&job.world).anywhere();
    builder.create_timeout(LIMIT).build()
}

/// The victim comes once all others have given up, and is told.
fn stay_away(job: &Job) {
    if job.rank == victim(job) {
        until("the others to give up", || {
            job.scratch.word(COUNT).load(SeqCst) == job.size as u64 - 1
        });
        let error = make(job).expect_err("the others are gone");
        let is_told = matches!(
            error,
            CreateError::OtherRank { .. } | CreateError::Timeout { .. }
        );
        if is_told {
            job.scratch.raise(DONE);
        }
        job.scratch.wait_for(DONE);
        die();
    }
}

fn gives_up(job: &Job, names: impl Fn(&[i32]) -> bool) {
    let start = Instant::now();
    for _ in 0..2 {
        match make(job) {
            Err(CreateError::Timeout { waited, missing }) => {
                assert!(waited > Duration::ZERO);
                assert!(names(&missing), "{missing:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    job.scratch.word(COUNT).fetch_add(1, SeqCst);
    job.scratch.wait_for(DONE);
    survived(job)
}

fn rank_stays_away_from_an_object(job: &Job) {
    let ctrl = mpisync::sync(&job.world).unwrap();
    stay_away(job);
    gives_up(job, |missing| match missing {
        [] => ctrl.nodes() > 1,
        missing => missing == [victim(job)],
    })
}

/// Of a communicator, on which nothing is shared yet.
fn rank_stays_away_from_the_first_object(job: &Job) {
    stay_away(job);
    gives_up(job, |missing| match job.rank {
        0 => missing == [victim(job)],
        _ => missing.is_empty(),
    })
}

/// Until it is killed: memory of all kinds.
fn makes_objects(job: &Job) {
    loop {
        let comm = job.world.duplicate();
        let mut region = Region::<u64, Ix1>::new(&comm, 100_000).unwrap();
        region.update(|items| items.fill(1)).unwrap();
        let mut ctrl = mpisync::sync(&comm).unwrap();
        match ctrl.single_write() {
            mpisync::Access::Writer(fence) => drop(fence.share(vec![1_u8; 200_000]).unwrap()),
            mpisync::Access::Excluded(fence) => drop(fence.collect::<Vec<u8>>().unwrap()),
        }
    }
}

fn names_in_dev_shm() -> Vec<String> {
    let names = fs::read_dir("/dev/shm").expect("Linux has it");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("mpisync-"))
        .collect();
    names.sort();
    names
}

fn a_killed_job_leaves_no_name_in_dev_shm(ranks: usize) {
    let mut rng = Rng::new(1);
    let before = names_in_dev_shm();
    for _ in 0..25 {
        let mut job = Launch::new(ranks, ["death::creation::makes_objects"]).start();
        let started = job.wait_for_line("run death::creation::makes_objects", SOON);
        assert!(started, "{}", job.output());
        thread::sleep(Duration::from_micros(rng.below(100_000)));
        assert!(!job.is_over(), "{}", job.output());
        job.kill();
        let left = || {
            names_in_dev_shm()
                .into_iter()
                .find(|name| !before.contains(name))
        };
        until("no name to be left", || left().is_none());
    }
}
