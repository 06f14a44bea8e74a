//! Controllers without MPI: one process, the whole interface.

use mpisync::prelude::*;
use mpisync::{Collective, UpgradeError};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    names: Vec<String>,
    scale: f64,
}

fn header(names: usize) -> Header {
    Header {
        names: (0..names)
            .map(|number| format!("dataset {number}"))
            .collect(),
        scale: 0.5,
    }
}

/// Whether the lock is free.
fn is_free(ctrl: &WindowController) -> bool {
    let shown = format!("{ctrl:?}");
    shown.contains("writer: None") && shown.contains(", readers: []")
}

#[test]
fn it_is_alone() {
    let ctrl = WindowController::local();
    assert_eq!((ctrl.rank(), ctrl.size(), ctrl.master()), (0, 1, 0));
    assert!(ctrl.is_master());
    assert_eq!(ctrl.name(), "local");
    ctrl.close().expect("nobody to wait for");
}

#[test]
fn guards_hold_the_lock_as_long_as_they_live() {
    let mut ctrl = WindowController::local();
    let first = ctrl.read();
    let second = ctrl.try_read().expect("readers may be many");
    let third = ctrl
        .read_timeout(Duration::ZERO)
        .expect("readers may be many");
    drop(first);
    drop(third);
    assert!(format!("{ctrl:?}").contains("readers: [0]"));
    drop(second);
    assert!(is_free(&ctrl));
    let writing = ctrl.write();
    assert!(format!("{writing:?}").contains("writer: Some(0)"));
    drop(writing);
    drop(ctrl.try_write().expect("free"));
    drop(ctrl.write_timeout(Duration::ZERO).expect("free"));
    assert!(is_free(&ctrl));
}

#[test]
fn nested_guards_let_go_with_the_last() {
    let mut ctrl = WindowController::local();
    let mut writing = ctrl.write();
    {
        let inner = writing.write();
        let _reading = inner.read();
    }
    assert!(format!("{writing:?}").contains("writer: Some(0)"));
    let reading = writing.downgrade();
    assert!(format!("{reading:?}").contains("writer: None"));
    assert!(format!("{reading:?}").contains("readers: [0]"));
    drop(reading);
    assert!(is_free(&ctrl));
}

/// Guards that are leaked hold the lock until the controller is borrowed mutably.
#[test]
fn leaked_guards_let_the_controller_go() {
    let mut ctrl = WindowController::local();
    for _ in 0..2 {
        std::mem::forget(ctrl.read());
        let mut guard = ctrl.write();
        std::mem::forget((guard.write().read(),));
        std::mem::forget(guard);
        assert!(!is_free(&ctrl));
        drop(ctrl.try_write().expect("nobody else"));
        assert!(is_free(&ctrl));
        std::mem::forget(ctrl.write_timeout(Duration::ZERO));
        let value = ctrl.single_write().run(|_| Ok::<_, CollectiveError>(1));
        assert_eq!(value, Ok(1));
        std::mem::forget(ctrl.read());
        let value = ctrl.on(0).expect("this rank").single_write();
        assert_eq!(value.run(|_| Ok::<_, CollectiveError>(2)), Ok(2));
        assert!(is_free(&ctrl));
    }
    std::mem::forget(ctrl.write());
    ctrl.close().expect("nobody to wait for");
}

#[test]
fn an_upgrade_needs_the_only_guard() {
    let ctrl = WindowController::local();
    let (first, second) = (ctrl.read(), ctrl.read());
    let Err(UpgradeError::Shared(first)) = first.upgrade() else {
        panic!("there are two guards");
    };
    drop(second);
    let writing = first.upgrade().expect("the only guard");
    // A read guard beside a write guard that came from an upgrade outlives it as a reader.
    let beside = ctrl.read();
    assert!(beside.upgrade().is_err(), "this rank writes already");
    let beside = ctrl.read();
    drop(writing);
    assert!(format!("{ctrl:?}").contains("writer: None"));
    assert!(format!("{ctrl:?}").contains("readers: [0]"));
    drop(beside);
    assert!(is_free(&ctrl));
}

#[test]
fn a_writer_gets_back_what_it_shares() {
    let mut ctrl = WindowController::local();
    for names in [0, 1, 100, 10_000] {
        let Access::Writer(fence) = ctrl.single_write() else {
            panic!("the only rank writes");
        };
        assert_eq!(fence.controller().rank(), 0);
        assert_eq!(fence.share(header(names)), Ok(header(names)));
        assert!(is_free(&ctrl));
    }
    let shared = ctrl
        .single_write()
        .run(|_| Ok::<_, CollectiveError>(header(3)));
    assert_eq!(shared, Ok(header(3)));
    let fence = ctrl
        .single_write()
        .writer()
        .expect("nobody fails")
        .expect("the only rank writes");
    assert_eq!(fence.done(), Ok(()));
    assert!(matches!(
        ctrl.on(1),
        Err(CollectiveError::NoSuchRank { rank: 1, size: 1 })
    ));
    let access = ctrl
        .on(0)
        .expect("the only rank")
        .single_write_timeout(Duration::ZERO);
    assert!(
        access
            .expect("free")
            .writer()
            .expect("nobody fails")
            .is_some()
    );
    assert!(is_free(&ctrl));
}

#[test]
fn the_lock_is_free_after_a_writer_failed() {
    let mut ctrl = WindowController::local();
    let failed = ctrl
        .single_write()
        .run(|_| Err::<(), _>(anyhow::anyhow!("disk full")));
    assert_eq!(failed.expect_err("it fails").to_string(), "disk full");
    assert!(is_free(&ctrl));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        ctrl.single_write()
            .run(|_| -> Result<(), CollectiveError> { panic!("torn") })
    }));
    assert!(panicked.is_err());
    assert!(is_free(&ctrl));
    drop(ctrl.single_write());
    assert!(is_free(&ctrl));
    let Access::Writer(fence) = ctrl.single_write() else {
        panic!("the only rank writes");
    };
    let told = fence.fail("no licence").to_string();
    assert!(
        told.contains("no licence") && told.contains("local.rs"),
        "{told}"
    );
    assert!(is_free(&ctrl));
}

#[test]
fn what_serde_refuses_is_an_error() {
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let mut ctrl = WindowController::local();
    let Access::Writer(fence) = ctrl.single_write() else {
        panic!("the only rank writes");
    };
    assert!(matches!(
        fence.share(Stubborn),
        Err(CollectiveError::Encode(_))
    ));
    assert!(is_free(&ctrl));
}

#[mpisync::single_write]
fn create(ctrl: &mut WindowController, names: usize) -> anyhow::Result<Header> {
    anyhow::ensure!(names > 0, "no names for rank {}", ctrl.rank());
    Ok(header(names))
}

#[mpisync::collective(share = 0)]
fn step(ctrl: &mut WindowController, names: usize) -> anyhow::Result<Header> {
    if names == 13 {
        panic!("thirteen");
    }
    create(ctrl, names)
}

#[test]
fn macros_keep_values_and_errors() {
    let mut ctrl = WindowController::local();
    assert_eq!(create(&mut ctrl, 2).expect("names"), header(2));
    assert_eq!(
        create(&mut ctrl, 0).expect_err("none").to_string(),
        "no names for rank 0"
    );
    assert_eq!(step(&mut ctrl, 2).expect("names"), header(2));
    assert_eq!(
        step(&mut ctrl, 0).expect_err("none").to_string(),
        "no names for rank 0"
    );
    let panicked = step(&mut ctrl, 13).expect_err("it panics");
    let Some(CollectiveError::Panicked {
        rank: 0, message, ..
    }) = panicked.downcast_ref()
    else {
        panic!("{panicked:?}");
    };
    assert_eq!(message, "thirteen");
    assert_eq!(create(&mut ctrl, 2).expect("names"), header(2));
}

#[test]
fn a_value_of_a_rank_that_is_not_there_is_an_error() {
    let mut ctrl = WindowController::local();
    let call = Collective::enter(&mut ctrl, "step").expect("alone");
    let outcome = call.run(|| Ok::<_, CollectiveError>(1));
    let agreed = call.agree_on(&mut ctrl, 3, outcome);
    assert_eq!(
        agreed,
        Err(CollectiveError::NoSuchRank { rank: 3, size: 1 })
    );
}

#[test]
fn ten_thousand_controllers() {
    let controllers: Vec<_> = (0..10_000).map(|_| WindowController::local()).collect();
    assert!(controllers.iter().all(is_free));
}
