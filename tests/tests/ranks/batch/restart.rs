//! The job that is killed and started again; see `tests/batch_restart.rs`.

mod kills;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use launcher::processes::is_running;
use mpisync::Batch;
use mpisync_tests::job::Job;

mpisync_tests::cases!(on []:
    goes_on,
);

/// The environment variable that names the directory that all runs of the job have in common.
const DIRECTORY: &str = "TEST_RESTART_DIRECTORY";

/// The state directory in it.
const STATES: &str = "states";

/// The log in it. Each rank writes a line for each event: `begin`, `end` or `done`, the task, its
/// number in the worker, its process.
const LOG: &str = "log";

/// The number of tasks.
const TASKS: usize = 60;

/// The log of all jobs, written by lines.
struct Log {
    file: File,
    directory: PathBuf,
}

impl Log {
    fn open(directory: PathBuf) -> Self {
        let options = OpenOptions::new().append(true).create(true).clone();
        let file = options.open(directory.join(LOG)).unwrap();
        Log { file, directory }
    }

    fn write(&mut self, what: &str, task: usize, rank: i32) {
        let process = std::process::id();
        let line = format!("{what} {task} {rank} {process}\n");
        self.file.write_all(line.as_bytes()).unwrap();
    }

    /// Locks a file; the kernel unlocks it when this process ends in any way. Reports if another
    /// living process has the lock.
    fn lock(&mut self, task: usize) -> File {
        let path = self.directory.join(format!("lock.{task}"));
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .clone();
        let mut file = options.open(path).unwrap();
        // SAFETY: the descriptor is that of an open file, and `flock` touches no memory.
        while unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            let error = io::Error::last_os_error();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            let mut holder = String::new();
            file.read_to_string(&mut holder).unwrap();
            if holder.trim().parse().is_ok_and(is_running) {
                self.write("overlap", task, 0);
                break;
            }
            // Of a process that has just been killed.
            thread::sleep(Duration::from_millis(1));
        }
        file.set_len(0).unwrap();
        let process = std::process::id();
        file.write_all(process.to_string().as_bytes()).unwrap();
        file
    }
}

fn goes_on(job: &Job) {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).expect("a directory is named"));
    let mut log = Log::open(directory.clone());
    let each = if job.size % 2 == 0 { 2 } else { 1 };
    let builder = Batch::builder(&job.world).worker_size(each).tasks(TASKS);
    let states = directory.join(STATES);
    let builder = builder.state_dir(states).durable(false);
    // The time for which a claim is considered alive if its maker was killed before it wrote its
    // name.
    let mut batch = builder.build().unwrap();
    // Workers with an odd number take several tasks at a time.
    let most = 1 + batch.worker().number() as usize % 2 * 3;
    loop {
        while let Some(tasks) = batch.next_tasks(most).unwrap() {
            for task in tasks {
                let (index, rank) = (task.index(), task.worker().rank());
                let lock = (rank == 0).then(|| log.lock(index));
                log.write("begin", index, rank);
                thread::sleep(Duration::from_millis(2 + index as u64 % 5));
                log.write("end", index, rank);
                drop(lock);
                task.done().unwrap();
                if rank == 0 {
                    log.write("done", index, rank);
                }
            }
        }
        // Tasks of another job may be opened again.
        if batch.wait_all().unwrap().is_over() {
            break;
        }
    }
    let summary = batch.wait_all().unwrap();
    assert_eq!(summary.done, TASKS as u64, "{summary}");
    batch.close().unwrap();
    // For a process that inspects the files that were left behind.
    fs::metadata(directory.join(LOG)).unwrap();
}
