//! Random steps of some ranks, beside a model that is plainly right.

use crate::batch::table::layout::Entry;
use crate::batch::table::tests::ledger;
use crate::batch::table::{Offers, Taken};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Take {
        rank: usize,
        offers: Offers,
    },
    Finish {
        rank: usize,
        entry: Entry,
    },
    Set {
        task: usize,
        entry: Entry,
    },
    /// The rank is killed, which is noticed, and another one has its place from now on.
    Die {
        rank: usize,
    },
}

const RANKS: usize = 3;
const TASKS: usize = 70;

fn ends() -> impl Strategy<Value = Entry> {
    prop::sample::select(vec![Entry::Open, Entry::Done, Entry::Failed])
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offers = any::<[bool; 3]>().prop_map(|[elsewhere, failed, done]| Offers {
        elsewhere,
        failed,
        done,
    });
    let entries = prop::sample::select(vec![
        Entry::Open,
        Entry::Done,
        Entry::Failed,
        Entry::Elsewhere,
        Entry::Invalid,
    ]);
    let step = prop_oneof![
        4 => (0..RANKS, offers).prop_map(|(rank, offers)| Step::Take { rank, offers }),
        4 => (0..RANKS, ends()).prop_map(|(rank, entry)| Step::Finish { rank, entry }),
        1 => (0..TASKS, entries).prop_map(|(task, entry)| Step::Set { task, entry }),
        1 => (0..RANKS).prop_map(|rank| Step::Die { rank }),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_steps_leave_what_the_model_says(steps in steps()) {
        let mut ledger = ledger(TASKS, RANKS);
        let mut model = [Entry::Open; TASKS];
        let mut has: [Option<usize>; RANKS] = [None; RANKS];
        let mut was_taken = [false; TASKS];
        for step in steps {
            match step {
                Step::Take { rank, offers } if has[rank].is_none() => {
                    let taken = ledger.take(rank, offers);
                    let open = model.iter().position(|&entry| entry == Entry::Open);
                    match (taken, open) {
                        (Some(Taken { task, was }), Some(first)) => {
                            prop_assert_eq!((task, was), (first, Entry::Open));
                        }
                        (Some(Taken { task, was }), None) => {
                            prop_assert_eq!(model[task], was);
                            let is_offered = match was {
                                Entry::Elsewhere => offers.elsewhere,
                                Entry::Failed => offers.failed,
                                Entry::Done => offers.done && !was_taken[task],
                                _ => false,
                            };
                            prop_assert!(is_offered);
                        }
                        (None, open) => prop_assert_eq!(open, None),
                    }
                    if let Some(taken) = taken {
                        model[taken.task] = Entry::Taken;
                        was_taken[taken.task] = true;
                        has[rank] = Some(taken.task);
                    }
                }
                Step::Finish { rank, entry } => {
                    if let Some(task) = has[rank].take() {
                        prop_assert!(ledger.finish(rank, task, entry));
                        model[task] = entry;
                    }
                }
                Step::Set { task, entry } => {
                    let may = model[task] != Entry::Taken;
                    prop_assert_eq!(ledger.set(task, entry), may);
                    if may {
                        model[task] = entry;
                    }
                }
                Step::Die { rank } => {
                    ledger.memory.dead = vec![rank];
                    prop_assert_eq!(ledger.bury(), usize::from(has[rank].is_some()));
                    ledger.memory.dead = Vec::new();
                    if let Some(task) = has[rank].take() {
                        model[task] = Entry::Open;
                    }
                }
                Step::Take { .. } => {}
            }
            for (task, &entry) in model.iter().enumerate() {
                prop_assert_eq!(ledger.entry(task), entry);
            }
            let first = model.iter().position(|&entry| entry == Entry::Open);
            prop_assert_eq!(ledger.index().first(), first);
        }
    }
}
