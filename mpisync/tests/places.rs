//! The places that reports name in a program of another language. They are those of the whole process, so this is a test program of
//! its own.

use mpisync::__private::find_places_by;
use mpisync::{LockError, WindowController};
use std::sync::Barrier;
use std::time::Duration;

/// What rank 1 is told, which finds its places by `find`, when rank 0 keeps the lock for longer than it waits.
fn report(find: fn() -> Option<(&'static str, u32)>) -> String {
    let meeting = Barrier::new(2);
    let threads = WindowController::threads(2).unwrap();
    let reports = threads.run(|mut ctrl| {
        find_places_by(find);
        if ctrl.is_master() {
            let _writing = ctrl.write();
            meeting.wait();
            meeting.wait();
            return None;
        }
        meeting.wait();
        let error = ctrl.read_timeout(Duration::from_millis(200)).map(drop);
        meeting.wait();
        match error {
            Err(LockError::Timeout { report, .. }) => Some(report.to_string()),
            other => panic!("{other:?}"),
        }
    });
    reports.into_iter().flatten().next().expect("it has waited")
}

#[test]
fn reports_name_places_of_the_program() {
    let report_with_place = report(|| Some(("step.py", 12)));
    assert!(
        report_with_place.contains("at step.py:12"),
        "{report_with_place}"
    );
    for text in [report_with_place, report(|| None)] {
        assert!(text.contains("rank 0"), "{text}");
        assert!(!text.contains(".rs"), "{text}");
    }
}
