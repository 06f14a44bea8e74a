//! The outcomes of tasks: states, tasks that are taken again, many tasks.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::collective::SystemOperation;
use mpi::traits::*;
use mpisync::Batch;
use mpisync::batch::{Again, BatchError, State};
use mpisync_tests::job::Job;

use super::{run_all, sizes, states, sum};
use crate::semaphore::times;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    tasks_are_taken_again,
    states_are_set,
    states_are_set_while_others_run,
    waits_for_all,
    at_once,
    in_turns,
    shows_its_state,
);

mpisync_tests::cases!(on [4]:
    come_and_go,
    of_a_million_tasks,
);

const NO: Again = Again {
    running: false,
    failed: false,
    done: false,
};

/// Takes all available tasks and ends them as done. Returns their indices and their states before.
fn take_again(job: &Job, batch: &mut Batch, again: Again) -> Vec<(usize, State)> {
    let mut had = Vec::new();
    while let Some(task) = batch.next_task_with(again).unwrap() {
        had.push((task.index(), task.was()));
        task.done().unwrap();
    }
    job.world.barrier();
    had
}

fn tasks_are_taken_again(job: &Job) {
    const ROUNDS: usize = 8;
    for each in sizes(job) {
        let all = [
            State::Open,
            State::Running,
            State::Done,
            State::Failed,
            State::Invalid,
        ];
        let builder = Batch::builder(&job.world).worker_size(each);
        let mut batch = builder.initial_states(all.repeat(ROUNDS)).build().unwrap();
        let leads = batch.worker().rank() == 0;
        let led = |mine: &[_]| sum(job, if leads { mine.len() } else { 0 });
        let mut done = ROUNDS;
        for (again, which) in [
            (NO, State::Open),
            (
                Again {
                    running: true,
                    ..NO
                },
                State::Running,
            ),
            (Again { failed: true, ..NO }, State::Failed),
        ] {
            let mine = take_again(job, &mut batch, again);
            assert!(
                mine.iter()
                    .all(|(task, was)| *was == which && all[task % 5] == which),
                "{mine:?}"
            );
            assert_eq!(led(&mine), ROUNDS);
            done += ROUNDS;
            assert_eq!(batch.summary().unwrap().done, done as u64);
            job.world.barrier();
        }
        // Tasks that were done at first, and only once.
        let mine = take_again(job, &mut batch, Again { done: true, ..NO });
        assert!(mine.iter().all(|(_, was)| *was == State::Done), "{mine:?}");
        assert_eq!(led(&mine), ROUNDS);
        let every = Again {
            running: true,
            failed: true,
            done: true,
        };
        assert_eq!(take_again(job, &mut batch, every), []);
        assert_eq!(batch.summary().unwrap().invalid, ROUNDS as u64);
    }
}

fn states_are_set(job: &Job) {
    let mut batch = Batch::builder(&job.world).tasks(6).build().unwrap();
    let setter = job.size - 1;
    if job.rank == setter {
        for state in [State::Done, State::Failed, State::Invalid, State::Open] {
            batch.set_state(3, state).unwrap();
            assert_eq!(batch.state(3).unwrap(), state);
        }
        for (task, state) in [(0, State::Done), (1, State::Failed), (2, State::Invalid)] {
            batch.set_state(task, state).unwrap();
        }
        assert!(matches!(
            batch.set_state(0, State::Running),
            Err(BatchError::SetRunning)
        ));
        for state in [State::Running, State::Open] {
            let error = batch.set_state(6, state).unwrap_err();
            assert!(
                matches!(error, BatchError::NoSuchTask { task: 6, tasks: 6 }),
                "{error:?}"
            );
        }
        assert!(matches!(
            batch.name(usize::MAX),
            Err(BatchError::NoSuchTask { .. })
        ));
    }
    job.world.barrier();
    let mine = run_all(&mut batch);
    assert!(mine.iter().all(|task| *task >= 3), "{mine:?}");
    assert_eq!(sum(job, mine.len()), 3);
    let all = states(&batch);
    assert_eq!(
        all[..4],
        [State::Done, State::Failed, State::Invalid, State::Done]
    );
    job.world.barrier();
    // Open again, and each runs once more.
    if job.rank == setter {
        for task in 0..6 {
            batch.set_state(task, State::Open).unwrap();
        }
    }
    job.world.barrier();
    assert_eq!(sum(job, run_all(&mut batch).len()), 6);
}

/// Rank 0 opens tasks while others run them: each runs as often as it was opened.
fn states_are_set_while_others_run(job: &Job) {
    const OPENED: u64 = 300;
    const OVER: usize = 100;
    let mut batch = Batch::builder(&job.world).tasks(70).build().unwrap();
    let mut ran = 0;
    if job.rank == 0 {
        let mut opened = 70;
        let mut task = 0;
        while opened < 70 + OPENED {
            task = (task + 1) % 70;
            if batch.state(task).unwrap() == State::Done {
                match batch.set_state(task, State::Open) {
                    Ok(()) => opened += 1,
                    Err(error) => panic!("nobody else takes it out of this state: {error}"),
                }
            } else if job.size == 1 {
                ran += run_all(&mut batch).len();
            }
        }
        job.scratch.raise(OVER);
    } else {
        while !job.scratch.is_raised(OVER) {
            ran += run_all(&mut batch).len();
        }
    }
    ran += run_all(&mut batch).len();
    assert_eq!(sum(job, ran) as u64, 70 + OPENED);
    assert_eq!(batch.wait_all().unwrap().done, 70);
}

fn waits_for_all(job: &Job) {
    const TAKEN: usize = 0;
    const LOOKED: usize = 1;
    const LIMIT: Duration = Duration::from_millis(30);
    for reopens in [false, true] {
        let mut batch = Batch::builder(&job.world).tasks(1).build().unwrap();
        job.world.barrier();
        if job.rank == 0 {
            let task = batch.next_task().unwrap().unwrap();
            let summary = task.batch().summary().unwrap();
            assert_eq!((summary.running, summary.is_over()), (1, false));
            job.scratch.raise(TAKEN);
            while job.scratch.word(LOOKED).load(SeqCst) < job.size as u64 - 1 {
                thread::yield_now();
                // Over several nodes this rank also serves the others.
                let _ = task.batch().summary().unwrap();
            }
            thread::sleep(LIMIT);
            if reopens {
                task.reopen().unwrap()
            } else {
                task.done().unwrap()
            }
        } else {
            job.scratch.wait_for(TAKEN);
            assert!(batch.next_task().unwrap().is_none());
            for state in [State::Open, State::Done] {
                let error = batch.set_state(0, state).unwrap_err();
                assert!(matches!(error, BatchError::Busy { task: 0 }), "{error:?}");
            }
            assert_eq!(batch.state(0).unwrap(), State::Running);
            let start = Instant::now();
            let error = batch.wait_all_timeout(LIMIT).unwrap_err();
            assert!(
                matches!(error, BatchError::Timeout { waited } if waited == LIMIT),
                "{error:?}"
            );
            assert!(start.elapsed() >= LIMIT);
            job.scratch.word(LOOKED).fetch_add(1, SeqCst);
        }
        let summary = batch.wait_all().unwrap();
        let right = if reopens { (0, 1) } else { (1, 0) };
        assert_eq!((summary.done, summary.open), right);
        assert_eq!(batch.wait_all_timeout(Duration::ZERO).unwrap(), summary);
        job.clear_scratch();
    }
}

fn at_once(job: &Job) {
    let made = |number: i32| {
        let each = sizes(job)
            .nth(number as usize % sizes(job).count())
            .unwrap();
        let builder = Batch::builder(&job.world).tasks(1 + number as usize % 9);
        builder.worker_size(each).build().unwrap()
    };
    let mut batches: Vec<Batch> = (0..times(job, 40, 10) as i32).map(made).collect();
    for batch in &mut batches {
        run_all(batch);
    }
    for (number, batch) in batches.iter_mut().enumerate().rev() {
        assert_eq!(batch.wait_all().unwrap().done, 1 + number as u64 % 9);
    }
}

/// A task of each batch in hand at the same time.
fn in_turns(job: &Job) {
    let made = |tasks| Batch::builder(&job.world).tasks(tasks).build().unwrap();
    let (mut first, mut second, mut third) = (made(30), made(20), made(40));
    let mut had = [0; 3];
    loop {
        let one = first.next_task().unwrap();
        let two = second.next_task().unwrap();
        let three = third.next_task().unwrap();
        let tasks = [one, two, three];
        if tasks.iter().all(Option::is_none) {
            break;
        }
        for (task, had) in tasks.into_iter().zip(&mut had) {
            if let Some(task) = task {
                *had += 1;
                task.done().unwrap();
            }
        }
    }
    assert_eq!(had.map(|had| sum(job, had)), [30, 20, 40]);
}

fn come_and_go(job: &Job) {
    let maps = || {
        std::fs::read_to_string("/proc/self/maps")
            .unwrap_or_default()
            .lines()
            .count()
    };
    let rounds = times(job, 2_000, 50) / if job.size > 4 { 4 } else { 1 };
    let mut at_first = 0;
    for round in 0..rounds {
        // A worker of all ranks needs objects of its own.
        let each = if round % 20 == 0 { job.size } else { 1 };
        let mut batch = Batch::builder(&job.world)
            .worker_size(each)
            .tasks(3)
            .build()
            .unwrap();
        let mine = run_all(&mut batch).len();
        assert!(mine <= 3);
        if round % 100 == 0 {
            assert_eq!(batch.wait_all().unwrap().done, 3);
            batch.close().unwrap();
        }
        if round == rounds / 2 {
            at_first = maps();
        }
    }
    assert!(
        maps() < at_first + 50,
        "{} mappings, and {at_first} before",
        maps()
    );
}

fn of_a_million_tasks(job: &Job) {
    const TASKS: u64 = 1_000_000;
    let mut batch = Batch::builder(&job.world)
        .tasks(TASKS as usize)
        .build()
        .unwrap();
    // The sum of all numbers and the sum of their squares.
    let mut mine = [0; 3];
    while let Some(task) = batch.next_task().unwrap() {
        let index = task.index() as u64;
        mine[0] += 1;
        mine[1] += index;
        mine[2] += index * index;
        task.done().unwrap();
    }
    let mut all = [0; 3];
    job.world
        .all_reduce_into(&mine[..], &mut all[..], SystemOperation::sum());
    let squares = (TASKS - 1) * TASKS * (2 * TASKS - 1) / 6;
    assert_eq!(all, [TASKS, TASKS * (TASKS - 1) / 2, squares]);
    let summary = batch.summary().unwrap();
    assert_eq!((summary.done, summary.total()), (TASKS, TASKS));
}

fn shows_its_state(job: &Job) {
    let builder = Batch::builder(&job.world)
        .name("weather")
        .worker_size(job.size);
    let mut batch = builder.names(["cold", "hot"]).build().unwrap();
    assert_eq!(
        (batch.name(0).unwrap(), batch.name(1).unwrap()),
        ("cold".into(), "hot".into())
    );
    let task = batch.next_task().unwrap().unwrap();
    assert_eq!(task.name(), "cold");
    assert_eq!(task.directory(), None);
    let shown = format!("{task:?}");
    assert!(
        shown.contains("index: 0") && shown.contains("cold") && shown.contains("was: Open"),
        "{shown}"
    );
    let shown = format!("{:?}", task.batch());
    for part in [
        r#"name: "weather""#,
        "tasks: 2",
        "worker: 0",
        "runs: [0]",
        &format!("rank: {}", job.rank),
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let shown = format!("{:?}", task.worker());
    assert!(
        shown.contains("count: 1") && shown.contains("members: [0"),
        "{shown}"
    );
    task.done().unwrap();
    let shown = format!("{batch:?}");
    assert!(shown.contains("runs: []"), "{shown}");
    assert!(batch.directory().is_none() && batch.problems().is_empty());
    let numbered = Batch::builder(&job.world).tasks(200).build().unwrap();
    assert_eq!(
        (numbered.name(0).unwrap(), numbered.name(199).unwrap()),
        ("000".into(), "199".into())
    );
}
