//! State directories that pshmem has begun and mpisync continues, and the reverse. pshmem itself
//! runs in one process without MPI, from a Python that `cargo xtask test` installs.

use super::{DIRECTORY, LOG, STATES, TASKS};
use mpisync_tests::launch::Launch;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mpisync_tests::cases!(tests on [3, 4]:
    pshmem_starts,
    pshmem_finishes,
);

mpisync_tests::cases!(tests on [2]:
    pshmem_is_not_overrun,
);

/// A state directory that is removed when the test ends.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("mpisync-pshmem-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory is made");
        Place(path)
    }

    fn states(&self) -> PathBuf {
        self.0.join(STATES)
    }

    /// The tasks that pshmem has run, and their outcomes.
    fn pshmem(&self, what: &str, tasks: &[usize]) -> BTreeMap<usize, String> {
        let python = std::env::var_os("TEST_PSHMEM")
            .expect("TEST_PSHMEM names a Python that has pshmem; `cargo xtask test` sets one up");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run_with_pshmem.py");
        let ended = Command::new(python)
            .arg("-B")
            .arg(script)
            .arg(what)
            .arg(self.states())
            .args(tasks.iter().map(usize::to_string))
            .output()
            .expect("Python starts");
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "pshmem {what}: {errors}");
        read(&String::from_utf8_lossy(&ended.stdout))
    }

    /// The tasks that a job of mpisync has run.
    fn mpisync(&self, case: &str, ranks: usize) -> BTreeMap<usize, String> {
        let path = self.0.to_str().expect("a temporary directory's name");
        let case = format!("pshmem::{case}");
        let launch = Launch::new(ranks, [&case]).envs(&[(DIRECTORY, path)]);
        let ended = launch.survive_deaths().run();
        let all_passed = ended.output.contains(&format!("ok {case}"));
        let all_left = ended.verdicts.iter().all(Option::is_some);
        assert!(all_passed || all_left, "{case}: {}", ended.report());
        let log = self.0.join(LOG);
        let lines = fs::read_to_string(&log).expect("the job has written what it did");
        fs::remove_file(log).expect("it is there");
        read(&lines)
    }

    fn state(&self, task: usize) -> String {
        let path = self.states().join(format!("{task:02}")).join("state");
        let state = fs::read_to_string(path).expect("a state");
        state.strip_suffix('\n').expect("a whole line").to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A line `NUMBER STATE` for each number.
fn read(lines: &str) -> BTreeMap<usize, String> {
    let mut run = BTreeMap::new();
    for line in lines.lines() {
        let (task, state) = line.split_once(' ').expect("a number and a state");
        let task = task.parse().expect("a number");
        let before = run.insert(task, state.to_owned());
        assert_eq!(before, None, "task {task} twice");
    }
    run
}

fn outcome(task: usize) -> &'static str {
    if task % 4 == 3 { "FAILED" } else { "DONE" }
}

/// Checks that `first` and `second` together have run every task, those in `again` both of them,
/// and that all have the right outcomes.
fn check(place: &Place, first: &BTreeMap<usize, String>, second: &BTreeMap<usize, String>) {
    for task in 0..TASKS {
        assert_eq!(place.state(task), outcome(task), "task {task}");
        let is_first = first.get(&task).is_some_and(|state| state != "RUNNING");
        let is_second = second.get(&task).is_some_and(|state| state != "RUNNING");
        assert!(
            is_first != is_second,
            "task {task} by one of them: {first:?}, {second:?}"
        );
    }
}

fn pshmem_starts(ranks: usize) {
    let place = Place::new(&format!("starts-{ranks}"));
    let first = place.pshmem("start", &[TASKS, 13]);
    assert_eq!(first.len(), 14);
    assert_eq!(first[&13], "RUNNING");
    let second = place.mpisync("pshmem_is_continued", ranks);
    check(&place, &first, &second);
}

fn pshmem_finishes(ranks: usize) {
    let place = Place::new(&format!("finishes-{ranks}"));
    let first = place.mpisync("pshmem_continues", ranks);
    let running = first.values().filter(|state| *state == "RUNNING");
    assert!(running.count() >= 1 && first.len() < TASKS);
    let second = place.pshmem("finish", &[TASKS]);
    check(&place, &first, &second);
}

fn pshmem_is_not_overrun(ranks: usize) {
    let place = Place::new(&format!("runs-{ranks}"));
    let first = place.pshmem("start", &[TASKS, 13]);
    let second = place.mpisync("pshmem_is_left_alone", ranks);
    assert_eq!(first.len() + second.len(), TASKS);
    assert!(!second.contains_key(&13));
    assert_eq!(place.state(13), "RUNNING");
}
