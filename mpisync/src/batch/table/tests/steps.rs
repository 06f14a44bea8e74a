//! Random steps of some ranks, compared with a simple model.

use crate::batch::directory::Again;
use crate::batch::table::Taken;
use crate::batch::table::layout::TaskStatus;
use crate::batch::table::tests::table;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Take {
        rank: usize,
        again: Again,
    },
    Finish {
        rank: usize,
        status: TaskStatus,
    },
    Set {
        task: usize,
        status: TaskStatus,
    },
    /// The rank is killed, which is noticed, and another one takes its place.
    Die {
        rank: usize,
    },
}

const RANKS: usize = 3;
const TASKS: usize = 70;

fn ends() -> impl Strategy<Value = TaskStatus> {
    prop::sample::select(vec![TaskStatus::Open, TaskStatus::Done, TaskStatus::Failed])
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let again = any::<[bool; 3]>().prop_map(|[running, failed, done]| Again {
        running,
        failed,
        done,
    });
    let statuses = prop::sample::select(vec![
        TaskStatus::Open,
        TaskStatus::Done,
        TaskStatus::Failed,
        TaskStatus::Elsewhere,
        TaskStatus::Invalid,
    ]);
    let step = prop_oneof![
        4 => (0..RANKS, again).prop_map(|(rank, again)| Step::Take { rank, again }),
        4 => (0..RANKS, ends()).prop_map(|(rank, status)| Step::Finish { rank, status }),
        1 => (0..TASKS, statuses).prop_map(|(task, status)| Step::Set { task, status }),
        1 => (0..RANKS).prop_map(|rank| Step::Die { rank }),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_steps_leave_what_the_model_says(steps in steps()) {
        let mut table = table(TASKS, RANKS);
        let mut model = [TaskStatus::Open; TASKS];
        let mut has: [Option<Taken>; RANKS] = [None; RANKS];
        let mut was_taken = [false; TASKS];
        for step in steps {
            match step {
                Step::Take { rank, again } if has[rank].is_none() => {
                    let taken = table.take(rank, again);
                    let open = model.iter().position(|&status| status == TaskStatus::Open);
                    match (taken, open) {
                        (Some(Taken { task, was, .. }), Some(first)) => {
                            prop_assert_eq!((task, was), (first, TaskStatus::Open));
                        }
                        (Some(Taken { task, was, .. }), None) => {
                            prop_assert_eq!(model[task], was);
                            let is_offered = match was {
                                TaskStatus::Elsewhere => again.running,
                                TaskStatus::Failed => again.failed,
                                TaskStatus::Done => again.done && !was_taken[task],
                                _ => false,
                            };
                            prop_assert!(is_offered);
                        }
                        (None, open) => prop_assert_eq!(open, None),
                    }
                    if let Some(taken) = taken {
                        model[taken.task] = TaskStatus::Taken;
                        was_taken[taken.task] = true;
                        has[rank] = Some(taken);
                    }
                }
                Step::Finish { rank, status } => {
                    if let Some(taken) = has[rank].take() {
                        prop_assert!(table.finish(rank, taken, status));
                        model[taken.task] = status;
                    }
                }
                Step::Set { task, status } => {
                    let may = model[task] != TaskStatus::Taken;
                    prop_assert_eq!(table.set(task, status), may);
                    if may {
                        model[task] = status;
                    }
                }
                Step::Die { rank } => {
                    table.memory.dead = vec![rank];
                    prop_assert_eq!(table.reclaim(), usize::from(has[rank].is_some()));
                    table.memory.dead = Vec::new();
                    if let Some(taken) = has[rank].take() {
                        model[taken.task] = TaskStatus::Open;
                    }
                }
                Step::Take { .. } => {}
            }
            for (task, &status) in model.iter().enumerate() {
                prop_assert_eq!(table.status(task), status);
            }
            let first = model.iter().position(|&status| status == TaskStatus::Open);
            prop_assert_eq!(table.index().first(), first);
        }
    }
}
