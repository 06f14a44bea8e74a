//! The spans and events of the feature `tracing`, as a subscriber writes them.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use mpisync::batch::BatchError;
use mpisync::prelude::*;
use mpisync::report_waits_after;
use serde_json::Value;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// What a subscriber has written, one record a line.
#[derive(Clone, Default)]
struct Records(Arc<Mutex<Vec<u8>>>);

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Records {
    /// Runs `work` in a thread whose subscriber writes spans when they end, and events.
    fn during<T>(
        &self,
        level: tracing_subscriber::filter::LevelFilter,
        work: impl FnOnce() -> T,
    ) -> T {
        let records = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(level)
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(move || records.clone())
            .finish();
        let _listening = subscriber.set_default();
        work()
    }

    fn all(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let parse = |line: &str| serde_json::from_str(line).unwrap();
        text.lines().map(parse).collect()
    }

    /// The fields of the spans of waits, in the order in which they were written.
    fn waits(&self) -> Vec<Value> {
        self.spans(|name| name == "wait")
    }

    /// Those of all other spans.
    fn holds(&self) -> Vec<Value> {
        self.spans(|name| name != "wait")
    }

    /// The texts of the reports of long waits.
    fn reports(&self) -> Vec<String> {
        let all = self.all().into_iter();
        let warnings = all.filter(|record| record["level"] == "WARN");
        warnings
            .map(|record| record["fields"]["message"].as_str().unwrap().to_owned())
            .collect()
    }

    fn spans(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Value> {
        let all = self.all().into_iter();
        let mut spans: Vec<Value> = all.map(|mut record| record["span"].take()).collect();
        spans.retain(|span| span["name"].as_str().is_some_and(&is_wanted));
        spans
    }
}

use tracing_subscriber::filter::LevelFilter;

/// The number of the line that has `text` and the comment `// here: name`.
fn line_of(name: &str) -> usize {
    let mark = format!("// here: {name}");
    let mut lines = include_str!("spans.rs").lines();
    1 + lines.position(|line| line.ends_with(&mark)).unwrap()
}

#[test]
fn a_wait_names_who_keeps_it_and_where() {
    let records = Records::default();
    report_waits_after(Some(Duration::from_millis(200)));
    let holds = Barrier::new(2);
    let ranks = WindowController::threads(2).unwrap();
    ranks.run(|mut ctrl| {
        records.during(LevelFilter::DEBUG, || {
            if ctrl.rank() == 0 {
                let writing = ctrl.write(); // here: writer
                holds.wait();
                // Until the report of the wait is there.
                let began = Instant::now();
                while records.reports().is_empty() && began.elapsed() < Duration::from_secs(60) {
                    thread::sleep(Duration::from_millis(10));
                }
                drop(writing);
            } else {
                holds.wait();
                drop(ctrl.read()); // here: reader
            }
        });
    });
    let waits = records.waits();
    let wait = &waits[0];
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!(wait["mpisync.object.kind"], "controller");
    assert_eq!(wait["mpisync.call"], "read");
    assert_eq!(wait["mpisync.rank"], 1);
    assert_eq!(wait["mpisync.size"], 2);
    assert_eq!(wait["mpisync.node"], 0);
    assert!(
        wait["code.file.path"]
            .as_str()
            .unwrap()
            .ends_with("spans.rs")
    );
    assert_eq!(wait["code.line.number"], line_of("reader"));
    assert_eq!(wait["mpisync.keeper.rank"], 0);
    assert!(
        wait["mpisync.keeper.file"]
            .as_str()
            .unwrap()
            .ends_with("spans.rs")
    );
    assert_eq!(wait["mpisync.keeper.line"], line_of("writer"));
    assert_eq!(wait["mpisync.outcome"], "success");

    let holds = records.holds();
    let mut held: Vec<_> = holds
        .iter()
        .map(|hold| {
            let line = hold["code.line.number"].as_u64().unwrap() as usize;
            (
                hold["mpisync.call"].as_str().unwrap(),
                hold["mpisync.rank"].as_u64().unwrap(),
                line,
            )
        })
        .collect();
    // A guard tells the subscriber after it has let the lock go, so that no rank waits for that:
    // the reader may be the first to write its record.
    held.sort_unstable();
    assert_eq!(
        held,
        [
            ("read", 1, line_of("reader")),
            ("write", 0, line_of("writer"))
        ]
    );
    assert!(
        holds
            .iter()
            .all(|hold| hold["mpisync.outcome"] == "success")
    );

    // The report of the wait goes to the subscriber.
    let reports = records.reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("rank 1 has waited"), "{reports:?}");
}

#[test]
fn a_wait_of_a_future_lasts_until_it_is_ready_or_dropped() {
    let records = Records::default();
    let holds = Barrier::new(2);
    let ranks = WindowController::threads(2).unwrap();
    ranks.run(|mut ctrl| {
        records.during(LevelFilter::DEBUG, || {
            if ctrl.rank() == 0 {
                let _writing = ctrl.write();
                holds.wait();
                holds.wait();
                return;
            }
            holds.wait();
            let mut dropped = ctrl.write_async();
            let nobody = &mut Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut dropped).poll(nobody).is_pending());
            drop(dropped);
            let mut read = ctrl.read_async(); // here: future
            assert!(Pin::new(&mut read).poll(nobody).is_pending());
            holds.wait();
            drop(block_on(read).unwrap());
        });
    });
    let waits = records.waits();
    let outcomes: Vec<_> = waits.iter().map(|wait| &wait["mpisync.outcome"]).collect();
    assert_eq!(outcomes, ["dropped", "success"], "{waits:?}");
    assert_eq!(waits[1]["mpisync.call"], "read_async");
    assert_eq!(waits[1]["code.line.number"], line_of("future"));
    assert_eq!(waits[1]["mpisync.keeper.rank"], 0);
    assert!(waits.iter().all(|wait| wait["otel.status_code"].is_null()));
}

#[test]
fn a_wait_that_fails_says_so() {
    let records = Records::default();
    let holds = Barrier::new(2);
    let ranks = WindowController::threads(2).unwrap();
    ranks.run(|mut ctrl| {
        records.during(LevelFilter::DEBUG, || {
            if ctrl.rank() == 0 {
                let writing = ctrl.write();
                holds.wait();
                holds.wait();
                drop(writing);
            } else {
                holds.wait();
                let limit = Duration::from_millis(20);
                ctrl.read_timeout(limit).unwrap_err();
                holds.wait();
            }
        });
    });
    let waits = records.waits();
    assert_eq!(waits.len(), 1, "{waits:?}");
    assert_eq!(waits[0]["mpisync.outcome"], "timeout");
    assert_eq!(waits[0]["otel.status_code"], "ERROR");
}

#[test]
fn what_is_held_is_a_span_from_the_first_guard_to_the_last() {
    let records = Records::default();
    records.during(LevelFilter::DEBUG, || {
        let mut ctrl = WindowController::local();
        let mut writing = ctrl.write();
        drop(writing.read());
        drop(writing.write());
        assert!(records.holds().is_empty());
        let reading = writing.downgrade();
        assert_eq!(records.holds()[0]["mpisync.call"], "write");
        drop(reading);
        drop(ctrl.try_read());
        drop(ctrl.try_write());
        let mut mutex = mpisync::Mutex::local();
        drop(mutex.lock());
        drop(mutex.try_lock());
        let semaphore = Semaphore::local(2).unwrap();
        let (first, second) = (semaphore.acquire(), semaphore.acquire());
        drop((first, second));
        drop(Turn::local().take());
    });
    let holds = records.holds();
    let held: Vec<_> = holds
        .iter()
        .map(|hold| {
            (
                hold["mpisync.object.kind"].as_str().unwrap(),
                hold["mpisync.call"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        held,
        [
            ("controller", "write"),
            ("controller", "read"),
            ("controller", "read"),
            ("controller", "write"),
            ("mutex", "hold"),
            ("mutex", "hold"),
            ("semaphore", "hold"),
            ("turn", "hold"),
        ]
    );
}

#[test]
fn tasks_and_collective_calls_are_spans() {
    #[mpisync::collective]
    fn step(ctrl: &mut WindowController) -> Result<(), CollectiveError> {
        Ok(())
    }
    let records = Records::default();
    records.during(LevelFilter::DEBUG, || {
        let mut ctrl = WindowController::local();
        step(&mut ctrl).unwrap();
        let mut batch = Batch::local().tasks(2).build().unwrap();
        while let Some(task) = batch.next_task().unwrap() {
            task.done().unwrap();
        }
    });
    let holds = records.holds();
    assert_eq!(holds.len(), 3, "{holds:?}");
    assert!(
        holds[0]["mpisync.call"]
            .as_str()
            .unwrap()
            .ends_with("::step")
    );
    assert_eq!(holds[1]["mpisync.task.index"], 0);
    assert_eq!(holds[2]["mpisync.task.index"], 1);
    assert_eq!(holds[2]["mpisync.object.kind"], "batch");
}

#[test]
fn each_of_several_tasks_is_a_span_until_it_ends() {
    let records = Records::default();
    records.during(LevelFilter::DEBUG, || {
        let mut batch = Batch::local().tasks(3).build().unwrap();
        let mut tasks = batch.next_tasks(3).unwrap().expect("some are open"); // here: tasks
        tasks.pop().unwrap().done().unwrap();
        tasks.remove(0).failed("no input").unwrap();
        assert_eq!(records.holds().len(), 2, "the third one has not ended");
    });
    let holds = records.holds();
    let told: Vec<_> = holds
        .iter()
        .map(|hold| (&hold["mpisync.task.index"], &hold["mpisync.outcome"]))
        .map(|(task, outcome)| (task.as_u64().unwrap(), outcome.as_str().unwrap()))
        .collect();
    assert_eq!(told, [(2, "success"), (0, "failure"), (1, "failure")]);
    for hold in &holds {
        assert_eq!(hold["code.line.number"], line_of("tasks"));
    }
}

#[test]
fn a_wait_for_tasks_that_runs_into_its_limit_says_so() {
    let path = std::env::temp_dir().join(format!("mpisync-spans-{}", std::process::id()));
    let _left_by_an_earlier_process = std::fs::remove_dir_all(&path);
    let batch = || {
        let batch = Batch::local().tasks(1).state_dir(&path);
        batch.build().unwrap()
    };
    let records = Records::default();
    records.during(LevelFilter::DEBUG, || {
        let mut first = batch();
        let task = first.next_task().unwrap().expect("a task");
        let mut second = batch();
        let limit = Duration::from_millis(20);
        let error = second.wait_all_timeout(limit).unwrap_err();
        assert!(matches!(error, BatchError::Timeout { .. }), "{error}");
        task.done().unwrap();
        second.wait_all().unwrap().all_done().unwrap();
    });
    std::fs::remove_dir_all(&path).unwrap();
    let waits = records.waits();
    let outcomes: Vec<_> = waits.iter().map(|wait| &wait["mpisync.outcome"]).collect();
    assert_eq!(outcomes, ["timeout", "success"]);
    assert_eq!(waits[0]["mpisync.call"], "wait_all");
}

#[test]
fn a_panic_ends_the_span_of_what_was_held() {
    let records = Records::default();
    records.during(LevelFilter::DEBUG, || {
        let mut ctrl = WindowController::local();
        let write = std::panic::AssertUnwindSafe(|| ctrl.write_with(|_| panic!("on purpose")));
        std::panic::catch_unwind(write).unwrap_err();
    });
    let holds = records.holds();
    assert_eq!(holds[0]["mpisync.outcome"], "failure");
    assert_eq!(holds[0]["otel.status_code"], "ERROR");
}

#[test]
fn a_subscriber_of_less_detail_gets_nothing() {
    let records = Records::default();
    records.during(LevelFilter::INFO, || {
        let mut ctrl = WindowController::local();
        drop(ctrl.write());
    });
    assert!(records.all().is_empty());
}
