//! Counters: each number is given out once, on any rank.

use std::sync::atomic::Ordering::SeqCst;

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::sync::{CounterError, Integer};
use mpisync::{Counter, CreateError, Transport, WindowController};
use mpisync_tests::job::Job;

use crate::common::differs;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    counter_counts,
    counter_starts_and_steps,
    counter_types,
    counter_ends_near_its_type,
    counter_roots,
    counter_shares_work,
    counter_adds_anything,
    counter_orders_what_was_done,
    counters_beside_each_other,
    counters_come_and_go,
    counter_arguments_differ,
    counter_through_windows,
);

/// The first word of scratch memory for marks of numbers that were given out.
const MARKS: usize = 100;

/// Marks a number that was not marked before.
fn mark(job: &Job, number: usize) {
    let before = job.scratch.word(MARKS + number).fetch_add(1, SeqCst);
    assert_eq!(before, 0, "number {number} was given out twice");
}

/// Checks that all of the first `count` numbers were given out, and no others.
fn all_marked(job: &Job, count: usize) {
    job.world.barrier();
    for number in 0..count + 50 {
        let marked = job.scratch.word(MARKS + number).load(SeqCst);
        assert_eq!(marked, u64::from(number < count), "number {number}");
    }
    job.world.barrier();
    if job.rank == 0 {
        for number in 0..count {
            job.scratch.word(MARKS + number).store(0, SeqCst);
        }
    }
    job.world.barrier();
}

fn counter_counts(job: &Job) {
    const EACH: usize = 200;
    let counter = Counter::<u64>::new(&job.world).unwrap();
    assert_eq!((counter.rank(), counter.size()), (job.rank, job.size));
    assert_eq!((counter.root(), counter.step()), (0, 1));
    let mut last = None;
    for _ in 0..EACH {
        let number = counter.next();
        assert!(last.is_none_or(|last| number > last), "it goes on");
        last = Some(number);
        mark(job, number as usize);
    }
    let all = EACH * job.size as usize;
    all_marked(job, all);
    assert_eq!(counter.get(), all as u64);
    counter.close().unwrap();
}

fn counter_starts_and_steps(job: &Job) {
    for (start, step) in [(7, 1), (-5, 3), (100, -2), (0, -1)] {
        let builder = Counter::<i32>::builder(&job.world).start(start).step(step);
        let counter = builder.build().unwrap();
        for _ in 0..20 {
            let number = counter.next();
            assert_eq!((number - start) % step, 0);
            mark(job, ((number - start) / step) as usize);
        }
        all_marked(job, 20 * job.size as usize);
        assert_eq!(counter.get(), start + 20 * job.size * step);
    }
}

/// Each type counts to its end, and no further, however often ranks call.
fn counter_types(job: &Job) {
    fn to_the_end<T: Integer + Into<i128>>(job: &Job, start: T, step: T) {
        let builder = Counter::<T>::builder(&job.world).start(start).step(step);
        let counter = builder.root(job.size - 1).build().unwrap();
        let number = |number: T| ((number.into() - start.into()) / step.into()) as usize;
        loop {
            match counter.try_next() {
                Ok(next) => mark(job, number(next)),
                Err(CounterError::UsedUp { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        all_marked(job, 20);
        for _ in 0..job.rounds(300) {
            assert!(counter.try_next().is_err() && counter.try_reserve(2).is_err());
            assert_eq!((&counter).into_iter().next(), None);
        }
        job.world.barrier();
    }
    to_the_end(job, i8::MAX - 19, 1);
    to_the_end(job, i16::MAX - 19, 1);
    to_the_end(job, i32::MAX - 19, 1);
    to_the_end(job, i64::MAX - 19, 1);
    to_the_end(job, u8::MAX - 19, 1);
    to_the_end(job, u16::MAX - 19, 1);
    to_the_end(job, u32::MAX - 19, 1);
    to_the_end(job, u64::MAX - 19, 1);
    to_the_end(job, i8::MIN + 19, -1);
    to_the_end(job, i64::MIN + 19, -1);
    to_the_end(job, i8::MIN + 3, 13);
    to_the_end(job, i64::MAX - 19 * (1 << 40), 1 << 40);
}

/// Many ranks reach an end near that of the type. Each number before it is given out once.
fn counter_ends_near_its_type(job: &Job) {
    for block in [1, 7, 100, u64::MAX] {
        for root in [0, job.size - 1] {
            let builder = Counter::<u8>::builder(&job.world).root(root);
            let counter = builder.build().unwrap();
            for _ in 0..3 {
                for number in counter.up_to_by(250, block) {
                    mark(job, number.into());
                }
            }
            all_marked(job, 250);
            assert_eq!(counter.get(), 250, "nothing is counted beyond the end");
            job.world.barrier();
            let down = Counter::<i8>::builder(&job.world).start(127).step(-3);
            let down = down.root(root).build().unwrap();
            for number in down.up_to_by(-127, block) {
                mark(job, ((127 - i32::from(number)) / 3) as usize);
            }
            all_marked(job, 85);
            assert_eq!(down.get(), -128);
            job.world.barrier();
        }
    }
}

fn counter_roots(job: &Job) {
    for root in 0..job.size {
        let counter = Counter::<i64>::builder(&job.world)
            .root(root)
            .build()
            .unwrap();
        assert_eq!(counter.root(), root);
        for _ in 0..10 {
            mark(job, counter.next() as usize);
        }
        all_marked(job, 10 * job.size as usize);
    }
    // On parts of the world.
    let half = Color::with_value(job.rank % 2);
    let comm = job.world.split_by_color(half).unwrap();
    let root = comm.size() - 1;
    let counter = Counter::<u16>::builder(&comm).root(root).build().unwrap();
    for _ in 0..100 {
        counter.next();
    }
    comm.barrier();
    assert_eq!(i32::from(counter.get()), 100 * comm.size());
}

fn counter_shares_work(job: &Job) {
    const TASKS: usize = 500;
    for block in [1, 7, 64, 1_000] {
        let counter = Counter::<u32>::new(&job.world).unwrap();
        for task in counter.up_to_by(TASKS as u32, block) {
            mark(job, task as usize);
        }
        all_marked(job, TASKS);
        assert_eq!(counter.get(), TASKS as u32);
    }
    let counter = Counter::<i8>::builder(&job.world)
        .start(50)
        .step(-1)
        .build()
        .unwrap();
    for task in counter.up_to(0) {
        mark(job, 50 - task as usize);
    }
    all_marked(job, 50);
    let counter = Counter::<u64>::new(&job.world).unwrap();
    for number in (&counter).into_iter().take(30) {
        mark(job, number as usize);
    }
    all_marked(job, 30 * job.size as usize);
    let mine = counter.reserve(40);
    assert_eq!(mine.size_hint(), (40, Some(40)));
    for number in mine {
        mark(job, number as usize - 30 * job.size as usize);
    }
    all_marked(job, 40 * job.size as usize);
    assert_eq!(counter.reserve(0).next(), None);
}

fn counter_adds_anything(job: &Job) {
    let counter = Counter::<i64>::new(&job.world).unwrap();
    for amount in [5, -3, 0, 1 << 40, -(1 << 40)] {
        counter.add(amount);
    }
    job.world.barrier();
    assert_eq!(counter.get(), 2 * i64::from(job.size));
    assert_eq!(counter.try_add(0).unwrap(), 2 * i64::from(job.size));
}

/// A rank that gets a number sees the changes of ranks with earlier numbers.
fn counter_orders_what_was_done(job: &Job) {
    let counter = Counter::<u64>::new(&job.world).unwrap();
    for _ in 0..100 {
        job.scratch.word(50).fetch_add(1, SeqCst);
        let number = counter.next();
        assert!(
            job.scratch.word(50).load(SeqCst) > number,
            "number {number}"
        );
    }
}

/// Counters of one communicator, together with a controller that is in use.
fn counters_beside_each_other(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let counters: Vec<Counter<u64>> = (0..50)
        .map(|number| {
            let builder = Counter::builder(&job.world).start(1_000 * number);
            builder.root(number as i32 % job.size).build().unwrap()
        })
        .collect();
    for round in 0..20 {
        let guard = ctrl.write();
        for counter in &counters {
            counter.next();
        }
        drop(guard);
        assert!(counters[round].get() > 1_000 * round as u64);
    }
    job.world.barrier();
    for (number, counter) in counters.iter().enumerate() {
        assert_eq!(counter.get(), 1_000 * number as u64 + 20 * job.size as u64);
        let shown = format!("{counter:?}");
        assert!(
            shown.contains("Counter") && shown.contains("step: 1"),
            "{shown}"
        );
    }
}

fn counters_come_and_go(job: &Job) {
    let rounds = if mpisync::sync(&job.world).unwrap().nodes() == 1 {
        500
    } else {
        50
    };
    for round in 0..rounds {
        let counter = Counter::<u32>::new(&job.world).unwrap();
        // The memory of an earlier counter is cleared.
        assert!(counter.next() < job.size as u32, "round {round}");
        if round % 3 == 0 {
            counter.close().unwrap();
        }
    }
}

fn counter_arguments_differ(job: &Job) {
    for root in [-1, job.size] {
        let error = Counter::<u8>::builder(&job.world)
            .root(root)
            .build()
            .unwrap_err();
        assert!(
            matches!(error, CreateError::RankOutOfRange { .. }),
            "{error}"
        );
    }
    let error = Counter::<u8>::builder(&job.world).step(0).build();
    let error = error.expect_err("it would give out one number only");
    assert!(matches!(error, CreateError::ZeroStep), "{error}");
    if job.size == 1 {
        return;
    }
    let odd = job.rank == 1;
    let builder = || Counter::<i32>::builder(&job.world);
    differs(builder().start(odd.into()).build().map(drop), "start");
    differs(builder().step(i32::from(odd) + 1).build().map(drop), "step");
    differs(builder().root(odd.into()).build().map(drop), "root");
    let outcome = if odd {
        let builder = Counter::<u32>::builder(&job.world);
        builder.anywhere().build().map(drop)
    } else {
        builder().anywhere().build().map(drop)
    };
    differs(outcome, "type of numbers");
    let outcome = if odd {
        WindowController::builder(&job.world).build().map(drop)
    } else {
        builder().build().map(drop)
    };
    differs(outcome, "the same objects");
    assert_eq!(builder().build().unwrap().step(), 1);
}

fn counter_through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Counter::<u64>::builder(&comm).transport(Transport::Windows);
    let counter = match builder.build() {
        Ok(counter) => counter,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    for _ in 0..50 {
        mark(job, counter.next() as usize);
    }
    all_marked(job, 50 * job.size as usize);
}
