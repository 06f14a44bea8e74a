//! Batches that stop before all tasks are done: by a condition of any rank, a signal, or a time.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::traits::*;
use mpisync::Batch;
use mpisync::batch::directory::{Directory, Options};
use mpisync::batch::{State, StopCause, StopOn};
use mpisync_tests::job::Job;
use mpisync_tests::launch::{Launch, Running};
use mpisync_tests::signals::{Signal, send};

use super::{sizes, sum};

mpisync_tests::cases!(on [1, 2, 3, 4]:
    condition_of_one_rank_stops_all,
    signal_stops_all,
    time_stops_all,
    earlier_handler_comes_back,
);

mpisync_tests::cases!(on [2, 4]:
    workers_that_wait_stop,
);

mpisync_tests::cases!(on [4]:
    condition_of_a_rank_that_waits_for_its_first_one,
);

// Jobs that the tests below start.
mpisync_tests::cases!(on []:
    works_until_a_signal,
);

mpisync_tests::cases!(tests on [4] with [OneNode]:
    job_that_gets_a_signal_is_continued,
);

const SIGTERM: i32 = libc::SIGTERM;

/// Words of scratch memory; the processes are from the second one on.
const BEGUN: usize = 0;
const PROCESSES: usize = 1;
const HELD: usize = 100;
const STOP: usize = 101;
const ENDED: usize = 102;

/// Many more tasks than are done before the end.
const TASKS: usize = 5_000;

fn run(job: &Job, batch: &mut Batch, mut act: impl FnMut(u64)) -> u64 {
    let mut mine = 0;
    let summary = batch.for_each(|_, _| {
        mine += 1;
        act(mine);
        job.scratch.word(BEGUN).fetch_add(1, SeqCst);
        thread::sleep(Duration::from_millis(1));
        Ok::<(), String>(())
    });
    assert!(summary.unwrap().left() > 0, "it stops before the end");
    mine
}

/// Checks that all ranks know which rank has stopped the batch, and that each task is done or open.
fn has_stopped(job: &Job, batch: &mut Batch, mine: u64, cause: StopCause, rank: Option<i32>) {
    let stopped = batch.stopped().unwrap().expect("it has stopped");
    assert_eq!(stopped.cause, cause);
    assert!(rank.is_none_or(|rank| rank == stopped.rank), "{stopped}");
    assert!(batch.next_task().unwrap().is_none());
    let summary = batch.wait_all().unwrap();
    assert_eq!(summary.done + summary.open, TASKS as u64, "{summary}");
    let done = summary.done as usize * batch.worker().size() as usize;
    // All ranks of a worker have run the same tasks.
    assert_eq!(sum(job, mine as usize), done);
    job.clear_scratch();
}

fn condition_of_one_rank_stops_all(job: &Job) {
    for each in sizes(job) {
        let last = job.size - 1;
        let is_met = Rc::new(Cell::new(false));
        let mut builder = Batch::builder(&job.world).worker_size(each).tasks(TASKS);
        if job.rank == last {
            let condition = Rc::clone(&is_met);
            builder = builder.stop_on(StopOn::when(move || condition.get()));
        }
        let mut batch = builder.build().unwrap();
        let mine = run(job, &mut batch, |mine| is_met.set(mine == 5));
        has_stopped(job, &mut batch, mine, StopCause::Condition, Some(last));
    }
}

/// The process is a rank of this job, which handles the signal.
fn terminate(process: u64) {
    send(process, Signal::TERM).expect("it runs");
}

fn signal_stops_all(job: &Job) {
    let is_on_one_node = job.world.split_shared(0).size() == job.size;
    for each in sizes(job) {
        let builder = Batch::builder(&job.world).worker_size(each).tasks(TASKS);
        let stop = StopOn::signal(SIGTERM).unwrap();
        let mut batch = builder.stop_on(stop).build().unwrap();
        let process = |rank: i32| job.scratch.word(PROCESSES + rank as usize);
        process(job.rank).store(std::process::id().into(), SeqCst);
        job.world.barrier();
        let mine = run(job, &mut batch, |mine| {
            if job.rank == 0 && mine == 4 {
                // To all, as a batch system does. Other hosts have other processes.
                let last = if is_on_one_node { job.size } else { 1 };
                (0..last).for_each(|rank| terminate(process(rank).load(SeqCst)));
            }
        });
        has_stopped(job, &mut batch, mine, StopCause::Signal(SIGTERM), None);
        // A further one does no harm as long as the batch is there.
        terminate(std::process::id().into());
        job.world.barrier();
    }
}

fn time_stops_all(job: &Job) {
    for each in sizes(job) {
        let builder = Batch::builder(&job.world).worker_size(each).tasks(TASKS);
        let start = Instant::now();
        let stop = StopOn::after(Duration::from_millis(100));
        let mut batch = builder.stop_on(stop).build().unwrap();
        let mine = run(job, &mut batch, |_| {});
        assert!(start.elapsed() < Duration::from_secs(20));
        has_stopped(job, &mut batch, mine, StopCause::Time, None);
    }
}

fn earlier_handler_comes_back(job: &Job) {
    let now = || {
        // SAFETY: there is room for the action, and nothing is changed.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(SIGTERM, std::ptr::null(), &raw mut action);
            action.sa_sigaction
        }
    };
    let before = now();
    let builder = Batch::builder(&job.world).tasks(1);
    let batch = builder
        .stop_on(StopOn::signal(SIGTERM).unwrap())
        .build()
        .unwrap();
    assert_ne!(now(), before);
    drop(batch);
    assert_eq!(now(), before);
    assert!(StopOn::signal(libc::SIGKILL).is_err());
}

/// The only task is in hand, and the others wait for it.
fn workers_that_wait_stop(job: &Job) {
    for each in sizes(job).filter(|each| *each < job.size) {
        let builder = Batch::builder(&job.world).worker_size(each).tasks(1);
        let mut batch = builder.build().unwrap();
        if batch.worker().number() == 0 {
            let task = batch.next_task().unwrap().unwrap();
            job.scratch.raise(HELD);
            thread::sleep(Duration::from_millis(50));
            if job.rank == 0 {
                task.batch().stop();
            }
            job.scratch.meet(ENDED, job.size);
            task.done().unwrap();
        } else {
            job.scratch.wait_for(HELD);
            let summary = batch.for_each(|_, _| Ok::<(), String>(())).unwrap();
            assert_eq!((summary.running, summary.left()), (1, 1));
            job.scratch.meet(ENDED, job.size);
        }
        batch.wait_all().unwrap().all_done().unwrap();
        job.clear_scratch();
    }
}

/// The condition of the second rank of a worker, while both wait for another worker.
fn condition_of_a_rank_that_waits_for_its_first_one(job: &Job) {
    let mut builder = Batch::builder(&job.world).worker_size(2).tasks(1);
    if job.rank == 3 {
        let begin = Instant::now();
        let condition = move || begin.elapsed() > Duration::from_millis(300);
        builder = builder.stop_on(StopOn::when(condition));
    }
    let mut batch = builder.build().unwrap();
    if batch.worker().number() == 0 {
        let task = batch.next_task().unwrap().unwrap();
        job.scratch.raise(HELD);
        job.scratch.wait_for(STOP);
        task.done().unwrap();
    } else {
        job.scratch.wait_for(HELD);
        let summary = batch.for_each(|_, _| Ok::<(), String>(())).unwrap();
        assert_eq!(summary.running, 1);
        let stopped = batch.stopped().unwrap().unwrap();
        assert_eq!((stopped.rank, stopped.cause), (3, StopCause::Condition));
        // Each rank counts for itself.
        job.scratch.meet(ENDED, 2);
        job.scratch.raise(STOP);
    }
    batch.wait_all().unwrap().all_done().unwrap();
    job.world.barrier();
}

/// The environment variable that names the directory that both jobs have in common.
const DIRECTORY: &str = "TEST_STOPS_DIRECTORY";

fn append(path: &Path, line: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

fn works_until_a_signal(job: &Job) {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("a directory is named"));
    let builder = Batch::builder(&job.world).worker_size(2).tasks(100);
    let builder = builder.state_dir(directory.join("states")).durable(false);
    let stop = StopOn::signal(SIGTERM).unwrap();
    let mut batch = builder.stop_on(stop).build().unwrap();
    append(
        &directory.join("processes"),
        &format!("{}\n", std::process::id()),
    );
    let summary = batch.for_each(|task, worker| {
        thread::sleep(Duration::from_millis(20));
        if worker.rank() == 0 {
            append(&directory.join("log"), &format!("{}\n", task.index()));
        }
        Ok::<(), String>(())
    });
    let summary = summary.unwrap();
    let summary = batch
        .stopped()
        .unwrap()
        .map_or(summary, |_| batch.wait_all().unwrap());
    if job.rank == 0 {
        println!("{} left", summary.left());
    }
}

fn job_that_gets_a_signal_is_continued(ranks: usize) {
    let path = format!("mpisync-stops-{}", std::process::id());
    let path = std::env::temp_dir().join(path);
    let _left_by_an_earlier_process = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    let lines = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(path.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let start = || -> Running {
        let launch = Launch::new(ranks, ["batch::stops::works_until_a_signal"]);
        launch.envs(&[(DIRECTORY, path.to_str().unwrap())]).start()
    };
    let limit = Duration::from_secs(60);
    let begin = Instant::now();
    let first = start();
    while lines("processes").len() < ranks || lines("log").len() < 5 {
        assert!(begin.elapsed() < limit, "{}", first.output());
        thread::sleep(Duration::from_millis(2));
    }
    for process in lines("processes") {
        terminate(process.parse().unwrap());
    }
    let ended = first.finish(limit);
    assert!(ended.succeeded(), "{}", ended.report());
    let done = lines("log").len();
    let left = format!("{} left", 100 - done);
    assert!(
        ended.output.lines().any(|line| line == left),
        "{}",
        ended.report()
    );
    assert!(done < 100);
    let directory = Directory::open(path.join("states"), Options::default()).unwrap();
    for task in 0..100 {
        let state = directory.state(task).unwrap();
        assert!(
            matches!(state, State::Done | State::Open),
            "{task}: {state}"
        );
    }
    let ended = start().finish(limit);
    assert!(ended.succeeded(), "{}", ended.report());
    assert!(
        ended.output.lines().any(|line| line == "0 left"),
        "{}",
        ended.report()
    );
    let mut log: Vec<usize> = lines("log")
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    log.sort_unstable();
    assert!(log.into_iter().eq(0..100), "each task has run once");
    fs::remove_dir_all(&path).unwrap();
}
