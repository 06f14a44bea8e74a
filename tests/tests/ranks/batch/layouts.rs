//! The ranks of each worker, and invalid arguments.

use std::time::Duration;

use mpi::topology::Color;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync::batch::{BatchBuilder, BatchError, OnComm, State};
use mpisync::{Batch, CreateError, Transport};
use mpisync_tests::job::Job;

use super::{run_all, sum};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    workers_of_unequal_sizes,
    worker_on_each_node,
    roots,
    of_a_part_of_the_ranks,
    sizes_that_do_not_come_out,
    arguments_differ,
    states_at_first,
    through_windows,
);

type Builder<'a> = BatchBuilder<OnComm<'a, SimpleCommunicator>>;

fn builder(job: &Job) -> Builder<'_> {
    Batch::builder(&job.world).tasks(12)
}

/// Each worker has the right ranks, and they have the same task at the same time.
fn runs_in(job: &Job, sizes: &[i32], mut batch: Batch) {
    let mut first = 0;
    let mut number = 0;
    while first + sizes[number] <= job.rank {
        first += sizes[number];
        number += 1;
    }
    let size = sizes[number];
    let members: Vec<i32> = (first..first + size).collect();
    assert_eq!(batch.n_workers(), sizes.len() as i32);
    assert_eq!(batch.worker().number(), number as i32);
    assert_eq!(batch.worker().rank(), job.rank - first);
    assert_eq!(batch.worker().size(), size);
    let worker = batch.worker();
    assert_eq!((worker.members(), worker.size()), (&members[..], size));
    assert_eq!(worker.comm().size(), size);
    assert_eq!(batch.worker().comm().rank(), worker.rank());
    let mut had = 0;
    while let Some(task) = batch.next_task().unwrap() {
        let comm = task.worker().comm();
        let mut indices = vec![0; size as usize];
        comm.all_gather_into(&(task.index() as u64), &mut indices[..]);
        assert_eq!(indices, vec![task.index() as u64; size as usize]);
        had += usize::from(task.worker().rank() == 0);
        task.done().unwrap();
    }
    assert_eq!(sum(job, had), batch.tasks());
    batch.close().unwrap();
}

fn workers_of_unequal_sizes(job: &Job) {
    let size = job.size;
    let mut layouts = vec![vec![size], vec![1; size as usize]];
    for first in 1..size {
        layouts.push(vec![first, size - first]);
    }
    if size > 3 {
        layouts.push(vec![1, 2, size - 3]);
        layouts.push(vec![1, size - 2, 1]);
    }
    for sizes in layouts {
        let batch = builder(job).worker_sizes(sizes.clone()).build().unwrap();
        runs_in(job, &sizes, batch);
    }
}

fn worker_on_each_node(job: &Job) {
    let nodes = mpisync::sync(&job.world).unwrap().nodes();
    let mut batch = builder(job).worker_per_node().build().unwrap();
    assert_eq!(batch.n_workers(), nodes as i32);
    assert_eq!(
        sum(job, usize::from(batch.worker().rank() == 0)),
        nodes as usize
    );
    let mine = run_all(&mut batch).len();
    let had = if batch.worker().rank() == 0 { mine } else { 0 };
    assert_eq!(sum(job, had), 12);
}

fn roots(job: &Job) {
    for root in 0..job.size {
        let mut batch = builder(job).root(root).name("rooted").build().unwrap();
        assert_eq!(
            (batch.root(), batch.rank(), batch.size()),
            (root, job.rank, job.size)
        );
        assert_eq!(sum(job, run_all(&mut batch).len()), 12);
    }
}

/// Each half has its own batches, while all ranks have another one.
fn of_a_part_of_the_ranks(job: &Job) {
    let color = Color::with_value(job.rank % 2);
    let part = job.world.split_by_color(color).unwrap();
    let tasks = 10 + job.rank as usize % 2;
    let mut common = builder(job).build().unwrap();
    let mut batch = Batch::builder(&part)
        .tasks(tasks)
        .worker_size(part.size())
        .build()
        .unwrap();
    let mut own = 0;
    let mut shared = 0;
    while let Some(task) = batch.next_task().unwrap() {
        own += 1;
        if let Some(task) = common.next_task().unwrap() {
            shared += 1;
            task.done().unwrap();
        }
        task.done().unwrap();
    }
    shared += run_all(&mut common).len();
    assert_eq!(own, tasks);
    assert_eq!(sum(job, shared), 12);
    assert_eq!(batch.summary().unwrap().done, tasks as u64);
    common.close().unwrap();
    batch.close().unwrap();
}

fn sizes_that_do_not_come_out(job: &Job) {
    let size = job.size;
    for each in [0, -1, size + 1, i32::MIN, i32::MAX] {
        let error = builder(job).worker_size(each).build().unwrap_err();
        let words = error.to_string();
        assert!(words.contains(&each.to_string()), "{words}");
        assert!(
            matches!(error, BatchError::Create(CreateError::WorkerSizes { sizes, size: of }) if sizes == [each] && of == size)
        );
    }
    for sizes in [
        vec![],
        vec![size, 1],
        vec![0, size],
        vec![-1, size + 1],
        vec![size - 1],
        vec![i32::MAX, i32::MAX, size + 2],
    ] {
        let error = builder(job)
            .worker_sizes(sizes.clone())
            .build()
            .unwrap_err();
        match error {
            BatchError::Create(CreateError::WorkerSizes {
                sizes: told,
                size: of,
            }) => assert_eq!((told, of), (sizes, size)),
            other => panic!("{other:?}"),
        }
    }
    for root in [-1, size] {
        let error = builder(job).root(root).build().unwrap_err();
        assert!(
            matches!(
                error,
                BatchError::Create(CreateError::RankOutOfRange { .. })
            ),
            "{error:?}"
        );
    }
    for tasks in [Batch::MAX_TASKS + 1, usize::MAX] {
        let error = builder(job).tasks(tasks).build().unwrap_err();
        let is_told = matches!(
            error,
            BatchError::Create(CreateError::TooManyTasks { tasks: told, .. }) if told == tasks
        );
        assert!(is_told, "{error:?}");
    }
    let mut batch = builder(job).build().unwrap();
    assert_eq!(sum(job, run_all(&mut batch).len()), 12);
}

/// All ranks get an error that names the argument.
fn arguments_differ(job: &Job) {
    if job.size == 1 {
        return;
    }
    let is_odd = job.rank == 1;
    let differ = |argument: &str, change: &dyn Fn(Builder<'_>) -> Builder<'_>| {
        let builder = builder(job);
        let builder = if is_odd { change(builder) } else { builder };
        let error = builder.build().unwrap_err();
        assert!(matches!(error, BatchError::Create(_)), "{error:?}");
        assert!(error.to_string().contains(argument), "{argument}: {error}");
    };
    let ones = vec![1; job.size as usize];
    let names = || (0..12).map(|name| format!("task {name}"));
    differ("number of tasks", &|builder| builder.tasks(13));
    differ("names of tasks", &|builder| builder.names(names()));
    differ("sizes of workers", &|builder| {
        builder.worker_sizes(ones.clone())
    });
    differ("root", &|builder| builder.root(1));
    differ("state directory", &|builder| builder.state_dir("/nowhere"));
    differ("options of the state directory", &|builder| {
        builder.durable(false)
    });
    differ("options of the state directory", &|builder| {
        builder.stale_after(Duration::from_secs(1))
    });
    differ("strict", &|builder| builder.strict(true));
    // The first name alone does not show the difference.
    let last = |last: &str| {
        names()
            .take(11)
            .chain([last.to_owned()])
            .collect::<Vec<_>>()
    };
    let builder = builder(job).names(last(if is_odd { "other" } else { "last" }));
    let error = builder.build().unwrap_err();
    assert!(error.to_string().contains("names of tasks"), "{error}");
    // An argument that is invalid on one rank only.
    assert!(
        self::builder(job)
            .worker_size(if is_odd { 0 } else { 1 })
            .build()
            .is_err()
    );
    let mut batch = self::builder(job).build().unwrap();
    assert_eq!(sum(job, run_all(&mut batch).len()), 12);
}

/// The root's initial states are used, and the others get its errors about them.
fn states_at_first(job: &Job) {
    let root = job.size - 1;
    let is_root = job.rank == root;
    let all = |state| if is_root { vec![state; 12] } else { Vec::new() };
    let mut batch = builder(job)
        .root(root)
        .initial_states(all(State::Done))
        .build()
        .unwrap();
    assert!(batch.next_task().unwrap().is_none());
    assert_eq!(batch.summary().unwrap().done, 12);
    for states in [vec![], vec![State::Open; 11], vec![State::Done; 13]] {
        let told = states.len();
        let states = if is_root {
            states
        } else {
            vec![State::Open; 12]
        };
        match builder(job)
            .root(root)
            .initial_states(states)
            .build()
            .unwrap_err()
        {
            BatchError::States { states, tasks } if is_root => {
                assert_eq!((states, tasks), (told, 12))
            }
            BatchError::OtherRank { rank, found } if !is_root => {
                assert_eq!(rank, root);
                assert!(found.contains(&format!("{told} initial states")), "{found}");
            }
            other => panic!("{other:?}"),
        }
    }
    let directory = job.file("batch_states_at_first");
    let error = builder(job)
        .root(root)
        .initial_states(all(State::Done))
        .state_dir(&directory)
        .build()
        .unwrap_err();
    match error {
        BatchError::StatesAndDirectory(path) if is_root => assert_eq!(path, directory),
        BatchError::OtherRank { rank, .. } if !is_root => assert_eq!(rank, root),
        other => panic!("{other:?}"),
    }
    assert!(!directory.exists());
    // Without another number there are as many tasks as states; then all ranks have to pass them.
    let batch = Batch::builder(&job.world)
        .initial_states([State::Failed, State::Open])
        .build()
        .unwrap();
    assert_eq!(batch.tasks(), 2);
}

fn through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Batch::builder(&comm)
        .tasks(50)
        .transport(Transport::Windows)
        .progress_thread(false);
    match builder.worker_size(job.size).build() {
        Ok(mut batch) => assert_eq!(run_all(&mut batch).len(), 50),
        Err(BatchError::Create(CreateError::NoWindows { .. })) => {}
        Err(error) => panic!("{error}"),
    }
}
