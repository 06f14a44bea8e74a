//! The tasks that this rank has, from the taking to the recorded outcome.

use crate::batch::State;
use crate::batch::directory::Claim;
use crate::batch::limits::Limits;
use crate::batch::table::Taken;
use crate::batch::vote::Vote;
use crate::span::{About, Ended, Hold, Outcome};
use std::cell::RefCell;
use std::time::Instant;

/// A task that this rank has.
pub(super) struct CurrentTask {
    pub(super) task: usize,
    /// The state before it was taken.
    was: State,
    /// The number of this try, if tries are counted.
    pub(super) attempt: Option<u32>,
    /// This rank's vote, until the outcome is recorded.
    pub(super) vote: Option<Vote>,
    /// On the leader.
    pub(super) held: Option<Held>,
    hold: Hold,
}

/// What the leader has of a task.
pub(super) struct Held {
    pub(super) taken: Taken,
    /// With a state directory.
    pub(super) claim: Option<Claim>,
    /// When it was taken, if that is limited.
    pub(super) since: Option<Instant>,
}

impl CurrentTask {
    /// That of a rank that is not the leader.
    pub(super) fn of_other(task: usize, was: State, attempt: Option<u32>) -> Self {
        CurrentTask {
            task,
            was,
            attempt,
            vote: None,
            held: None,
            hold: Hold::default(),
        }
    }

    #[inline]
    pub(super) fn of_leader(
        taken: Taken,
        claim: Option<Claim>,
        was: State,
        attempt: Option<u32>,
        limits: &Limits,
    ) -> Self {
        CurrentTask {
            held: Some(Held {
                taken,
                claim,
                // Otherwise no task pays for reading the clock.
                since: limits.task_timeout.map(|_| Instant::now()),
            }),
            ..Self::of_other(taken.task, was, attempt)
        }
    }
}

/// The tasks of a round, by their positions. All ranks of a worker have them in the same order.
///
/// The ends of tasks are in any order, and each leaves its position empty. A cell, because each task
/// that the program has borrows the batch.
#[derive(Default)]
pub(super) struct CurrentTasks {
    tasks: RefCell<Vec<Option<CurrentTask>>>,
    /// The message of the panic that has dropped tasks of this round.
    panic: RefCell<Option<String>>,
}

impl CurrentTasks {
    /// The number of tasks of the round, with those that have ended.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Adds a task at the next position.
    #[inline]
    pub(super) fn push(&self, task: CurrentTask) {
        self.tasks.borrow_mut().push(Some(task));
    }

    /// Begins a round without tasks. All tasks of the last one have been taken out.
    #[inline]
    pub(super) fn clear(&self) {
        self.tasks.borrow_mut().clear();
        self.panic.take();
    }

    /// The message of this thread's panic, or a hint if it is not known.
    pub(super) fn panic_message(&self) -> String {
        // It can be had once, and the panic may drop several tasks.
        #[cfg(feature = "mpi")]
        if let Some(message) = crate::rsmpi::run::take_panic_message() {
            self.panic.replace(Some(message));
        }
        let message = self.panic.borrow().clone();
        message.unwrap_or_else(|| "a panic; its rank has printed the message".to_owned())
    }

    /// Takes out a task.
    #[inline]
    pub(super) fn take(&self, position: usize) -> Option<CurrentTask> {
        self.tasks.borrow_mut().get_mut(position)?.take()
    }

    /// The index of a task, its state before, and the number of this try.
    #[inline]
    pub(super) fn facts(&self, position: usize) -> Option<(usize, State, Option<u32>)> {
        let tasks = self.tasks.borrow();
        let task = tasks.get(position)?.as_ref()?;
        Some((task.task, task.was, task.attempt))
    }

    /// All facts by the position; those that have ended are left out.
    pub(super) fn all_facts(&self) -> Vec<(usize, State, Option<u32>)> {
        let positions = 0..self.len();
        positions
            .filter_map(|position| self.facts(position))
            .collect()
    }

    /// Whether this rank has a task at this position, and has not voted on it.
    #[inline]
    pub(super) fn is_undecided(&self, position: usize) -> bool {
        let tasks = self.tasks.borrow();
        let task = tasks.get(position).and_then(Option::as_ref);
        task.is_some_and(|task| task.vote.is_none())
    }

    /// Votes on a task, which stays until it is taken out. None if it is not there.
    #[inline]
    pub(super) fn vote(&self, position: usize, vote: Vote) -> Option<Ended> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(position)?.as_mut()?;
        let ended = task.hold.end_as(match vote {
            Vote::Done | Vote::Open => Outcome::Success,
            Vote::Failed(_) | Vote::Dropped => Outcome::Failure,
        });
        task.vote = Some(vote);
        Some(ended)
    }

    /// Says to those who observe that this rank has the tasks. `about` describes one by its index.
    #[inline]
    pub(super) fn begin_holds<'a>(&self, about: impl Fn(usize) -> About<'a>) {
        for task in self.tasks.borrow().iter().flatten() {
            task.hold.begin(|| about(task.task));
        }
    }
}
