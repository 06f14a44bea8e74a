//! Rounds in which all objects are in use, and one of six ranks is killed at a random instant.
//!
//! A round is a job. Its ranks make all objects ([`objects`]), use them at random, each for itself
//! ([`alone`]) and together ([`together`]), and check each other in scratch memory ([`words`]). What
//! they have done is in files of records, which fit together in the end ([`check`]). No call takes
//! longer than ten seconds, and each error is one that is documented for the death of a rank. In the
//! end, those that are left agree on that, and go on together ([`afterwards`]).
//!
//! `TEST_ROUNDS` says how many rounds there are, `TEST_SEED` with which seed the first one begins:
//! the round with the next seed follows. The seed decides who is killed, and in which call.

mod afterwards;
mod alone;
mod check;
mod objects;
mod round;
mod together;
mod words;

use std::env;
use std::fs;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpisync_tests::job::Job;
use mpisync_tests::launch::{Launch, Running};
use mpisync_tests::scratch::Scratch;

use check::Records;
use objects::{MADE, Objects, TASKS};
use round::{GONE, LIMIT, LOST, Round, number_in};
use words::{COUNTED, MOST_PERMITS, PROCESS};

mpisync_tests::cases!(on []: a_round = |job| a_round(job, false), a_round_with_a_kill = |job| a_round(job, true));
mpisync_tests::cases!(tests on [6]: quiet_rounds, random_kills);

/// The ranks of a job.
const RANKS: usize = 6;

/// How often the ranks do something together, and how many calls each makes before.
const STEPS: u64 = 8;
const CALLS: u64 = 18;

/// Times of the library that fit into ten seconds, and less noise.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("RUST_BACKTRACE", "0"),
    ("MPISYNC_WATCHDOG", "5"),
    ("MPISYNC_CREATE_TIMEOUT", "8"),
];

/// How long a job may take, also on a busy machine.
const LONGEST_JOB: Duration = Duration::from_secs(60);

/// How often a job is looked at.
const POLL: Duration = Duration::from_millis(10);

const FOREVER: Duration = Duration::MAX;

fn a_round(job: &Job, has_kill: bool) {
    let seed = number_in(job, "seed").expect("the test has written it");
    let calls = MADE + STEPS * (CALLS + 2);
    let mut round = Round::begin(job, seed, has_kill, calls);
    let objects = Objects::make(&mut round);
    if round.agree(objects.is_some()) {
        let mut objects = objects.expect("all ranks have made them");
        for step in 0..STEPS {
            for _ in 0..CALLS {
                alone::act(&mut round, &mut objects);
            }
            together::step(&mut round, &mut objects, step as usize);
        }
        finish(&mut round, &mut objects);
        if has_kill {
            afterwards::go_on(&mut round, &mut objects);
        }
    }
    round.end();
}

/// What the ranks that are left find when nobody does anything else any more.
fn finish(round: &mut Round<'_>, objects: &mut Objects) {
    round.call("wait for a latch", GONE, |round| {
        objects.latch.wait_timeout(FOREVER)?;
        let counted = round.job.scratch.word(COUNTED).load(SeqCst);
        assert_eq!(counted, STEPS * RANKS as u64, "not all have counted down");
        objects::Outcome::Ok(())
    });
    round.meet(1);
    for channel in [&objects.channel, &objects.pipe] {
        let pause = Duration::from_millis(30);
        while alone::take_one(round, channel, pause).is_some() {}
    }
    alone::read(round, objects);
    alone::write(round, objects);
    alone::lock(round, objects);
    alone::write_lines(round, objects);
    alone::read_region(round, objects);
    round.call("acquire all permits", LOST, |round| {
        let permits = objects
            .semaphore
            .acquire_many_timeout(MOST_PERMITS, LIMIT)?;
        round.with_permits(MOST_PERMITS);
        drop(permits);
        objects::Outcome::Ok(())
    });
    let batches = [&mut objects.batch, &mut objects.kept, &mut objects.pairs];
    for (number, batch) in batches.into_iter().enumerate() {
        let fine = if number == 2 { GONE } else { &[] };
        round.call("run all tasks", fine, |round| {
            let summary = batch.for_each(|task, worker| {
                if worker.rank() == 0 {
                    round.runs_task(number, task.index());
                }
                // In a pair the other rank has a say.
                if worker.size() == 1 {
                    round.record(format_args!("done {number} {}", task.index()));
                }
                Ok::<(), String>(())
            })?;
            assert_eq!(summary.done, TASKS as u64, "{summary}");
            Ok::<(), mpisync::batch::BatchError>(())
        });
    }
}

fn quiet_rounds(ranks: usize) {
    rounds(ranks, false, 2);
}

fn random_kills(ranks: usize) {
    rounds(ranks, true, 8);
}

fn rounds(ranks: usize, has_kill: bool, usual: u64) {
    assert_eq!(ranks, RANKS);
    let number = |name: &str| env::var(name).ok()?.parse().ok();
    let count = number("TEST_ROUNDS").unwrap_or(usual);
    let first = number("TEST_SEED").unwrap_or(1);
    let begin = Instant::now();
    for seed in first..first + count {
        if let Err(fault) = one(seed, has_kill) {
            panic!("seed {seed}: {fault}");
        }
        let done = seed - first + 1;
        if done.is_multiple_of(20) {
            println!("{done} rounds, {:.0} s", begin.elapsed().as_secs_f64());
        }
    }
}

/// Runs a round.
fn one(seed: u64, has_kill: bool) -> Result<(), String> {
    let case = match has_kill {
        true => "kills::a_round_with_a_kill",
        false => "kills::a_round",
    };
    let mut launch = Launch::new(RANKS, [case])
        .envs(&ENVIRONMENT)
        .beside_others();
    if has_kill {
        launch = launch.survive_deaths();
    }
    let mut job = launch.start_with(|directory| {
        fs::write(directory.join("seed"), seed.to_string()).expect("the seed is written");
    });
    let survivors = RANKS - usize::from(has_kill);
    let has_told = |job: &Running| job.verdicts().iter().flatten().count();
    let is_done = |job: &mut Running| match has_kill {
        // Some launchers do not end after a death.
        true => has_told(job) == survivors,
        false => job.is_over(),
    };
    let begin = Instant::now();
    while !is_done(&mut job) && job.failures().is_empty() && !job.is_over() {
        if begin.elapsed() > LONGEST_JOB {
            break;
        }
        thread::sleep(POLL);
    }
    let (told, output, failures) = (has_told(&job), job.output(), job.failures());
    let scratch = Scratch::map(&job.file("scratch")).expect("the ranks have made it");
    let processes: Vec<u64> = (0..RANKS)
        .map(|rank| scratch.word(PROCESS + rank).load(SeqCst))
        .collect();
    let verdicts = job.verdicts();
    let victim = verdicts
        .iter()
        .position(Option::is_none)
        .filter(|_| has_kill);
    let records = Records::read(&job.file(""), victim);
    let is_complete = !records.last().contains("make ");
    let outcome = if !failures.is_empty() {
        Err(failures.concat())
    } else if told != survivors {
        Err(format!("{told} ranks have come to the end"))
    } else {
        records.check(is_complete)
    };
    job.kill();
    let outcome = outcome.and_then(|()| nothing_is_left(&processes, &job));
    outcome.map_err(|fault| format!("{fault}\n{}--- output ---\n{output}", records.last()))
}

/// Checks that no file of the library is left.
fn nothing_is_left(processes: &[u64], job: &Running) -> Result<(), String> {
    let temporary = job.file("");
    for directory in ["/dev/shm", "/tmp", temporary.to_str().expect("text")] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = |process: &u64| name.starts_with(&format!("mpisync-{process}-"));
            if processes.iter().any(is_ours) {
                return Err(format!("{directory}/{name} is left"));
            }
        }
    }
    Ok(())
}
