//! `mpisync-top` shows the objects of a running job, with who holds them and who waits, and disturbs
//! nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use mpi::traits::*;
use mpisync::{Barrier, Mutex, RemoteChannel, Semaphore, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::launch::{Launch, Running};
use mpisync_tests::programs::{program, text};
use mpisync_tests::source;
use serde_json::Value;

// Jobs that the tests below start.
mpisync_tests::cases!(on []:
    holds_a_mutex,
    holds_and_writes,
    loses_a_rank,
    works,
);

mpisync_tests::cases!(tests on [2, 4] with [OneNode]:
    shows_a_holder_and_waiters,
    shows_readers_and_a_writer,
    shows_an_ended_rank,
    asks_hosts,
    disturbs_no_work,
);

// Words of scratch memory.
const HELD: usize = 0;

/// How long a job or a look may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The file by which the test ends a job.
const DONE: &str = "done";

fn until_done(job: &Job) {
    let start = Instant::now();
    while !job.file(DONE).exists() {
        assert!(start.elapsed() < LIMIT, "the test ends the job");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Rank 0 has the mutex, and all others wait for it.
fn holds_a_mutex(job: &Job) {
    let builder = Mutex::builder(&job.world);
    let mut mutex = builder.name("queue").build().unwrap();
    let _idle = Barrier::builder(&job.world).name("idle").build().unwrap();
    if job.rank == 0 {
        let _guard = mutex.lock(); // the holder's line
        job.scratch.raise(HELD);
        until_done(job);
    } else {
        job.scratch.wait_for(HELD);
        drop(mutex.lock()); // the waiters' line
    }
}

/// All ranks but the last read, and have a permit each. The last one waits to write.
fn holds_and_writes(job: &Job) {
    let builder = WindowController::builder(&job.world);
    let mut ctrl = builder.name("results").build().unwrap();
    let permits = Semaphore::new(&job.world, 9).unwrap();
    let builder = RemoteChannel::<u64>::builder(&job.world, 8);
    let channel = builder.name("samples").build().unwrap();
    if job.rank < job.size - 1 {
        let _permit = permits.acquire();
        let _guard = ctrl.read(); // the readers' line
        job.world.barrier();
        until_done(job);
    } else {
        job.world.barrier();
        drop(ctrl.write()); // the writer's line
    }
    drop(channel);
}

/// The last rank dies, while rank 0 has a mutex.
fn loses_a_rank(job: &Job) {
    let mut mutex = Mutex::builder(&job.world).name("left").build().unwrap();
    let guard = (job.rank == 0).then(|| mutex.lock());
    job.world.barrier();
    if job.rank == job.size - 1 {
        // SAFETY: ends this process, as a crash would.
        unsafe { libc::_exit(0) }
    }
    until_done(job);
    drop(guard);
    job.tell("survived");
    job.leave()
}

/// All ranks lock and unlock as fast as they can.
fn works(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut rounds = 0;
    while !job.file(DONE).exists() {
        for _ in 0..20 {
            *mutex.lock() += 1;
            drop(ctrl.read());
            drop(ctrl.write());
            rounds += 1;
        }
    }
    job.world.barrier();
    let mut all = 0;
    let sum = mpi::collective::SystemOperation::sum();
    job.world.all_reduce_into(&rounds, &mut all, sum);
    assert_eq!(*mutex.lock(), all);
}

/// The program, built once.
fn top_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("mpisync-top"))
}

fn top(arguments: &[&str]) -> Output {
    let ran = Command::new(top_program()).args(arguments).output();
    ran.expect("the program is there")
}

/// The communicators on this host that the program shows; the job has one.
fn look() -> Vec<Value> {
    let output = top(&["--once", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let document: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(document["schema"], 1);
    let communicators = &document["hosts"][0]["communicators"];
    communicators.as_array().expect("a list").clone()
}

/// An object of a communicator by its kind and name.
fn object<'a>(communicator: &'a Value, kind: &str, name: &str) -> Option<&'a Value> {
    let mut objects = communicator["objects"].as_array()?.iter();
    objects.find(|it| it["kind"] == kind && it["name"] == name)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], |list| list)
}

/// Looks until the object is as the test wants it.
fn look_until(kind: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> (Value, Value) {
    let start = Instant::now();
    loop {
        let communicators = look();
        let mut found = communicators.iter();
        let found = found.find_map(|it| Some((it, object(it, kind, name)?)));
        match found {
            Some((communicator, object)) if is_so(object) => {
                return (communicator.clone(), object.clone());
            }
            _ if start.elapsed() > LIMIT => panic!("{communicators:#?}"),
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn start(case: &str, ranks: usize) -> Running {
    // Not a part of the job's time limits.
    top_program();
    let case = format!("top::{case}");
    // The job waits on purpose.
    let quiet = [("MPISYNC_WATCHDOG", "0")];
    Launch::new(ranks, [case]).envs(&quiet).limit(LIMIT).start()
}

/// Ends a job, which has to succeed.
fn end(job: Running) {
    fs::write(job.file(DONE), "").expect("the directory is there");
    let ended = job.finish(LIMIT);
    assert!(ended.succeeded(), "{}", ended.report());
}

/// The number of the line of this file that ends with this comment.
fn line_with(comment: &str) -> u32 {
    source::line_with(include_str!("top.rs"), comment)
}

#[track_caller]
fn is_at(at: &Value, comment: &str) {
    let file = at["file"].as_str().expect("a path");
    assert!(file.ends_with("tests/ranks/top.rs"), "{at}");
    assert_eq!(at["line"], line_with(comment), "{at}");
}

/// The ranks of a list of holders or waiters, in order.
fn ranks_of(list: &[Value]) -> Vec<u64> {
    let mut ranks: Vec<u64> = list.iter().filter_map(|it| it["rank"].as_u64()).collect();
    ranks.sort_unstable();
    ranks
}

fn shows_a_holder_and_waiters(ranks: usize) {
    let job = start("holds_a_mutex", ranks);
    let (communicator, mutex) = look_until("mutex", "queue", |mutex| {
        list(mutex, "waiting").len() == ranks - 1
            && list(mutex, "waiting").iter().all(|it| it["call"] == "lock")
            && !list(mutex, "holders")[0]["at"].is_null()
    });
    assert_eq!(communicator["size"], ranks);
    let all: Vec<u64> = (0..ranks as u64).collect();
    assert_eq!(ranks_of(list(&communicator, "ranks")), all);
    for rank in list(&communicator, "ranks") {
        assert_eq!(rank["state"], "alive");
        let process = rank["process"].as_u64().expect("a number");
        let command = fs::read(format!("/proc/{process}/cmdline")).expect("it runs");
        assert!(text(&command).contains("top::holds_a_mutex"));
        assert_eq!(rank["waits"].is_null(), rank["rank"] == 0);
    }
    let [holder] = list(&mutex, "holders") else {
        panic!("{mutex}");
    };
    assert_eq!(
        (&holder["rank"], &holder["permits"]),
        (&0.into(), &1.into())
    );
    is_at(&holder["at"], "the holder's line");
    assert!(holder["seen_for"].as_f64() < Some(LIMIT.as_secs_f64()));
    assert_eq!(ranks_of(list(&mutex, "waiting")), all[1..]);
    for waiter in list(&mutex, "waiting") {
        is_at(&waiter["at"], "the waiters' line");
        assert_eq!(waiter["for_rank"], 0);
        assert!(waiter["seconds"].as_f64() >= Some(0.01), "{waiter}");
    }
    assert_eq!(mutex["changing"], false);
    let idle = object(&communicator, "barrier", "idle").expect("it exists");
    assert!(list(idle, "waiting").is_empty(), "{idle}");

    let shown = top(&["--once"]);
    assert!(shown.status.success());
    let shown = text(&shown.stdout);
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    let has = |part: &str| assert!(shown.contains(part), "no {part:?} in\n{shown}");
    has("  mutex \"queue\"\n    rank 0 holds it, taken at ");
    has(&format!(
        "top.rs:{}, seen for ",
        line_with("the holder's line")
    ));
    has("    rank 1 waits ");
    has(" s in `lock` at ");
    has(" for rank 0\n");
    has("  1 more object in use that no rank is seen to hold or wait for\n");
    end(job);
}

fn shows_readers_and_a_writer(ranks: usize) {
    let job = start("holds_and_writes", ranks);
    let (communicator, lock) = look_until("controller", "results", |lock| {
        list(lock, "waiting").iter().any(|it| it["call"] == "write")
            && list(lock, "holders")
                .iter()
                .all(|it| !it["at"].is_null() || it["role"] != "reads")
    });
    let holders = list(&lock, "holders");
    let (readers, writers): (Vec<Value>, Vec<Value>) = holders
        .iter()
        .cloned()
        .partition(|it| it["role"] == "reads");
    let reading: Vec<u64> = (0..ranks as u64 - 1).collect();
    assert_eq!(ranks_of(&readers), reading);
    for reader in &readers {
        is_at(&reader["at"], "the readers' line");
    }
    let last = ranks as u64 - 1;
    assert_eq!(ranks_of(&writers), [last]);
    assert_eq!(writers[0]["role"], "is about to write");
    let [waiter] = list(&lock, "waiting") else {
        panic!("{lock}");
    };
    assert_eq!(waiter["rank"], last);
    is_at(&waiter["at"], "the writer's line");
    let permits = object(&communicator, "semaphore", "semaphore").expect("it exists");
    assert_eq!(ranks_of(list(permits, "holders")), reading);
    assert_eq!(permits["permits"], serde_json::json!([9 - last, 9]));
    assert!(object(&communicator, "channel", "samples").is_some());
    end(job);
}

fn shows_an_ended_rank(ranks: usize) {
    top_program();
    let launch = Launch::new(ranks, ["top::loses_a_rank"]).survive_deaths();
    let job = launch.limit(LIMIT).start();
    let start = Instant::now();
    loop {
        let communicators = look();
        let left = communicators
            .iter()
            .find(|it| object(it, "mutex", "left").is_some());
        let states = left.map(|it| list(it, "ranks").iter().map(|rank| rank["state"].clone()));
        let states: Vec<Value> = states.map_or(Vec::new(), Iterator::collect);
        if states.last().is_some_and(|state| state == "died") {
            assert!(
                states[..ranks - 1].iter().all(|state| state == "alive"),
                "{states:?}"
            );
            break;
        }
        assert!(start.elapsed() < LIMIT, "{communicators:#?}");
        thread::sleep(Duration::from_millis(50));
    }
    fs::write(job.file(DONE), "").expect("the directory is there");
    let ended = job.finish(LIMIT);
    let survived = ended
        .verdicts
        .iter()
        .flatten()
        .filter(|it| *it == "survived");
    assert_eq!(survived.count(), ranks - 1, "{}", ended.report());
}

/// With an agent in place of `ssh` that runs the command here, or fails.
fn asks_hosts(ranks: usize) {
    let job = start("holds_a_mutex", ranks);
    look_until("mutex", "queue", |mutex| {
        list(mutex, "waiting").len() == ranks - 1
    });
    let agent = job.file("agent");
    let script =
        "#!/bin/sh\ncase $1 in bad) echo no route >&2; exit 255;; esac\nshift\nexec sh -c \"$*\"\n";
    fs::write(&agent, script).expect("the directory is there");
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let agent = agent.to_str().expect("text");
    let there = top_program().to_str().expect("text");
    let output = top(&[
        "--once",
        "--json",
        "--hosts",
        "a,bad,b",
        "--ssh",
        agent,
        "--program",
        there,
    ]);
    assert_eq!(output.status.code(), Some(1), "one of them fails");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let hosts = list(&document, "hosts");
    assert_eq!(hosts.len(), 3);
    for host in [&hosts[0], &hosts[2]] {
        let mut found = list(host, "communicators").iter();
        assert!(
            found.any(|it| object(it, "mutex", "queue").is_some()),
            "{host}"
        );
    }
    let error = hosts[1]["error"].as_str().expect("an error");
    assert!(error.contains("exit status: 255: no route"), "{error}");
    end(job);
}

/// The program looks at a busy job many times, which goes on and counts right.
fn disturbs_no_work(ranks: usize) {
    let job = start("works", ranks);
    look_until("mutex", "mutex", |_| true);
    let start = Instant::now();
    let mut looks = 0;
    while start.elapsed() < Duration::from_secs(2) {
        let communicators = look();
        let mut found = communicators.iter();
        assert!(
            found.any(|it| object(it, "mutex", "mutex").is_some()),
            "{communicators:#?}"
        );
        looks += 1;
    }
    assert!(looks >= 3, "{looks} looks in two seconds");
    end(job);
}
