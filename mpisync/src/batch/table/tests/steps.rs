//! Random steps of some ranks, compared with a simple model.

use crate::batch::directory::Again;
use crate::batch::table::Taken;
use crate::batch::table::layout::TaskStatus;
use crate::batch::table::tests::{table, take_up_to};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Take {
        rank: usize,
        again: Again,
        most: usize,
    },
    /// Of the tasks that the rank has, one.
    Finish {
        rank: usize,
        which: usize,
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
        4 => (0..RANKS, again, 1..5_usize)
            .prop_map(|(rank, again, most)| Step::Take { rank, again, most }),
        8 => (0..RANKS, any::<usize>(), ends())
            .prop_map(|(rank, which, status)| Step::Finish { rank, which, status }),
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
        let mut has: [Vec<Taken>; RANKS] = Default::default();
        let mut was_taken = [false; TASKS];
        for step in steps {
            match step {
                Step::Take { rank, again, most } if has[rank].is_empty() => {
                    let found = take_up_to(&table, rank, again, most);
                    let open = |status: &TaskStatus| *status == TaskStatus::Open;
                    let left = model.iter().filter(|status| open(status)).count();
                    prop_assert!(found.len() <= most && found.len() >= left.min(most));
                    for Taken { task, was, .. } in &found {
                        let (task, was) = (*task, *was);
                        prop_assert_eq!(model[task], was);
                        let is_offered = match was {
                            TaskStatus::Elsewhere => again.running,
                            TaskStatus::Failed => again.failed,
                            TaskStatus::Done => again.done && !was_taken[task],
                            _ => false,
                        };
                        match model.iter().position(&open) {
                            Some(first) => prop_assert_eq!(task, first),
                            None => prop_assert!(is_offered),
                        }
                        model[task] = TaskStatus::Taken;
                        was_taken[task] = true;
                    }
                    has[rank] = found;
                }
                Step::Finish { rank, which, status } if !has[rank].is_empty() => {
                    let which = which % has[rank].len();
                    let taken = has[rank].swap_remove(which);
                    prop_assert!(table.finish(rank, taken, status));
                    model[taken.task] = status;
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
                    prop_assert_eq!(table.reclaim(), has[rank].len());
                    table.memory.dead = Vec::new();
                    for taken in has[rank].drain(..) {
                        model[taken.task] = TaskStatus::Open;
                    }
                }
                Step::Take { .. } | Step::Finish { .. } => {}
            }
            for (task, &status) in model.iter().enumerate() {
                prop_assert_eq!(table.status(task), status);
            }
            let first = model.iter().position(|&status| status == TaskStatus::Open);
            prop_assert_eq!(table.index().first(), first);
        }
    }
}
