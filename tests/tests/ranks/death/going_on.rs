//! The ranks that are left go on with the objects that they have, also with what all do together.

use std::env;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use mpi::traits::Communicator;
use mpisync::ndarray::{Array1, Ix1};
use mpisync::sync::{BarrierError, TurnError};
use mpisync::{Access, Barrier, Collective, CollectiveError, CreateError};
use mpisync::{Region, RegionError, Turn, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

use super::{
    LONG, assert_rank_died, await_death, die, ready, survived, survived_with, two_die, victim,
    victim_dies, victim_process,
};

mpisync_tests::cases!(on [2, 4, 6] with [LastRankDies]:
    after_a_death_outside_of_calls,
    after_a_death_in_a_collective_call,
    after_all_have_left_a_call_differently,
    after_the_death_of_a_writer,
    after_the_death_of_a_collector,
    after_a_death_at_a_barrier,
    after_a_death_behind_a_barrier,
    after_a_death_at_a_barrier_that_is_tried,
    after_waits_for_one_that_agrees,
    after_a_death_with_the_turn,
    after_a_death_behind_the_turn,
    after_the_death_of_a_root,
);
mpisync_tests::cases!(on []: two_die_one_after_the_other, one_more_dies_in_the_agreement);
mpisync_tests::cases!(tests on [4] with [OneNode]:
    after_deaths_in_the_agreement = |ranks| {
        for delay in ["0", "100", "300", "600", "1000", "2000", "5000"] {
            let case = "going_on::one_more_dies_in_the_agreement";
            two_die(ranks, case, &[(DELAY, delay)]);
        }
    },
);
mpisync_tests::cases!(tests on [4, 6] with [OneNode]:
    after_two_deaths = |ranks| two_die(ranks, "going_on::two_die_one_after_the_other", &[]),
);

// Words of scratch memory.
const ORDER: usize = 20;

/// How long after it has come to the agreement the second rank is killed, in microseconds.
const DELAY: &str = "TEST_DELAY";

/// The length of the region.
const ITEMS: usize = 3_000;

/// Objects with calls that all ranks make together.
struct Objects {
    ctrl: WindowController,
    barrier: Barrier,
    turn: Turn,
    region: Region<u64, Ix1>,
}

impl Objects {
    fn new(job: &Job) -> Self {
        let mut objects = Objects {
            ctrl: mpisync::sync(&job.world).unwrap(),
            barrier: Barrier::new(&job.world).unwrap(),
            turn: Turn::new(&job.world).unwrap(),
            region: Region::new(&job.world, [ITEMS]).unwrap(),
        };
        objects.work(job, &(0..job.size).collect::<Vec<_>>());
        objects
    }

    /// All of them work among the ranks that are `left`.
    fn work(&mut self, job: &Job, left: &[i32]) {
        let mine = left.iter().position(|&rank| rank == job.rank);
        let mine = mine.expect("this rank is left") as u64;
        let size = left.len() as u64;
        for round in 0..12 {
            let writer = left[round % left.len()];
            assert_eq!(step(&mut self.ctrl).unwrap(), job.rank);
            let length = [1, 400, 5_000, 200_000][round % 4];
            for value in [1, 2, 3_u8] {
                let shared = share(&mut self.ctrl, writer, vec![value; length]).unwrap();
                assert_eq!(shared, vec![value; length]);
            }
            self.barrier.wait_timeout(LONG).unwrap();
            self.take_turn(job, mine, size);
            self.change_region(job, writer, round as u64);
        }
    }

    /// The ranks come in the order of their numbers.
    fn take_turn(&mut self, job: &Job, mine: u64, size: u64) {
        let order = job.scratch.word(ORDER);
        self.barrier.wait_timeout(LONG).unwrap();
        if mine == 0 {
            order.store(0, SeqCst);
        }
        self.barrier.wait_timeout(LONG).unwrap();
        {
            let _mine = self.turn.take_timeout(LONG).unwrap();
            assert_eq!(order.fetch_add(1, SeqCst), mine);
        }
        self.barrier.wait_timeout(LONG).unwrap();
        assert_eq!(order.load(SeqCst), size);
    }

    fn change_region(&mut self, job: &Job, writer: i32, round: u64) {
        let items = Array1::from_elem(ITEMS, round);
        let data = (job.rank == writer).then_some(&items);
        self.region.set(writer, data, [0]).unwrap();
        assert_eq!(
            self.region.read_timeout(LONG).unwrap().sum(),
            round * ITEMS as u64
        );
        self.barrier.wait_timeout(LONG).unwrap();
        let first = self.region.update_on(writer, |items| {
            items[0] += 1;
            Ok::<_, CollectiveError>(items[0])
        });
        assert_eq!(first.unwrap(), round + 1);
        assert_eq!(self.region.read_timeout(LONG).unwrap()[0], round + 1);
        self.barrier.wait_timeout(LONG).unwrap();
    }

    fn close(self) {
        self.region.close().unwrap();
        self.turn.close().unwrap();
        self.barrier.close().unwrap();
        self.ctrl.close().unwrap();
    }
}

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    Ok(ctrl.rank())
}

#[mpisync::collective]
fn broken_step(ctrl: &mut WindowController, dies: bool) -> Result<(), CollectiveError> {
    if dies { die() } else { Ok(()) }
}

/// Begins a fenced call, at one place of the source.
fn begin(ctrl: &mut WindowController, writer: i32) -> Result<Access<'_>, CollectiveError> {
    ctrl.on(writer)?.single_write_timeout(LONG)
}

fn share(
    ctrl: &mut WindowController,
    writer: i32,
    value: Vec<u8>,
) -> Result<Vec<u8>, CollectiveError> {
    match begin(ctrl, writer)? {
        Access::Writer(fence) => fence.share(value),
        Access::Excluded(fence) => fence.collect(),
    }
}

/// Agrees on the ranks that are left, and goes on with the old objects.
fn go_on(job: &Job, mut objects: Objects) -> ! {
    objects.work(job, &agree(job, 1));
    objects.close();
    survived(job)
}

/// Agrees on the ranks that are left, which are all but the last ones. Returns them.
fn agree(job: &Job, dead: i32) -> Vec<i32> {
    let left = mpisync::survivors(&job.world).unwrap();
    assert_eq!(left.size(), job.size - dead, "all but the last ranks");
    (0..left.size()).collect()
}

/// Some of the others find out in a collective call.
fn after_a_death_outside_of_calls(job: &Job) {
    let mut objects = Objects::new(job);
    victim_dies(job);
    if job.rank % 2 == 0 {
        assert_rank_died(job, step(&mut objects.ctrl));
    }
    go_on(job, objects)
}

fn after_a_death_in_a_collective_call(job: &Job) {
    let mut objects = Objects::new(job);
    let dies = job.rank == victim(job);
    assert_rank_died(job, broken_step(&mut objects.ctrl, dies));
    assert_rank_died(job, step(&mut objects.ctrl));
    go_on(job, objects)
}

/// One dies in the call, one leaves it without an outcome, and the others want to agree on one.
fn after_all_have_left_a_call_differently(job: &Job) {
    let mut objects = Objects::new(job);
    let call = Collective::enter(&mut objects.ctrl, "a call").unwrap();
    victim_dies(job);
    if job.rank == 0 {
        drop(call);
    } else {
        let agreed = call.agree(&mut objects.ctrl, Ok(Ok::<_, CollectiveError>(())));
        match agreed {
            Err(CollectiveError::RankDied { rank }) => assert_eq!(rank, victim(job)),
            Err(CollectiveError::Failed { rank, .. }) => assert_eq!(rank, 0),
            other => panic!("{other:?}"),
        }
    }
    go_on(job, objects)
}

/// It has the lock, which the others have to take over.
fn after_the_death_of_a_writer(job: &Job) {
    let mut objects = Objects::new(job);
    match begin(&mut objects.ctrl, victim(job)).unwrap() {
        Access::Writer(_fence) => {
            ready(job);
            die();
        }
        Access::Excluded(fence) => assert_rank_died(job, fence.collect::<u8>()),
    }
    let left = mpisync::survivors(&job.world).unwrap();
    if left.rank() == 0 {
        assert!(objects.ctrl.clear_poison().unwrap());
    }
    objects.barrier.wait_timeout(LONG).unwrap();
    // The dead rank is no writer any more.
    let nothing = share(&mut objects.ctrl, victim(job), Vec::new());
    assert_rank_died(job, nothing);
    go_on(job, objects)
}

/// Of a value that takes long.
fn after_the_death_of_a_collector(job: &Job) {
    let mut objects = Objects::new(job);
    let shared = match begin(&mut objects.ctrl, 0).unwrap() {
        Access::Writer(fence) => fence.share(vec![7_u8; 20_000_000]),
        Access::Excluded(fence) if job.rank == victim(job) => {
            ready(job);
            thread::spawn(|| {
                thread::sleep(Duration::from_millis(3));
                die()
            });
            let _ = fence.collect::<Vec<u8>>();
            thread::sleep(LONG);
            unreachable!("it is dead")
        }
        Access::Excluded(fence) => fence.collect(),
    };
    if let Err(error) = shared {
        assert_rank_died(job, Err::<(), _>(error));
    }
    await_death(job);
    go_on(job, objects)
}

/// All others have come to the barrier, and stay there.
fn after_a_death_at_a_barrier(job: &Job) {
    let objects = Objects::new(job);
    if job.rank == victim(job) {
        ready(job);
        thread::sleep(Duration::from_millis(100));
        die();
    }
    victim_process(job);
    match objects.barrier.wait_timeout(LONG) {
        Err(BarrierError::RankDied { rank }) => assert_eq!(rank, victim(job)),
        other => panic!("{other:?}"),
    }
    go_on(job, objects)
}

/// It has come to the barrier, so the others pass.
fn after_a_death_behind_a_barrier(job: &Job) {
    let objects = Objects::new(job);
    if job.rank == victim(job) {
        objects.barrier.try_wait();
        ready(job);
        // On several nodes its signal may have to be sent.
        thread::sleep(Duration::from_millis(100));
        die();
    }
    await_death(job);
    objects.barrier.wait_timeout(LONG).unwrap();
    go_on(job, objects)
}

/// All others have come, and poll.
fn after_a_death_at_a_barrier_that_is_tried(job: &Job) {
    let objects = Objects::new(job);
    victim_dies(job);
    assert!(!objects.barrier.try_wait());
    agree(job, 1);
    until("the others to come", || objects.barrier.try_wait());
    go_on(job, objects)
}

/// Rank 0 goes to agree at once, and the others wait for it elsewhere.
fn after_waits_for_one_that_agrees(job: &Job) {
    let mut objects = Objects::new(job);
    victim_dies(job);
    match job.rank {
        0 => {}
        1 => match objects.turn.take_timeout(Duration::MAX) {
            Err(TurnError::RankDied { rank }) => assert_eq!(rank, victim(job)),
            other => panic!("{other:?}"),
        },
        _ => assert_rank_died(job, share(&mut objects.ctrl, 0, Vec::new())),
    }
    go_on(job, objects)
}

fn after_a_death_with_the_turn(job: &Job) {
    let mut objects = Objects::new(job);
    {
        let _mine = objects.turn.take_timeout(LONG).unwrap();
        if job.rank == victim(job) {
            ready(job);
            die();
        }
    }
    match objects.turn.take_timeout(LONG) {
        Err(TurnError::RankDied { rank }) => assert_eq!(rank, victim(job)),
        other => panic!("{other:?}"),
    }
    go_on(job, objects)
}

fn after_a_death_behind_the_turn(job: &Job) {
    let mut objects = Objects::new(job);
    drop(objects.turn.take_timeout(LONG).unwrap());
    if job.rank == victim(job) {
        ready(job);
        // On several nodes its message may have to be sent.
        thread::sleep(Duration::from_millis(100));
        die();
    }
    await_death(job);
    go_on(job, objects)
}

fn after_the_death_of_a_root(job: &Job) {
    let mut objects = Objects::new(job);
    let nothing: Option<&Array1<u64>> = None;
    let mut set = || match objects.region.set(victim(job), nothing, [0]) {
        Err(RegionError::Call(error)) => assert_rank_died(job, Err::<(), _>(error)),
        other => panic!("{other:?}"),
    };
    if job.rank == victim(job) {
        ready(job);
        die();
    }
    set();
    agree(job, 1);
    set();
    go_on(job, objects)
}

/// Another rank comes to the agreement and is killed there, or in the call of MPI behind it.
fn one_more_dies_in_the_agreement(job: &Job) {
    let mut objects = Objects::new(job);
    victim_dies(job);
    if job.rank == 1 {
        let delay = env::var(DELAY).expect("the test sets it");
        let delay = Duration::from_micros(delay.parse().expect("a number"));
        thread::spawn(move || {
            thread::sleep(delay);
            die()
        });
        let _left = mpisync::survivors(&job.world);
        thread::sleep(LONG);
        unreachable!("it is dead");
    }
    let left = loop {
        match mpisync::survivors(&job.world) {
            Ok(left) if left.size() == job.size - 2 => break left,
            // It has died later.
            Ok(_) => match step(&mut objects.ctrl) {
                Err(CollectiveError::RankDied { rank: 1 }) => {}
                other => panic!("{other:?}"),
            },
            Err(CreateError::RankDied { rank: 1 }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(left.rank(), if job.rank == 0 { 0 } else { job.rank - 1 });
    let left: Vec<i32> = (0..job.size - 1).filter(|&rank| rank != 1).collect();
    objects.work(job, &left);
    objects.close();
    survived_with(job, job.size - 2)
}

/// The second one has gone on with the others after the death of the first.
fn two_die_one_after_the_other(job: &Job) {
    let mut objects = Objects::new(job);
    victim_dies(job);
    objects.work(job, &agree(job, 1));
    let second = job.rank == job.size - 2;
    match broken_step(&mut objects.ctrl, second) {
        Err(CollectiveError::RankDied { rank }) => assert_eq!(rank, job.size - 2),
        other => panic!("{other:?}"),
    }
    objects.work(job, &agree(job, 2));
    objects.close();
    survived_with(job, job.size - 2)
}
