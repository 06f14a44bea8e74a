//! Jobs that run the tasks of one state directory are killed (`SIGKILL`, the launcher and all
//! ranks) at random moments and started again, until all tasks are done. No task is lost, no task
//! that counts as done runs again, and no task runs in two workers at the same time.
//!
//! `TEST_KILLS` says how many kills there are at least in the test of one job after the other, 15 if not set, and a third of
//! it in the one of two jobs at the same time; 200 take some minutes. `TEST_SEED` chooses other moments.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{DIRECTORY, LOG, STATES, TASKS};
use mpisync_tests::launch::{Launch, Running};
use mpisync_tests::rng::Rng;

mpisync_tests::cases!(tests on [4] with [OneNode]:
    jobs_that_are_killed_and_started_again,
    two_jobs_of_which_one_is_killed,
);

/// Far above the needs of a job that is not killed.
const LIMIT: Duration = Duration::from_secs(60);

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The common files of all jobs; removed with all contents unless a check fails.
struct Shared(PathBuf);

impl Shared {
    fn new(name: &str) -> Self {
        let path = format!("mpisync-restart-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(path);
        let _left_by_an_earlier_process = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary directory is made");
        Shared(path)
    }

    fn start(&self, ranks: usize) -> Running {
        let path = self.0.to_str().expect("text");
        let launch = Launch::new(ranks, ["batch::restart::goes_on"]);
        launch.envs(&[(DIRECTORY, path)]).start()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.join(LOG)).unwrap_or_default()
    }

    /// The state of each task that has one, from the files.
    fn states(&self) -> HashMap<usize, String> {
        let read = |task: usize| {
            let path = self.0.join(STATES).join(format!("{task:02}")).join("state");
            Some((task, fs::read_to_string(path).ok()?))
        };
        (0..TASKS).filter_map(read).collect()
    }

    /// Checks the log of the jobs so far, and the files.
    fn check(&self) -> History {
        // A job may still run: the results of events in the log are in the files, and a task that
        // counts as done has its end in the log.
        let before = History::read(&self.log());
        let states = self.states();
        let log = self.log();
        let history = History::read(&log);
        let flaw = history.flaw(&states).or_else(|| before.is_not_in(&states));
        assert_eq!(flaw, None, "{states:?}\n{log}");
        history
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _nobody_minds = fs::remove_dir_all(&self.0);
        }
    }
}

/// The history of each task, from the log of its workers.
#[derive(Default)]
struct History {
    /// How often the first rank of a worker began it.
    begun: HashMap<usize, usize>,
    /// How often each rank of a worker ended it.
    ended: HashMap<(usize, i32), usize>,
    done: HashMap<usize, usize>,
    flaws: Vec<String>,
}

impl History {
    fn read(log: &str) -> Self {
        let mut history = History::default();
        for line in log.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [what, task, rank, _process] = words[..] else {
                // A line is written as a whole.
                history.flaws.push(format!("a line that says {line:?}"));
                continue;
            };
            let task: usize = task.parse().expect("a task");
            let rank: i32 = rank.parse().expect("a rank");
            match (what, rank) {
                ("begin", _) if history.done.contains_key(&task) => {
                    history
                        .flaws
                        .push(format!("task {task} was begun after it was done"));
                }
                ("begin", 0) => *history.begun.entry(task).or_default() += 1,
                ("begin", _) => {}
                ("end", rank) => *history.ended.entry((task, rank)).or_default() += 1,
                ("done", 0) => *history.done.entry(task).or_default() += 1,
                _ => history.flaws.push(line.to_owned()),
            }
        }
        history
    }

    fn flaw(&self, states: &HashMap<usize, String>) -> Option<String> {
        if let Some(flaw) = self.flaws.first() {
            return Some(flaw.clone());
        }
        for (task, state) in states {
            let ends = |rank| self.ended.contains_key(&(*task, rank));
            match state.as_str() {
                "DONE\n" if !ends(0) || !ends(1) => {
                    return Some(format!(
                        "task {task} counts as done and was not run to its end"
                    ));
                }
                "DONE\n" | "OPEN\n" | "RUNNING\n" => {}
                other => return Some(format!("the state of task {task} is {other:?}")),
            }
        }
        None
    }

    /// A task that was logged as done and does not count as done.
    fn is_not_in(&self, states: &HashMap<usize, String>) -> Option<String> {
        for (task, times) in &self.done {
            if *times > 1 || states.get(task).map(String::as_str) != Some("DONE\n") {
                return Some(format!(
                    "task {task} was done {times} times, its state is {:?}",
                    states.get(task)
                ));
            }
        }
        None
    }
}

/// Tasks that counted as done at some time, each with the number of times it had begun by then.
#[derive(Default)]
struct Seen(HashMap<usize, usize>);

impl Seen {
    /// Checks that none of them has begun again, and adds the tasks that count as done now.
    fn look(&mut self, shared: &Shared) {
        // The states first: a task that begins after that is in the log.
        let states = shared.states();
        let history = shared.check();
        let begun = |task: usize| history.begun.get(&task).copied().unwrap_or(0);
        for (task, before) in &self.0 {
            assert_eq!(
                begun(*task),
                *before,
                "task {task} was begun after it was done\n{}",
                shared.log()
            );
            assert_eq!(states[task], "DONE\n", "of task {task}");
        }
        let done = states.iter().filter(|(_, state)| *state == "DONE\n");
        let done: Vec<(usize, usize)> = done.map(|(task, _)| (*task, begun(*task))).collect();
        self.0.extend(done);
    }
}

/// Waits until the job has started to work, in most cases, and then for some time. Returns false if
/// the job ended before.
fn wait_for_moment(rng: &mut Rng, shared: &Shared, job: &mut Running) -> bool {
    let before = shared.log().len();
    let start = Instant::now();
    // Sometimes kills the job while it is made, and while it makes or reads the directory.
    let is_early = rng.below(6) == 0;
    let early = Duration::from_millis(200 + rng.below(600));
    while shared.log().len() == before && !(is_early && start.elapsed() >= early) {
        if job.is_over() {
            return false;
        }
        assert!(
            start.elapsed() < LIMIT,
            "the job does not begin: {}",
            job.output()
        );
        thread::sleep(Duration::from_micros(500));
    }
    let end = Instant::now() + Duration::from_micros(rng.below(60_000));
    while Instant::now() < end {
        if job.is_over() {
            return false;
        }
        thread::sleep(Duration::from_micros(200));
    }
    !job.is_over()
}

fn finish(shared: &Shared, mut jobs: Vec<Running>) {
    let start = Instant::now();
    for job in &mut jobs {
        while !job.is_over() {
            assert!(start.elapsed() < LIMIT, "the job hangs: {}", job.output());
            thread::sleep(Duration::from_millis(2));
        }
        assert!(job.has_succeeded(), "{}", job.output());
    }
    let history = shared.check();
    let all_done = shared
        .states()
        .values()
        .filter(|state| *state == "DONE\n")
        .count();
    assert_eq!(all_done, TASKS, "{}", shared.log());
    for task in 0..TASKS {
        assert!(history.begun.contains_key(&task), "task {task} was lost");
    }
    no_claim_is_left(&shared.0.join(STATES));
}

/// When no job runs, every claim must be released or dead.
fn no_claim_is_left(states: &Path) {
    use mpisync::batch::directory::{Directory, Options};
    let directory = Directory::open(states, Options::default()).expect("the states");
    for task in 0..TASKS {
        let claimant = directory.claimant(task).expect("it can be read");
        assert_eq!(claimant, None, "of task {task}");
    }
}

fn jobs_that_are_killed_and_started_again(ranks: usize) {
    let kills = from_environment("TEST_KILLS", 15);
    let mut rng = Rng::new(from_environment("TEST_SEED", 1));
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills {
        rounds += 1;
        let shared = Shared::new(&format!("one-{rounds}"));
        let mut seen = Seen::default();
        loop {
            let mut job = shared.start(ranks);
            if killed >= kills || !wait_for_moment(&mut rng, &shared, &mut job) {
                finish(&shared, vec![job]);
                seen.look(&shared);
                break;
            }
            job.kill();
            killed += 1;
            seen.look(&shared);
        }
    }
    println!("{killed} kills in {rounds} rounds");
}

/// One of two jobs is killed and started again while the other one continues.
fn two_jobs_of_which_one_is_killed(ranks: usize) {
    let kills = from_environment("TEST_KILLS", 15) / 3;
    let mut rng = Rng::new(from_environment("TEST_SEED", 1) + 1_000);
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills {
        rounds += 1;
        let shared = Shared::new(&format!("two-{rounds}"));
        let mut seen = Seen::default();
        let mut jobs = vec![shared.start(ranks), shared.start(ranks)];
        loop {
            let victim = rng.below(2) as usize;
            if killed >= kills || !wait_for_moment(&mut rng, &shared, &mut jobs[victim]) {
                finish(&shared, jobs);
                seen.look(&shared);
                break;
            }
            jobs[victim].kill();
            killed += 1;
            seen.look(&shared);
            jobs[victim] = shared.start(ranks);
        }
    }
    println!("{killed} kills in {rounds} rounds");
}
