//! Fenced calls and tasks as futures, with threads as ranks.

use crate::common::{LIMIT, ranks, within};
use crate::polling::poll_once;
use futures::executor::block_on;
use mpisync::prelude::*;
use std::sync::Barrier as ThreadBarrier;
use std::task::Poll;

/// The value of `writer`, as a future or as a call.
async fn share(ctrl: &mut WindowController, writer: i32, value: Vec<u8>, waits: bool) -> Vec<u8> {
    let on = ctrl.on(writer).expect("it is a rank").named("share");
    let access = match waits {
        true => on.single_write(),
        false => on.single_write_async().await.expect("all ranks come"),
    };
    match access {
        Access::Writer(fence) => fence.share(value),
        Access::Excluded(fence) if waits => fence.collect(),
        Access::Excluded(fence) => fence.collect_async().await,
    }
    .expect("all ranks come")
}

#[test]
fn all_ranks_get_the_value_as_futures_and_as_calls() {
    within(LIMIT, || {
        for length in [0, 10, 500, 1_000_000] {
            let values = ranks(4).run(|mut ctrl| {
                block_on(async {
                    let mut last = Vec::new();
                    for round in 0..20_u8 {
                        let writer = i32::from(round) % 4;
                        let waits = (ctrl.rank() + i32::from(round / 4)) % 2 == 0;
                        last = share(&mut ctrl, writer, vec![round; length], waits).await;
                        assert!(last == vec![round; length], "a wrong value");
                    }
                    last
                })
            });
            assert_eq!(values, vec![vec![19; length]; 4]);
        }
    });
}

#[test]
fn a_future_that_is_dropped_has_left_the_call() {
    within(LIMIT, || {
        for length in [10, 1_000_000] {
            ranks(3).run(|mut ctrl| {
                for round in 0..30_u8 {
                    let (rank, polls) = (ctrl.rank(), round % 5);
                    match ctrl.single_write() {
                        Access::Writer(fence) => {
                            drop(fence.share(vec![round; length]).expect("room"))
                        }
                        Access::Excluded(fence) if rank == 1 => {
                            let mut collect = fence.collect_async::<Vec<u8>>();
                            for _ in 0..polls {
                                if let Poll::Ready(value) = poll_once(&mut collect) {
                                    assert_eq!(value.expect("it is shared").len(), length);
                                    break;
                                }
                            }
                        }
                        Access::Excluded(fence) => {
                            let value: Vec<u8> =
                                block_on(fence.collect_async()).expect("it is shared");
                            assert_eq!(value, vec![round; length]);
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn a_call_that_was_dropped_before_it_began_is_made_anew() {
    within(LIMIT, || {
        let reads = ThreadBarrier::new(2);
        let values = ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 1 {
                let reading = ctrl.read();
                reads.wait();
                reads.wait();
                drop(reading);
                let on = ctrl.on(0).expect("it is a rank").named("call");
                let access = block_on(on.single_write_async()).expect("the writer comes");
                return access
                    .run(|_| Ok::<u32, CollectiveError>(0))
                    .expect("it shares");
            }
            reads.wait();
            for _ in 0..50 {
                let on = ctrl.on(0).expect("it is a rank").named("call");
                let mut access = on.single_write_async();
                for _ in 0..3 {
                    assert!(poll_once(&mut access).is_pending(), "the other one reads");
                }
            }
            reads.wait();
            let on = ctrl.on(0).expect("it is a rank").named("call");
            let access = block_on(on.single_write_async()).expect("the other one has left");
            access
                .run(|_| Ok::<u32, CollectiveError>(7))
                .expect("it shares")
        });
        assert_eq!(values, [7, 7]);
    });
}

/// The values of two calls before are not collected: there is no room for a third one.
#[test]
fn a_writer_waits_for_room_as_a_future() {
    within(LIMIT, || {
        let waits = ThreadBarrier::new(2);
        ranks(2).run(|mut ctrl| {
            let call = |ctrl: &mut WindowController, value: u32| -> u32 {
                match block_on(ctrl.single_write_async()).expect("all ranks come") {
                    Access::Writer(fence) => fence.share(value),
                    Access::Excluded(fence) => fence.collect(),
                }
                .expect("all ranks come")
            };
            if ctrl.rank() == 1 {
                waits.wait();
                for value in 0..3 {
                    assert_eq!(call(&mut ctrl, 0), value);
                }
                return;
            }
            // At the place of the others.
            for value in 0..2 {
                call(&mut ctrl, value);
            }
            let mut third = ctrl.single_write_async();
            for _ in 0..100 {
                assert!(poll_once(&mut third).is_pending(), "there is no room");
            }
            drop(third);
            waits.wait();
            call(&mut ctrl, 2);
        });
    });
}

#[test]
fn a_writer_that_fails_is_an_error_of_the_future() {
    within(LIMIT, || {
        let errors = ranks(2).run(|mut ctrl| match ctrl.single_write() {
            Access::Writer(fence) => {
                drop(fence);
                None
            }
            Access::Excluded(fence) => block_on(fence.collect_async::<u32>()).err(),
        });
        assert!(
            matches!(errors[1], Some(CollectiveError::Unshared { .. })),
            "{errors:?}"
        );
        let errors = ranks(2).run(|mut ctrl| {
            if ctrl.is_master() {
                return None;
            }
            match ctrl.single_write() {
                Access::Writer(_) => unreachable!("the master writes"),
                Access::Excluded(fence) => block_on(fence.collect_async::<u32>()).err(),
            }
        });
        let is_ended = matches!(errors[1], Some(CollectiveError::RankEnded { rank: 0, .. }));
        assert!(is_ended, "{errors:?}");
    });
}

#[test]
fn tasks_of_one_process_are_taken_as_futures() {
    let mut batch = Batch::local().tasks(20).build().expect("memory");
    let taken = block_on(async {
        let mut taken = Vec::new();
        drop(batch.next_task_async());
        while let Some(task) = batch.next_task_async().await.expect("no rank dies") {
            taken.push(task.index());
            task.done().expect("no rank dies");
        }
        taken
    });
    assert_eq!(taken, (0..20).collect::<Vec<_>>());
}
