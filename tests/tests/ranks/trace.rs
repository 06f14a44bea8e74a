//! Trace files say what each rank has waited for and held, whatever becomes of it, and `mpisync-trace`
//! names the line that made the others wait.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use launcher::JobDirectory;
use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::*;
use mpisync::inspect::trace::{Activity, EXTENSION, Event, Outcome, Process, read};
use mpisync::{CreateError, LockError, Mutex, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::launch::Launch;
use mpisync_tests::programs::{program, text};
use mpisync_tests::source;
use serde_json::Value;

// Jobs that the tests below start.
mpisync_tests::cases!(on []:
    makes_others_wait,
    dies_with_a_mutex,
    reads_often,
    makes_an_object,
    makes_no_object,
);

mpisync_tests::cases!(processes on []:
    initializes_mpi_itself,
    makes_the_first_objects_in_two_threads,
);

mpisync_tests::cases!(tests on [2, 4]:
    all_ranks_have_one_time,
    a_program_that_initializes_mpi_has_a_trace,
    threads_begin_one_trace,
);

mpisync_tests::cases!(tests on [2, 4] with [OneNode]:
    a_wait_names_its_keeper_in_the_world,
    a_killed_rank_leaves_what_it_had,
    the_newest_events_are_kept,
    the_report_names_the_line,
    a_directory_that_cannot_be_made_is_an_error,
    a_rank_without_a_file_lets_the_others_end,
);

/// A word of scratch memory.
const HELD: usize = 0;
/// How long the holder keeps the others waiting: far more than it takes them to begin to wait.
const HOLDING: Duration = Duration::from_secs(1);
/// Far more than clocks that agree differ by on a loaded machine.
const NOISE: u64 = 50_000_000;

/// In the reversed order of the world, rank 0 writes, and all others want to read.
fn makes_others_wait(job: &Job) {
    let part = job
        .world
        .split_by_color_with_key(Color::with_value(0), -job.rank);
    let part = part.expect("all are in it");
    let builder = WindowController::builder(&part);
    let mut results = builder.name("results").build().unwrap();
    if results.rank() == 0 {
        let _writing = results.write(); // the holder's line
        job.scratch.meet(HELD, job.size);
        thread::sleep(HOLDING);
    } else {
        job.scratch.meet(HELD, job.size);
        drop(results.read()); // the waiters' line
    }
}

/// The same in a program that initializes MPI without the library.
fn initializes_mpi_itself() {
    let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Multiple).unwrap();
    let world = universe.world();
    let alone = world.split_by_color(Color::with_value(world.rank()));
    let alone = alone.unwrap();
    let reversed = world.split_by_color_with_key(Color::with_value(0), -world.rank());
    // The ranks of the world in another order may make their first objects at another time.
    for part in [&alone, &reversed.unwrap()] {
        let error = mpisync::sync(part).unwrap_err();
        assert!(matches!(error, CreateError::NoTrace { .. }), "{error}");
        assert!(error.to_string().contains("`MPI_COMM_WORLD`"), "{error}");
    }
    let mut results = WindowController::builder(&world)
        .name("results")
        .build()
        .unwrap();
    if results.rank() == results.size() - 1 {
        let _writing = results.write(); // the line of the holder in it
        world.barrier();
        thread::sleep(HOLDING);
    } else {
        world.barrier();
        drop(results.read()); // the line of the waiters in it
    }
    let mut own = WindowController::builder(&alone)
        .name("own")
        .build()
        .unwrap();
    drop(own.write());
}

/// On ranks with an even number, the object on the world is the first one, on the others that on the duplicate.
fn makes_the_first_objects_in_two_threads() {
    let (universe, provided) = mpi::initialize_with_threading(mpi::Threading::Multiple).unwrap();
    assert_eq!(provided, mpi::Threading::Multiple);
    let world = universe.world();
    let duplicate = world.duplicate();
    let is_even = world.rank() % 2 == 0;
    let pause = |is_late| thread::sleep(if is_late { HOLDING / 4 } else { Duration::ZERO });
    let on_world = thread::spawn(move || {
        pause(!is_even);
        drop(mpisync::sync(&SimpleCommunicator::world()).unwrap().write());
    });
    pause(is_even);
    drop(mpisync::sync(&duplicate).unwrap().write());
    on_world.join().unwrap();
}

/// The last rank dies with the mutex, for which the others wait.
fn dies_with_a_mutex(job: &Job) {
    let mut queue = Mutex::builder(&job.world).name("queue").build().unwrap();
    if job.rank == job.size - 1 {
        let _guard = queue.lock(); // the dead one's line
        job.scratch.meet(HELD, job.size);
        thread::sleep(HOLDING);
        // SAFETY: ends this process.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
    job.scratch.meet(HELD, job.size);
    let error = queue.lock_timeout(Duration::MAX).unwrap_err();
    assert!(matches!(error, LockError::HolderDied { .. }), "{error}");
    job.tell("survived");
    job.leave()
}

/// Far more holds than a small file has room for, after one wait.
fn reads_often(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == 0 {
        let _writing = ctrl.write();
        job.scratch.meet(HELD, job.size);
        thread::sleep(HOLDING);
    } else {
        job.scratch.meet(HELD, job.size);
    }
    for _ in 0..100_000 {
        drop(ctrl.read());
    }
}

fn makes_an_object(job: &Job) {
    let error = mpisync::sync(&job.world).unwrap_err().to_string();
    assert!(error.contains("MPISYNC_TRACE"), "{error}");
    assert!(error.contains("Not a directory"), "{error}");
}

/// The last rank has no trace.
fn makes_no_object(job: &Job) {
    let error = mpisync::sync(&job.world).unwrap_err().to_string();
    if job.rank == job.size - 1 {
        assert!(error.contains("Is a directory"), "{error}");
    }
}

/// Runs a job with a trace, and returns what its processes have traced, by rank.
fn traced(
    case: &str,
    ranks: usize,
    size: &str,
    survives_deaths: bool,
) -> (JobDirectory, Vec<Process>) {
    let directory = JobDirectory::new("mpisync-tests-trace").expect("a directory is made");
    let path = directory.path().display().to_string();
    let case = format!("trace::{case}");
    let environment = [
        ("MPISYNC_TRACE", path.as_str()),
        ("MPISYNC_TRACE_SIZE", size),
    ];
    let mut launch = Launch::new(ranks, [case]).envs(&environment);
    if survives_deaths {
        launch = launch.survive_deaths();
    }
    let ended = launch.run();
    if survives_deaths {
        let survived = ended.verdicts.iter().flatten().count();
        assert_eq!(survived, ranks - 1, "{}", ended.report());
    } else {
        assert!(ended.succeeded(), "{}", ended.report());
    }
    let files = fs::read_dir(directory.path()).expect("the job has written into it");
    let files = files.map(|file| file.expect("an entry").path());
    let files = files.filter(|file| file.extension().is_some_and(|it| it == EXTENSION));
    let mut all: Vec<Process> = files.map(|file| read(&file).expect("a trace")).collect();
    all.sort_by_key(|process| process.rank);
    let known: Vec<u32> = all.iter().map(|process| process.rank).collect();
    assert_eq!(known, (0..ranks as u32).collect::<Vec<_>>());
    for process in &all {
        assert_eq!(process.size as usize, ranks);
        assert_eq!((process.job, process.epoch), (all[0].job, all[0].epoch));
    }
    (directory, all)
}

/// The events of a process on the object of this name.
fn events<'a>(process: &'a Process, name: &str) -> Vec<&'a Event> {
    let is_of = |event: &&Event| process.objects[event.object as usize].name == name;
    process.events.iter().filter(is_of).collect()
}

/// The only wait in this call on the object.
fn wait<'a>(process: &'a Process, name: &str, call: &str) -> &'a Event {
    let mut waits = events(process, name);
    waits.retain(|event| {
        event.activity == Activity::Wait && process.calls[event.call as usize] == call
    });
    assert_eq!(waits.len(), 1, "{process:?}");
    waits[0]
}

#[track_caller]
fn is_at(process: &Process, place: Option<u32>, comment: &str) {
    let place = &process.places[place.expect("a place") as usize];
    assert!(place.file().ends_with("tests/ranks/trace.rs"), "{place:?}");
    assert_eq!(place.line(), line_with(comment), "{place:?}");
}

/// The number of the line of this file that ends with this comment.
fn line_with(comment: &str) -> u32 {
    source::line_with(include_str!("trace.rs"), comment)
}

fn all_ranks_have_one_time(ranks: usize) {
    let (_directory, all) = traced("makes_others_wait", ranks, "1", false);
    have_one_time(&all, "the holder's line", "the waiters' line");
}

fn a_program_that_initializes_mpi_has_a_trace(ranks: usize) {
    let (_directory, all) = traced("initializes_mpi_itself", ranks, "1", false);
    let (holding, waiting) = (
        "the line of the holder in it",
        "the line of the waiters in it",
    );
    have_one_time(&all, holding, waiting);
    for process in &all {
        assert!(process.has_ended);
        assert_eq!(events(process, "own").len(), 1, "{process:?}");
    }
    for waiter in &all[..ranks - 1] {
        let wait = wait(waiter, "results", "read");
        let holder = &all[ranks - 1];
        let is_holder = wait.keeper.is_none_or(|keeper| keeper == holder.rank);
        // The holder is not seen from another host. A rank that tries to read at the same time may be, without a place.
        let is_far = waiter.host != holder.host;
        assert!(
            is_holder || (is_far && wait.keeper_place.is_none()),
            "{wait:?}"
        );
    }
}

fn threads_begin_one_trace(ranks: usize) {
    let case = "makes_the_first_objects_in_two_threads";
    let (_directory, all) = traced(case, ranks, "1", false);
    for process in &all {
        assert!(process.has_ended);
        let writes = process.events.iter();
        let writes = writes.filter(|event| event.activity == Activity::Write);
        // The trace has begun before either object was there.
        assert_eq!(writes.count(), 2, "{process:?}");
    }
}

/// The last rank has written, and the others have waited for it, at these lines.
fn have_one_time(all: &[Process], holding: &str, waiting: &str) {
    let (holder, waiters) = all.split_last().expect("there are ranks");
    let holds = events(holder, "results");
    let held = holds.iter().find(|event| event.activity == Activity::Write);
    let held = held.expect("it has written");
    is_at(holder, held.place, holding);
    let end = held.end.expect("it has released");
    assert!(end - held.begin >= HOLDING.as_nanos() as u64);
    for waiter in waiters {
        assert!(waiter.has_ended);
        let wait = wait(waiter, "results", "read");
        is_at(waiter, wait.place, waiting);
        assert_eq!(wait.outcome, Outcome::Success);
        assert!(wait.begin + NOISE > held.begin, "{wait:?} {held:?}");
        let waited_until = wait.end.expect("it has ended");
        assert!(waited_until + NOISE > end, "{wait:?} {held:?}");
    }
}

fn a_wait_names_its_keeper_in_the_world(ranks: usize) {
    let (_directory, all) = traced("makes_others_wait", ranks, "1", false);
    for waiter in &all[..ranks - 1] {
        let wait = wait(waiter, "results", "read");
        assert_eq!(wait.keeper, Some(ranks as u32 - 1));
        is_at(waiter, wait.keeper_place, "the holder's line");
    }
}

fn a_killed_rank_leaves_what_it_had(ranks: usize) {
    let (_directory, all) = traced("dies_with_a_mutex", ranks, "1", true);
    let (dead, others) = all.split_last().expect("there are ranks");
    assert!(!dead.has_ended);
    let [held] = events(dead, "queue")[..] else {
        panic!("{dead:?}");
    };
    assert_eq!((held.activity, held.end), (Activity::Hold, None));
    assert_eq!(held.outcome, Outcome::Open);
    is_at(dead, held.place, "the dead one's line");
    for other in others {
        let wait = wait(other, "queue", "lock");
        assert_eq!(wait.outcome, Outcome::Failure);
        assert_eq!(wait.keeper, Some(dead.rank));
    }
}

fn the_newest_events_are_kept(ranks: usize) {
    let (directory, all) = traced("reads_often", ranks, "1", false);
    for process in &all {
        assert!(process.lost > 0);
        let reads = process.events.iter();
        let reads = reads
            .filter(|event| event.activity == Activity::Read)
            .count() as u64;
        // The holder has written once, and that was lost.
        assert_eq!(reads + process.lost, 100_000 + u64::from(process.rank == 0));
        let file = format!("rank-{:06}.{EXTENSION}", process.rank);
        let file = fs::metadata(directory.path().join(file)).expect("it is there");
        assert!(file.len() <= 1 << 20, "{}", file.len());
        // Holds do not push out waits.
        if process.rank > 0 {
            let waits = process.events.iter();
            let mut waits = waits.filter(|event| process.calls[event.call as usize] == "read");
            assert!(waits.any(|event| event.activity == Activity::Wait));
        }
    }
}

fn the_report_names_the_line(ranks: usize) {
    let (directory, _) = traced("makes_others_wait", ranks, "1", false);
    let report = Command::new(program("mpisync-trace"))
        .arg("--json")
        .arg(directory.path())
        .output()
        .expect("the program is there");
    assert!(report.status.success(), "{}", text(&report.stderr));
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    let line = report["keeper_lines"][0]["by"].as_str().expect("a line");
    let expected = format!("tests/ranks/trace.rs:{}", line_with("the holder's line"));
    assert!(line.ends_with(&expected), "{report}");
    for file in ["timeline.html", "timeline.svg", "timeline.json"] {
        assert!(directory.path().join(file).exists(), "{file}");
    }
}

fn a_directory_that_cannot_be_made_is_an_error(ranks: usize) {
    let file = JobDirectory::new("mpisync-tests-trace").expect("a directory is made");
    let file = file.path().join("file");
    fs::write(&file, "").expect("it can be written");
    let below: &Path = &file.join("trace");
    let below = below.display().to_string();
    let launch = Launch::new(ranks, ["trace::makes_an_object"]);
    let ended = launch.envs(&[("MPISYNC_TRACE", &below)]).run();
    assert!(ended.succeeded(), "{}", ended.report());
}

fn a_rank_without_a_file_lets_the_others_end(ranks: usize) {
    let directory = JobDirectory::new("mpisync-tests-trace").expect("a directory is made");
    let in_the_way = format!("rank-{:06}.{EXTENSION}", ranks - 1);
    fs::create_dir(directory.path().join(in_the_way)).expect("it can be made");
    let path = directory.path().display().to_string();
    let launch = Launch::new(ranks, ["trace::makes_no_object"]);
    let ended = launch.envs(&[("MPISYNC_TRACE", &path)]).run();
    assert!(ended.succeeded(), "{}", ended.report());
}
