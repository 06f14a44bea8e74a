//! Cases that go wrong on purpose, to see that the tests would notice.

use std::thread;
use std::time::Duration;

use mpisync_tests::job::{Case, Job};

pub const CASES: &[Case] = &[
    ("passes", |_| ()),
    ("fails_on_last_rank", fails_on_last_rank),
    ("hangs", hangs),
    ("last_rank_is_killed", last_rank_is_killed),
];

fn fails_on_last_rank(job: &Job) {
    assert_ne!(job.rank, job.size - 1, "wrong on purpose");
}

/// Waits as a rank does that nobody ever grants a lock.
fn hangs(job: &Job) {
    job.tell(&std::process::id().to_string());
    loop {
        thread::sleep(Duration::from_millis(10));
    }
}

/// The others are still there long after the last one is dead.
fn last_rank_is_killed(job: &Job) {
    if job.rank == job.size - 1 {
        // SAFETY: plain system call on this very process.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
    thread::sleep(Duration::from_millis(500));
    job.tell("survived");
    job.scratch.meet(0, job.size - 1);
    job.leave();
}
