//! A round of a worker: its leader takes tasks and claims them, and shares what it has found with the
//! other ranks.

use crate::batch::current::CurrentTask;
use crate::batch::directory::{Again, Claimed};
use crate::batch::table::Taken;
use crate::batch::table::layout::{MOST_AT_ONCE, TaskStatus};
use crate::batch::vote::Vote;
use crate::batch::{Batch, BatchError, State};
use crate::share::OuterCall;
use crate::span::{About, Activity};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::mem;
use std::panic::Location;

/// The tasks that the leader has taken for its worker; none if no task is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Round {
    /// The number of rounds that the worker has had, with this one.
    number: u64,
    /// The index of each task, its state before, and the number of this try.
    tasks: Vec<(usize, State, Option<u32>)>,
}

/// A call that may take tasks.
#[derive(Clone, Copy)]
pub(super) struct Taking {
    pub(super) name: &'static str,
    pub(super) again: Again,
    /// How many tasks it takes at most.
    pub(super) most: usize,
    /// Whether it waits for tasks that may be opened again.
    pub(super) waits: bool,
    pub(super) location: &'static Location<'static>,
}

impl Batch {
    /// Begins a round: the tasks that the worker takes are the current ones. A call that waits takes
    /// none only once no worker has a task that may be opened again.
    pub(super) fn take(&mut self, taking: Taking) -> Result<(), BatchError> {
        self.object.check_usable()?;
        self.check_stops();
        if self.worker.is_leader() {
            let found = self.find(taking).map(|()| self.found());
            self.share(found, taking.name, taking.location)?;
        } else {
            let received = self.receive::<Round>(taking.name, taking.location);
            for &(task, was, attempt) in received.iter().flat_map(|round| &round.tasks) {
                let current = CurrentTask::of_other(task, was, attempt);
                self.current.push(current);
            }
            if let Ok(round) = &received {
                self.round = round.number;
            }
            if taking.most == 0 {
                // The leader has found the same, or the ranks do not agree.
                self.drop_tasks(&Vote::Dropped);
                self.current.clear();
                return Err(BatchError::ZeroTasks);
            }
            received?;
        }
        self.current.begin_holds(|task| About {
            task: Some(task),
            ..self
                .object
                .block()
                .holds(Activity::Task, Some(taking.location))
        });
        Ok(())
    }

    /// On the leader: ends the previous round, takes tasks from the table, and claims them in the state
    /// directory.
    fn find(&mut self, taking: Taking) -> Result<(), BatchError> {
        self.end_round()?;
        if taking.most == 0 {
            return Err(BatchError::ZeroTasks);
        }
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        loop {
            self.fill(taking)?;
            if self.current.len() > 0 {
                self.round += 1;
                return Ok(());
            }
            let is_open = match taking.waits {
                true => self.wait_for_task(taking.name, taking.location)?,
                false => self.reclaim()?,
            };
            if !is_open {
                return Ok(());
            }
        }
    }

    /// On the leader: what the other ranks of the worker have to know of this round.
    #[inline]
    fn found(&self) -> Round {
        let tasks = match self.worker.team {
            Some(_) => self.current.all_facts(),
            None => Vec::new(),
        };
        Round {
            number: self.round,
            tasks,
        }
    }

    /// On the leader: ends the previous round, and checks that all ranks still take part.
    pub(super) fn end_round(&mut self) -> Result<(), BatchError> {
        self.settle_all()?;
        match self.broken.get() {
            Some(error) => Err(error.clone()),
            None => self.worker.check_present(),
        }
    }

    /// On the leader: takes tasks and claims them, until there are as many as requested, or no further
    /// one is open.
    #[inline]
    fn fill(&mut self, taking: Taking) -> Result<(), BatchError> {
        let most = taking.most.min(MOST_AT_ONCE);
        // Each task of a round that is taken has another place in the table.
        let mut place = 0;
        loop {
            let has = self.current.len();
            if has == 0 {
                place = 0;
            }
            let wanted = (most - has).min(MOST_AT_ONCE - place);
            if wanted == 0 {
                return Ok(());
            }
            let mut taken = mem::take(&mut self.taken);
            let places = place..place + wanted;
            let asked = (self.table).take(&self.object, taking.again, places, &mut taken);
            place += taken.len();
            let are_all = taken.len() == wanted;
            let claimed = self.claim_all(&taken, taking.again);
            taken.clear();
            self.taken = taken;
            match asked.map_err(BatchError::from).and(claimed) {
                Err(error) if self.current.len() == 0 => return Err(error),
                Err(error) => {
                    self.deferred = Some(error);
                    return Ok(());
                }
                Ok(()) if !are_all => return Ok(()),
                Ok(()) => {}
            }
        }
    }

    /// Claims tasks that the table has given to this rank. After an error the rest of them are as
    /// before.
    #[inline]
    fn claim_all(&mut self, all: &[Taken], again: Again) -> Result<(), BatchError> {
        for (index, &taken) in all.iter().enumerate() {
            match self.claim(taken, again) {
                Ok(true) => {}
                Ok(false) => self.check_stops(),
                Err(error) => {
                    for &rest in &all[index + 1..] {
                        self.table.finish(&self.object, rest, rest.was);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Makes a task that the table has given to this rank a current one. False if another job has the
    /// task, or if it cannot be run.
    #[inline]
    fn claim(&mut self, taken: Taken, again: Again) -> Result<bool, BatchError> {
        let Taken {
            task, was, byte, ..
        } = taken;
        let Some(directory) = &self.directory else {
            let attempt = self.limits.tries.map(|_| byte.takings());
            let was = State::from(was);
            let current = CurrentTask::of_leader(taken, None, was, attempt, &self.limits);
            self.current.push(current);
            return Ok(true);
        };
        let (status, claimed) = match directory.claim(task, again) {
            Ok(Claimed::Mine(claim, was)) => {
                let attempt = claim.attempt();
                let current =
                    CurrentTask::of_leader(taken, Some(claim), was, attempt, &self.limits);
                self.current.push(current);
                return Ok(true);
            }
            Ok(Claimed::Over(state)) => (TaskStatus::from(state), Ok(false)),
            Ok(Claimed::Taken(_)) => (TaskStatus::Elsewhere, Ok(false)),
            Err(error) if directory.is_flaw(task, &error) => {
                let noted = self.note_problem(task, error);
                (TaskStatus::Invalid, noted.map(|()| false))
            }
            // Other ranks may be able to claim it, or the next call. Its file has the state.
            Err(error) => (TaskStatus::Open, Err(self.file_system_error(error))),
        };
        self.table.finish(&self.object, taken, status);
        claimed
    }

    /// A call as the one that the ranks of the worker meet for.
    pub(super) fn outer_call<'a>(&'a self, name: &'a str, poll: &'a dyn Fn()) -> OuterCall<'a> {
        OuterCall {
            block: self.object.block(),
            members: self.worker.members(),
            name,
            poll,
        }
    }

    /// On the leader: shares the result of a call with the other ranks of the worker.
    pub(super) fn share<T: Clone + Serialize>(
        &mut self,
        result: Result<T, BatchError>,
        name: &str,
        location: &'static Location<'static>,
    ) -> Result<T, BatchError> {
        let outer = self.outer_call(name, &|| {});
        if let Err(error) = self.worker.share(&result, &outer, location) {
            self.give_up();
            return Err(error);
        }
        result
    }

    /// On the other ranks: waits for the result that the leader shares.
    pub(super) fn receive<T: DeserializeOwned>(
        &mut self,
        name: &str,
        location: &'static Location<'static>,
    ) -> Result<T, BatchError> {
        // Tasks that were forgotten.
        self.drop_tasks(&Vote::Open);
        self.current.clear();
        let poll = || self.check_stops();
        self.worker.receive(&self.outer_call(name, &poll), location)
    }

    /// Shares an error with the other ranks of the worker, which wait for the next task, and
    /// returns it.
    #[track_caller]
    pub(super) fn refuse_next(&mut self, error: BatchError) -> BatchError {
        if let Err(finalized) = self.object.check_usable() {
            return finalized.into();
        }
        let refused = self.end_round().and(Err::<Round, _>(error.clone()));
        let shared = self.share(refused, "for_each", Location::caller());
        shared.err().unwrap_or(error)
    }
}
