//! Three jobs that do anything in any order, compared with a model.

use crate::batch::directory::DirectoryError;
use crate::batch::directory::tests::*;
use proptest::prelude::*;

const JOBS: usize = 3;
const TASKS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Act {
    Claim {
        job: usize,
        task: usize,
        again: Again,
    },
    Settle {
        held: usize,
        state: State,
    },
    Drop {
        held: usize,
    },
    /// The outcome of the task cannot be written.
    Abandon {
        held: usize,
    },
    /// The heartbeats of a task's last claim fail for an hour.
    Stall {
        task: usize,
    },
    Set {
        job: usize,
        task: usize,
        state: State,
    },
    /// The same by a person, by force.
    Force {
        job: usize,
        task: usize,
        state: State,
    },
    /// The last claim was made by a host whose clock is an hour ahead.
    Ahead {
        task: usize,
    },
    /// pshmem, or a person, writes the state.
    Write {
        task: usize,
        state: State,
    },
    /// The state is an hour old.
    Age {
        task: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Alive,
    Dead,
    Released,
}

/// A task of the model.
#[derive(Clone, Debug)]
struct Model {
    state: State,
    is_old: bool,
    claims: Vec<Fate>,
}

impl Model {
    fn last(&self) -> Fate {
        // No claim is treated like a released one.
        self.claims.last().copied().unwrap_or(Fate::Released)
    }

    fn write(&mut self, state: State) {
        self.state = state;
        self.is_old = false;
    }

    /// The expected result of a claim: `Ok` with the previous state if the task is free, otherwise
    /// whether it is over.
    fn claim(&mut self, again: Again) -> Result<State, bool> {
        let was = self.state;
        match was {
            State::Invalid => return Err(true),
            State::Done if !again.done => return Err(true),
            State::Failed if !again.failed => return Err(true),
            _ if self.last() == Fate::Alive => return Err(false),
            State::Running if self.last() == Fate::Released && !again.running && !self.is_old => {
                return Err(false);
            }
            _ => {}
        }
        self.claims.push(Fate::Alive);
        self.write(State::Running);
        Ok(was)
    }

    /// Whether the claim can be settled.
    fn settle(&mut self, number: usize, state: State) -> bool {
        let is_last = number == self.claims.len();
        if is_last {
            self.claims[number - 1] = Fate::Released;
            self.write(state);
        }
        is_last
    }
}

fn states() -> impl Strategy<Value = State> {
    prop::sample::select(vec![
        State::Open,
        State::Running,
        State::Done,
        State::Failed,
        State::Invalid,
    ])
}

fn acts() -> impl Strategy<Value = Act> {
    let again =
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(running, failed, done)| Again {
            running,
            failed,
            done,
        });
    prop_oneof![
        6 => (0..JOBS, 0..TASKS, again).prop_map(|(job, task, again)| Act::Claim { job, task, again }),
        3 => (0..9_usize, states()).prop_map(|(held, state)| Act::Settle { held, state }),
        1 => (0..9_usize).prop_map(|held| Act::Drop { held }),
        1 => (0..9_usize).prop_map(|held| Act::Abandon { held }),
        2 => (0..TASKS).prop_map(|task| Act::Stall { task }),
        1 => (0..TASKS).prop_map(|task| Act::Ahead { task }),
        1 => (0..JOBS, 0..TASKS, states()).prop_map(|(job, task, state)| Act::Force { job, task, state }),
        1 => (0..JOBS, 0..TASKS, states()).prop_map(|(job, task, state)| Act::Set { job, task, state }),
        1 => (0..TASKS, states()).prop_map(|(task, state)| Act::Write { task, state }),
        1 => (0..TASKS).prop_map(|task| Act::Age { task }),
    ]
}

struct World {
    scratch: Scratch,
    jobs: Vec<Directory>,
    held: Vec<Claim>,
    models: Vec<Model>,
}

impl World {
    fn new() -> Self {
        let scratch = Scratch::with_tasks(TASKS);
        let model = Model {
            state: State::Open,
            is_old: false,
            claims: Vec::new(),
        };
        World {
            jobs: (0..JOBS).map(|_| scratch.job()).collect(),
            held: Vec::new(),
            models: vec![model; TASKS],
            scratch,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Claim { job, task, again } => {
                let claimed = self.jobs[job].claim(task, again).expect("it is read");
                match (self.models[task].claim(again), claimed) {
                    (Ok(was), Claimed::Mine(claim, found)) => {
                        assert_eq!(found, was);
                        assert_eq!(claim.number, self.models[task].claims.len() as u64);
                        self.held.push(claim);
                    }
                    (Err(true), Claimed::Over(_)) | (Err(false), Claimed::Taken(_)) => {}
                    (expected, found) => panic!("{found:?} instead of {expected:?}"),
                }
            }
            Act::Settle { held, state } => {
                let Some((claim, number)) = self.take(held) else {
                    return;
                };
                let expected = self.models[claim.task()].settle(number, state);
                match claim.settle(state, Some("a reason")) {
                    Ok(()) => assert!(expected),
                    Err(DirectoryError::Lost { .. }) => assert!(!expected),
                    Err(error) => panic!("{error}"),
                }
            }
            Act::Drop { held } => {
                if let Some((claim, number)) = self.take(held) {
                    self.models[claim.task()].settle(number, State::Open);
                }
            }
            Act::Abandon { held } => {
                if let Some((mut claim, number)) = self.take(held) {
                    let task = claim.task();
                    claim.withdraw();
                    claim.is_settled = true;
                    if let Some(fate) = self.models[task].claims.get_mut(number - 1) {
                        *fate = Fate::Dead;
                    }
                }
            }
            Act::Stall { task } => {
                let model = &mut self.models[task];
                if let Some(fate @ Fate::Alive) = model.claims.last_mut() {
                    *fate = Fate::Dead;
                    let last = model.claims.len();
                    self.scratch
                        .set_back(format!("{}/claim.{last}", names(TASKS)[task]));
                }
            }
            Act::Force { job, task, state } => {
                let forced = self.jobs[job].force(task, state, |_| true);
                assert!(forced.expect("it is set"));
                let model = &mut self.models[task];
                if let Some(fate @ Fate::Alive) = model.claims.last_mut() {
                    // It is treated like that of a job that does not keep up.
                    *fate = Fate::Dead;
                }
                model.claims.push(Fate::Released);
                model.write(state);
            }
            Act::Ahead { task } => {
                if self.models[task].last() == Fate::Alive {
                    let last = self.models[task].claims.len();
                    let ahead = SystemTime::now() + Duration::from_secs(3600);
                    self.scratch
                        .set_time(format!("{}/claim.{last}", names(TASKS)[task]), ahead);
                }
            }
            Act::Set { job, task, state } => {
                let model = &mut self.models[task];
                let set = self.jobs[job].set(task, state);
                if model.last() == Fate::Alive {
                    let error = set.expect_err("a living job has it");
                    assert!(matches!(error, DirectoryError::Taken { .. }), "{error}");
                } else {
                    set.expect("nobody has it");
                    model.claims.push(Fate::Released);
                    model.write(state);
                }
            }
            Act::Write { task, state } => {
                let file = format!("{}/state", names(TASKS)[task]);
                self.scratch.write(&file, format!("{state}\n"));
                self.models[task].write(state);
            }
            Act::Age { task } => {
                self.scratch
                    .set_back(format!("{}/state", names(TASKS)[task]));
                self.models[task].is_old = true;
            }
        }
    }

    fn take(&mut self, held: usize) -> Option<(Claim, usize)> {
        if self.held.is_empty() {
            return None;
        }
        let claim = self.held.swap_remove(held % self.held.len());
        let number = claim.number as usize;
        Some((claim, number))
    }

    /// The invariants.
    fn check(&self) {
        for (task, model) in self.models.iter().enumerate() {
            for job in &self.jobs {
                assert_eq!(job.state(task).expect("it is there"), model.state);
                let claimant = job.claimant(task).expect("it is there");
                assert_eq!(claimant.is_some(), model.last() == Fate::Alive);
                if model.state != State::Failed {
                    assert_eq!(job.reason(task), None);
                }
            }
            let alive = model.claims.iter().filter(|fate| **fate == Fate::Alive);
            assert!(alive.count() <= 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn any_order_of_calls_does_what_the_model_does(acts in prop::collection::vec(acts(), 1..40)) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
            world.check();
        }
    }
}
