//! The processes that a launch started, also those that have lost their launcher.
//!
//! The test process adopts orphans, so that all that a launch started stays below it. Only one launch runs at a time.

use std::process::Child;
use std::time::Duration;

pub use process_tree::is_running;

/// How long a launcher has for ending its ranks by itself.
const GRACE: Duration = Duration::from_secs(2);

const NO_TABLE: &str = "the processes of a launch are found";

/// From now on processes whose parent has died become children of this one.
pub(crate) fn adopt_orphans() {
    process_tree::adopt_orphans().expect("Linux has subreapers");
}

/// Whether `launcher`, which has ended, left running processes behind.
pub(crate) fn has_left_some(launcher: &Child) -> bool {
    process_tree::reap_orphans(launcher.id()).expect(NO_TABLE);
    !process_tree::descendants().expect(NO_TABLE).is_empty()
}

/// Ends `launcher` and all processes that it started.
pub(crate) fn kill(launcher: &mut Child) {
    process_tree::end_descendants(GRACE).expect(NO_TABLE);
    process_tree::reap_orphans(launcher.id()).expect(NO_TABLE);
    launcher.wait().expect("the launcher is our child");
}
