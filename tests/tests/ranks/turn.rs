//! Turns: ranks one after the other, in the order of their numbers.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::sync::TurnError;
use mpisync::{Counter, CreateError, Transport, Turn, WaitReport};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    turn_goes_in_order,
    turn_is_made_anew,
    turn_excludes,
    turn_runs_each,
    turn_times_out,
    turn_tries,
    turn_survives_panics,
    turn_on_parts,
    turns_beside_each_other,
    turns_come_and_go,
    turn_shows_its_state,
    turn_through_windows,
);

/// Checks that it is this rank's turn, in that round.
fn mine(job: &Job, size: i32, rank: i32, round: u64) {
    let before = job.scratch.word(0).fetch_add(1, SeqCst);
    assert_eq!(before, round * size as u64 + rank as u64);
}

fn turn_goes_in_order(job: &Job) {
    let mut turn = Turn::new(&job.world).unwrap();
    assert_eq!((turn.rank(), turn.size()), (job.rank, job.size));
    for round in 0..1_000 {
        let _mine = turn.take();
        mine(job, job.size, job.rank, round);
    }
    turn.close().unwrap();
}

/// Repeatedly: a counter gives each rank its own number.
fn turn_is_made_anew(job: &Job) {
    for _ in 0..3 {
        let counter = Counter::<i32>::new(&job.world).unwrap();
        let mut turn = Turn::new(&job.world).unwrap();
        let guard = turn.take();
        let number = counter.next();
        drop(guard);
        assert_eq!(number, job.rank);
    }
    let mut turn = Turn::new(&job.world).unwrap();
    for _ in 0..3 {
        let counter = Counter::<i32>::new(&job.world).unwrap();
        assert_eq!(turn.each(|_| counter.next()), job.rank);
    }
}

fn turn_excludes(job: &Job) {
    let mut turn = Turn::new(&job.world).unwrap();
    let inside = job.scratch.word(1);
    for round in 0..50 {
        let _mine = turn.take();
        assert_eq!(inside.fetch_add(1, SeqCst), 0, "another rank has its turn");
        if round % 10 == 0 {
            thread::sleep(Duration::from_micros(300));
        }
        inside.fetch_sub(1, SeqCst);
    }
}

fn turn_runs_each(job: &Job) {
    let mut turn = Turn::new(&job.world).unwrap();
    for round in 0..20 {
        let twice = turn.each(|rank| {
            mine(job, job.size, rank, round);
            2 * rank
        });
        assert_eq!(twice, 2 * job.rank);
    }
}

/// A rank that is early gives up, does something else, and takes its turn later.
fn turn_times_out(job: &Job) {
    let mut turn = Turn::new(&job.world).unwrap();
    let given_up = job.scratch.word(1);
    if job.rank == 0 {
        let others = job.size as u64 - 1;
        until("the others to give up", || given_up.load(SeqCst) == others);
    } else {
        let limit = Duration::from_millis(5);
        let error = turn.take_timeout(limit).unwrap_err();
        let timeout = TurnError::Timeout {
            waited: limit,
            report: WaitReport::default(),
        };
        assert_eq!(error, timeout);
        given_up.fetch_add(1, SeqCst);
    }
    for round in 0..3 {
        let _mine = turn.take_timeout(Duration::MAX).unwrap();
        mine(job, job.size, job.rank, round);
    }
}

fn turn_tries(job: &Job) {
    let mut turn = Turn::new(&job.world).unwrap();
    if job.rank != 0 {
        assert!(turn.try_take().is_none());
    }
    job.world.barrier();
    for round in 0..5 {
        until("this rank's turn", || {
            let taken = turn.try_take();
            if taken.is_some() {
                mine(job, job.size, job.rank, round);
            }
            taken.is_some()
        });
    }
}

fn turn_survives_panics(job: &Job) {
    let mut turn = Turn::new(&job.world).unwrap();
    for round in 0..6 {
        let panics = round % job.size as u64 == job.rank as u64;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            turn.each(|rank| {
                mine(job, job.size, rank, round);
                if panics {
                    resume_unwind(Box::new("on purpose"));
                }
            });
        }));
        assert_eq!(outcome.is_err(), panics);
    }
}

fn turn_on_parts(job: &Job) {
    let half = Color::with_value(job.rank % 2);
    // In reverse order.
    let comm = job.world.split_by_color_with_key(half, -job.rank).unwrap();
    let mut turn = Turn::builder(&comm).name("half").build().unwrap();
    let word = job.scratch.word(job.rank as usize % 2);
    for round in 0..20 {
        let _mine = turn.take();
        let before = word.fetch_add(1, SeqCst);
        assert_eq!(before, round * comm.size() as u64 + comm.rank() as u64);
    }
}

fn turns_beside_each_other(job: &Job) {
    let mut turns: Vec<Turn> = (0..20).map(|_| Turn::new(&job.world).unwrap()).collect();
    for round in 0..5 {
        for (number, turn) in turns.iter_mut().enumerate() {
            turn.each(|rank| {
                let before = job.scratch.word(10 + number).fetch_add(1, SeqCst);
                assert_eq!(before, round * job.size as u64 + rank as u64);
            });
        }
    }
}

fn turns_come_and_go(job: &Job) {
    for round in 0..50 {
        let mut turn = Turn::new(&job.world).unwrap();
        turn.each(|rank| mine(job, job.size, rank, round));
        if round % 3 == 0 {
            turn.close().unwrap();
        }
    }
}

fn turn_shows_its_state(job: &Job) {
    let mut turn = Turn::builder(&job.world).name("printing").build().unwrap();
    let guard = turn.take();
    let shown = format!("{guard:?}");
    let is_mine = format!("turn_of: {}", job.rank);
    assert!(
        shown.contains("printing") && shown.contains(&is_mine),
        "{shown}"
    );
}

fn turn_through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Turn::builder(&comm).transport(Transport::Windows);
    let mut turn = match builder.build() {
        Ok(turn) => turn,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    for round in 0..20 {
        turn.each(|rank| mine(job, job.size, rank, round));
    }
}
