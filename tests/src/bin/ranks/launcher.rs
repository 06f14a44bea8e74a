//! Cases that go wrong on purpose, to see that the tests would notice.

use std::thread;
use std::time::Duration;

use mpisync_tests::job::{Case, Job};

pub const CASES: &[Case] = &[
    ("passes", |_| ()),
    ("fails_on_last_rank", fails_on_last_rank),
    ("hangs", hangs),
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
