//! The ranks that are left after a death go on with a communicator of their own.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::{Communicator, CommunicatorCollectives};
use mpisync::{
    Access, Barrier, CollectiveError, Counter, CreateError, Mutex, Turn, WindowController,
};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

use super::{
    COUNT, LONG, assert_rank_died, die, lock_works, ready, survived, survived_with, two_die,
    victim, victim_dies,
};

mpisync_tests::cases!(on [2, 4, 6] with [LastRankDies]:
    survivors_make_new_objects,
    survivors_agree_while_a_rank_dies,
    survivors_agree_twice,
    survivors_of_a_part,
    survivors_after_a_failed_creation,
);
mpisync_tests::cases!(on []: a_survivor_dies_before_it_comes, a_survivor_dies_while_it_waits);
mpisync_tests::cases!(tests on [4] with [OneNode]:
    one_more_dies_before_it_comes = |ranks| two_die(ranks, "survivors::a_survivor_dies_before_it_comes", &[]),
    one_more_dies_while_it_waits = |ranks| two_die(ranks, "survivors::a_survivor_dies_while_it_waits", &[]),
);
mpisync_tests::cases!(on [2]: nobody_has_died, no_object_was_made);

// Words of scratch memory.
const NEXT: usize = 10;

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    Ok(ctrl.rank())
}

/// All that ranks do together works on `left`, which has `size` ranks.
fn together_works(left: &SimpleCommunicator, size: i32) {
    assert_eq!(left.size(), size);
    let mut ctrl = mpisync::sync(left).unwrap();
    for _ in 0..3 {
        assert_eq!(step(&mut ctrl).unwrap(), left.rank());
        let value = match ctrl.single_write_timeout(LONG).unwrap() {
            Access::Writer(fence) => fence.share(17),
            Access::Excluded(fence) => fence.collect(),
        };
        assert_eq!(value.unwrap(), 17);
    }
    let barrier = Barrier::new(left).unwrap();
    let mut turn = Turn::new(left).unwrap();
    for _ in 0..3 {
        barrier.wait_timeout(LONG).unwrap();
        drop(turn.take_timeout(LONG).unwrap());
    }
    ctrl.close().unwrap();
}

fn survivors_make_new_objects(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    let counter = Counter::<u64>::new(&job.world).unwrap();
    victim_dies(job);
    assert_rank_died(job, step(&mut ctrl));
    let left = mpisync::survivors(&job.world).unwrap();
    assert_eq!(left.rank(), job.rank);
    together_works(&left, job.size - 1);
    // The old objects that need no rank in particular go on.
    lock_works(job, &mut ctrl);
    *mutex.lock_timeout(LONG).unwrap() += 1;
    counter.next();
    survived(job)
}

/// They call it before the death is known.
fn survivors_agree_while_a_rank_dies(job: &Job) {
    let _ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        thread::sleep(Duration::from_millis(100));
        die();
    }
    let left = mpisync::survivors(&job.world).unwrap();
    together_works(&left, job.size - 1);
    survived(job)
}

fn survivors_agree_twice(job: &Job) {
    let _ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        ready(job);
        die();
    }
    let left = mpisync::survivors(&job.world).unwrap();
    together_works(&left, job.size - 1);
    let again = mpisync::survivors(&job.world).unwrap();
    together_works(&again, job.size - 1);
    let of_left = mpisync::survivors(&left).unwrap();
    together_works(&of_left, job.size - 1);
    survived(job)
}

/// A communicator of all but rank 0, so that the victim is not the only one of its host there.
fn survivors_of_a_part(job: &Job) {
    let color = i32::from(job.rank > 0);
    let part = job.world.split_by_color(Color::with_value(color));
    let part = part.expect("each rank has a color");
    let mut ctrl = mpisync::sync(&part).unwrap();
    victim_dies(job);
    if color == 1 {
        let left = mpisync::survivors(&part).unwrap();
        together_works(&left, part.size() - 1);
    } else {
        assert_eq!(step(&mut ctrl).unwrap(), part.rank());
    }
    survived(job)
}

fn survivors_after_a_failed_creation(job: &Job) {
    let _ctrl = mpisync::sync(&job.world).unwrap();
    victim_dies(job);
    match mpisync::sync(&job.world) {
        Err(CreateError::RankDied { rank }) => assert_eq!(rank, victim(job)),
        other => panic!("{other:?}"),
    }
    let left = mpisync::survivors(&job.world).unwrap();
    together_works(&left, job.size - 1);
    survived(job)
}

fn a_survivor_dies_before_it_comes(job: &Job) {
    let _ctrl = mpisync::sync(&job.world).unwrap();
    victim_dies(job);
    if job.rank == 1 {
        thread::sleep(Duration::from_millis(100));
        die();
    }
    let left = mpisync::survivors(&job.world).unwrap();
    left_after_two(job, &left)
}

/// Rank 0, which would decide, comes and is killed while it waits for rank 1.
fn a_survivor_dies_while_it_waits(job: &Job) {
    let _ctrl = mpisync::sync(&job.world).unwrap();
    victim_dies(job);
    if job.rank == 0 {
        thread::spawn(|| {
            thread::sleep(Duration::from_millis(100));
            die();
        });
    }
    if job.rank == 1 {
        until("rank 0 to come", || job.scratch.is_raised(NEXT));
        thread::sleep(Duration::from_millis(200));
    }
    job.scratch.raise(NEXT);
    let left = mpisync::survivors(&job.world).unwrap();
    assert_ne!(job.rank, 0, "it is dead");
    left_after_two(job, &left)
}

fn left_after_two(job: &Job, left: &SimpleCommunicator) -> ! {
    together_works(left, job.size - 2);
    job.scratch.word(COUNT).fetch_add(1, SeqCst);
    survived_with(job, job.size - 2)
}

fn nobody_has_died(job: &Job) {
    let _ctrl = mpisync::sync(&job.world).unwrap();
    let all = mpisync::survivors(&job.world).unwrap();
    together_works(&all, job.size);
    job.world.barrier();
}

fn no_object_was_made(job: &Job) {
    let other = job.world.duplicate();
    match mpisync::survivors(&other) {
        Err(CreateError::NoObject) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("nobody knows who lives"),
    }
}
