//! Builds the tests of later steps while those of a step run, since ranks that wait for each other leave the cores idle.

use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use launcher::processes;

use super::suite::copy_as;
use crate::process::start;

/// What is to be built.
#[derive(Default)]
pub(super) struct Ahead {
    planned: Arc<Mutex<VecDeque<Command>>>,
    thread: OnceLock<JoinHandle<()>>,
}

impl Ahead {
    /// Plans to build these, in this order.
    pub(super) fn plan(&self, builds: impl IntoIterator<Item = Command>) {
        lock(&self.planned).extend(builds);
    }

    /// Begins to build what was planned, unless that has begun.
    pub(super) fn begin(&self) {
        self.thread.get_or_init(|| {
            let planned = Arc::clone(&self.planned);
            thread::spawn(move || {
                while let Some(command) = next(&planned) {
                    build(&command);
                }
            })
        });
    }

    /// Ends what is being built, and drops the rest of the plan.
    pub(super) fn end(&self) {
        lock(&self.planned).clear();
        while self
            .thread
            .get()
            .is_some_and(|thread| !thread.is_finished())
        {
            // Without a table of the processes the build ends by itself.
            let _ = processes::end_descendants(processes::GRACE);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn next(planned: &Mutex<VecDeque<Command>>) -> Option<Command> {
    lock(planned).pop_front()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds with what the tests leave of the cores, and prints nothing: the step itself builds once more, and tells what fails.
fn build(command: &Command) {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(command.get_program());
    let mut nice = copy_as(nice, command);
    nice.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Ok(mut child) = start(&mut nice) {
        processes::keep_apart(Some(child.id()));
        // An error means that it was ended with this program.
        let _ = child.wait();
        processes::keep_apart(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::alone;
    use std::fs;
    use std::path::Path;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn appears(path: &Path) -> bool {
        (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            path.exists()
        })
    }

    #[test]
    fn what_is_planned_is_built_in_order_at_the_lowest_priority_until_the_end() {
        let _alone = alone();
        let place = std::env::temp_dir().join(format!("mpisync-ahead-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        let ahead = Ahead::default();
        let mut failing = sh("nice > nice; exit 1");
        failing.current_dir(&place);
        let mut last = sh("cat nice > \"$NAME\"; sleep 1000; touch late");
        last.current_dir(&place).env("NAME", "copy");
        ahead.plan([failing, last]);
        assert!(!place.join("nice").exists());
        ahead.begin();
        assert!(appears(&place.join("copy")));
        ahead.end();
        assert!(!place.join("late").exists());
        assert_eq!(fs::read_to_string(place.join("nice")).unwrap().trim(), "19");
        assert!(processes::descendants().unwrap().is_empty());
        fs::remove_dir_all(&place).unwrap();
    }
}
