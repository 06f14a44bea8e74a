//! A thread that only sleeps, for a millisecond at a time: the cost of such sleeps on this machine.

use std::thread;
use std::time::Duration;

use super::{Case, IDLE_SPAN};
use crate::clock;
use crate::team::Team;
use crate::turns::Subject;

/// The sleeps.
pub struct Nap1ms;

impl Subject<Case> for Nap1ms {
    fn round(&mut self, _case: Case, team: &Team) -> f64 {
        team.start();
        let end = clock::now() + IDLE_SPAN;
        let sleeper = thread::spawn(move || {
            while clock::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
            clock::thread_time()
        });
        clock::sleep_until(end);
        let mine = sleeper.join().expect("a sleeper does not panic");
        team.max(mine) as f64
    }

    fn close(self: Box<Self>) {}
}
