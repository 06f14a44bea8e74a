use super::document::Document;
use super::text::lines;
use super::*;
use crate::folder::{Found, newest_job};
use crate::made::{MUTEX, TENTH, TWENTIETH, contended, event, job, process, wait};
use mpisync::inspect::trace::{Event, Process, TraceError};
use serde_json::Value;
use std::path::Path;

fn found(processes: Vec<Process>) -> Found {
    newest_job(processes.into_iter().map(Ok))
}

fn shown(found: &Found, top: usize, width: usize) -> String {
    let job = found.job.as_ref().expect("there is one");
    let lines = lines(found, job, &Report::of(job, top), top, width);
    let lines: Vec<String> = lines.iter().map(|line| line.render(false)).collect();
    lines.join("\n")
}

/// Rank 1 holds the mutex, and the others wait for it.
fn three() -> Vec<Process> {
    let [mut first, mut second, mut third] = [0, 1, 2].map(|rank| process(rank, 3));
    first.events = vec![
        wait(100, 400, 1, TWENTIETH),
        // A part of it, which knows less.
        Event {
            keeper: None,
            keeper_place: None,
            ..wait(150, 350, 0, 0)
        },
        event(Activity::Hold, 400, 500),
    ];
    second.events = vec![Event {
        place: Some(TWENTIETH),
        ..event(Activity::Hold, 0, 400)
    }];
    third.events = vec![
        wait(200, 500, 1, TWENTIETH),
        wait(600, 650, 0, TENTH),
        event(Activity::Task, 650, 1000),
    ];
    vec![first, second, third]
}

fn time(sum: u64, waits: u64, longest: u64) -> Time {
    Time {
        sum,
        waits,
        longest,
    }
}

#[test]
fn time_is_lost_by_the_lines_that_keep_others() {
    let report = Report::of(&job(three()), 10);
    assert_eq!(
        (report.span, report.waiting, report.available),
        (1000, 650, 3000)
    );
    let lost = |rows: &[Lost]| -> Vec<(String, Time)> {
        let rows = rows.iter();
        rows.map(|row| (row.by.clone().unwrap_or_default(), row.time))
            .collect()
    };
    assert_eq!(
        lost(&report.keeper_lines),
        [
            ("src/main.rs:20".to_owned(), time(500, 2, 300)),
            ("src/main.rs:10".to_owned(), time(150, 2, 100)),
        ]
    );
    assert_eq!(
        lost(&report.waiting_lines),
        [("src/main.rs:10".to_owned(), time(650, 3, 300))]
    );
    assert_eq!(
        lost(&report.objects),
        [("mutex \"queue\"".to_owned(), time(650, 3, 300))]
    );
    let pairs: Vec<(u32, u32, u64)> = (report.pairs.iter())
        .map(|pair| (pair.keeper, pair.waiter, pair.time.sum))
        .collect();
    assert_eq!(pairs, [(1, 0, 300), (1, 2, 300), (0, 2, 50)]);
    let longest: Vec<(u32, u64, u64)> = (report.longest.iter())
        .map(|wait| (wait.rank, wait.begin, wait.lost))
        .collect();
    assert_eq!(longest, [(0, 100, 300), (2, 200, 300), (2, 600, 50)]);
    assert_eq!(
        report.longest[0].keeper_place.as_deref(),
        Some("src/main.rs:20")
    );
    assert_eq!(Report::of(&job(three()), 1).longest.len(), 1);
}

#[test]
fn the_text_has_all_of_it() {
    let text = shown(&found(three()), 10, 80);
    for line in [
        "3 ranks on 2 hosts, 1.00 µs from 22:13:20 UTC, 7 events",
        "  21.6 % waiting: 650 ns of the 3.00 µs of these ranks",
        "lost by the line that kept others waiting",
        "      LOST    SHARE    WAITS   LONGEST  KEPT AT",
        "    500 ns   76.9 %        2    300 ns  src/main.rs:20",
        "    150 ns   23.0 %        2    100 ns  src/main.rs:10",
        "    650 ns  100.0 %        3    300 ns  mutex \"queue\"",
        "    300 ns   46.1 %        1    300 ns  rank 1 kept rank 0",
        "    300 ns  rank 0 in `lock` of mutex \"queue\" at src/main.rs:10, kept by rank 1",
        "            at src/main.rs:20, from 100 ns",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("without"), "{text}");
    assert!(!text.contains("still waiting"), "{text}");
}

#[test]
fn what_is_missing_is_said() {
    let mut all = three();
    all.remove(1);
    all[0].has_ended = false;
    all[0].events[0].end = None;
    all[1].lost = 12;
    for process in &mut all {
        process.size = 8;
    }
    let mut older = process(0, 8);
    (older.job, older.epoch) = (3, 1);
    all.push(older);
    let reason = "it is of another version\n".to_owned();
    let unreadable = TraceError::NoTrace {
        path: "x.mpisync-trace".into(),
        reason,
    };
    let processes = all.into_iter().map(Ok).chain([Err(unreadable)]);
    let found = newest_job(processes);
    let text = shown(&found, 10, 80);
    for line in [
        "2 of 8 ranks on 2 hosts, 900 ns from 22:13:20 UTC, 6 events",
        "  6 ranks (1, 3-7) without a file",
        "  rank 0 without an end: killed, or still running",
        "  the 12 oldest events are missing, of rank 2",
        "  1 file of older jobs left out",
        "  not readable: x.mpisync-trace: it is of another version\\n",
        "still waiting",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let job = found.job.as_ref().expect("there is one");
    let report = Report::of(job, 10);
    assert_eq!(report.missing, [1..=1, 3..=7]);
    assert_eq!(
        (report.still_waiting_count, report.still_waiting[0].lost),
        (1, 900)
    );
    // The open wait lasts until the end of the job.
    assert_eq!(report.waiting, 900 + 300 + 50);
}

#[test]
fn jobs_with_little_have_reports() {
    let text = shown(&found(vec![process(0, 1)]), 10, 80);
    assert!(text.contains("1 rank on 1 host, 0 ns"), "{text}");
    assert!(text.contains("no events"), "{text}");
    let mut made = process(0, 1);
    made.events = vec![event(Activity::Wait, 5, 5), event(Activity::Hold, 9, 2)];
    let text = shown(&found(vec![made]), 10, 80);
    assert!(text.contains("0.0 % waiting"), "{text}");
    assert!(text.contains("1 event ends before it begins"), "{text}");
    assert!(text.contains("(unknown)"), "{text}");
    let mut made = process(0, 1);
    made.events = vec![event(Activity::Wait, 0, u64::MAX / 2)];
    let text = shown(&found(vec![made]), 10, 80);
    assert!(text.contains("100.0 % waiting"), "{text}");
}

#[test]
fn lines_fit_the_terminal() {
    let mut all = contended(6, 20);
    for process in &mut all {
        process.host = "a-host-with-a-long-name-".repeat(5);
        process.objects[MUTEX as usize].name = "name ".repeat(40);
        process.calls[0] = "call".repeat(40);
    }
    for width in [40, 80, 120] {
        let text = shown(&found(all.clone()), 5, width);
        for line in text.lines() {
            assert!(mpisync_cli::text::width(line) <= width, "{line}\n{text}");
        }
        assert!(text.contains("  and "), "{text}");
    }
}

/// The largest number that JavaScript has exactly, as all up to it.
const EXACT: u64 = (1 << 53) - 1;

fn assert_exact(value: &Value) {
    match value {
        Value::Number(number) if !number.is_f64() => {
            assert!(number.as_u64().is_some_and(|it| it <= EXACT), "{number}");
        }
        Value::Array(values) => values.iter().for_each(assert_exact),
        Value::Object(values) => values.values().for_each(assert_exact),
        _ => {}
    }
}

#[test]
fn the_json_has_only_numbers_that_javascript_has() {
    let mut processes = three();
    for process in &mut processes {
        process.job = 0x0123_4567_89ab_cdef;
        process.epoch = 1_800_000_000_123_456_789;
    }
    let found = found(processes);
    let job = found.job.as_ref().expect("there is one");
    let report = Report::of(job, 10);
    let document = Document::of(Path::new("trace"), &found, job, &report, 10);
    let document = serde_json::to_value(&document).expect("it is JSON");
    assert_exact(&document);
    assert_eq!(document["schema"], 2);
    assert_eq!(document["job"], "0123456789abcdef");
    assert_eq!(document["epoch_microseconds"], 1_800_000_000_123_456_u64);
    assert_eq!(document["span"], report.span);
    assert_eq!(document["longest"][0]["lost"], report.longest[0].lost);
}
