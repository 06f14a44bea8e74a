//! What `mpisync-batch status --json` prints.

use crate::look::Look;
use crate::pace::Pace;
use crate::state_directory::StateDirectory;
use mpisync::batch::directory::Directory;
use mpisync::batch::{State, Summary};
use mpisync_cli::output::complain;
use serde::Serialize;
use std::time::SystemTime;

/// The version of the JSON. It grows when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;

/// The document.
#[derive(Serialize)]
pub struct Document<'a> {
    schema: u32,
    directory: String,
    /// When it was looked at, in seconds since 1970.
    time: f64,
    total: u64,
    summary: Summary,
    /// How fast tasks ended lately.
    tasks_per_minute: Option<f64>,
    seconds_left: Option<f64>,
    /// All of them, in the order of their names.
    tasks: Vec<Task<'a>>,
}

#[derive(Serialize)]
struct Task<'a> {
    name: &'a str,
    state: State,
    /// When the state was written, in seconds since 1970.
    since: Option<f64>,
    /// How often it was begun, of running and failed tasks; 0 if that is not counted.
    tries: Option<u32>,
    /// Why it has failed.
    reason: Option<String>,
    /// The job that runs it.
    by: Option<By>,
    /// Why its state cannot be read.
    problem: Option<String>,
}

#[derive(Serialize)]
struct By {
    host: String,
    pid: u32,
    /// In seconds.
    heartbeat_age: f64,
}

impl<'a> Document<'a> {
    pub fn of(argument: &StateDirectory, directory: &'a Directory, look: &Look) -> Self {
        let pace = Pace::of(look);
        let tasks = directory.names().iter().zip(&look.tasks).enumerate();
        let tasks = tasks.map(|(task, (name, seen))| Task {
            name,
            state: seen.state,
            since: seen.since.map(since_1970),
            tries: matches!(seen.state, State::Running | State::Failed)
                .then(|| directory.tries(task)),
            reason: (seen.state == State::Failed)
                .then(|| directory.reason(task))
                .flatten(),
            by: (seen.state == State::Running)
                .then(|| by(argument, directory, task))
                .flatten(),
            problem: seen.problem.as_ref().map(|error| argument.in_words(error)),
        });
        Document {
            schema: SCHEMA,
            directory: directory.root().to_string_lossy().into_owned(),
            time: since_1970(look.time),
            total: look.summary.total(),
            summary: look.summary,
            tasks_per_minute: pace.map(|pace| pace.rate),
            seconds_left: pace.and_then(|pace| Some(pace.left?.as_secs_f64())),
            tasks: tasks.collect(),
        }
    }
}

fn by(argument: &StateDirectory, directory: &Directory, task: usize) -> Option<By> {
    let by = directory.claimant(task).unwrap_or_else(|error| {
        complain(&argument.in_words(&error));
        None
    })?;
    Some(By {
        host: by.host,
        pid: by.pid,
        heartbeat_age: by.age.as_secs_f64(),
    })
}

fn since_1970(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
