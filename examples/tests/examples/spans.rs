//! The spans that `spans_to_json` writes.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::{Example, RANKS, example, fresh};

const RESULTS: usize = 10;
/// How long each of its ranks holds the lock for a result, in seconds.
const WRITING: f64 = 0.002;

#[test]
fn spans_to_json() {
    let example = example!("spans_to_json");
    for ranks in [1, RANKS] {
        let directory = fresh("spans");
        let expected =
            format!("{ranks} ranks wrote {RESULTS} results each; their spans are in {directory}");
        example.ends_with_on(ranks, expected, &[&directory], "");
        let all: Vec<Vec<Value>> = (0..ranks).map(|rank| records(&directory, rank)).collect();
        for (rank, records) in all.iter().enumerate() {
            has_its_writes(records, rank, ranks);
        }
        let waits: Vec<&Value> = all
            .iter()
            .flat_map(|records| named(records, "wait"))
            .collect();
        let in_write = waits
            .iter()
            .filter(|wait| wait["span"]["mpisync.call"] == "write");
        for wait in in_write.clone() {
            assert_eq!(wait["spans"][0]["name"], "step", "{wait}");
            let span = &wait["span"];
            let keeper = span["mpisync.keeper.rank"].as_u64();
            assert!(
                keeper.is_none_or(|keeper| keeper < ranks as u64 && span["mpisync.rank"] != keeper),
                "{wait}"
            );
        }
        // The others wait for the one that writes, and know where it has begun.
        let line = line_of_write();
        let knows = |wait: &&&Value| {
            wait["span"]["mpisync.keeper.line"] == line && seconds(wait) > WRITING / 2.0
        };
        assert_eq!(in_write.filter(knows).count() > 0, ranks > 1, "{waits:?}");
    }
}

/// The rank has written its results one after the other, each in its step.
fn has_its_writes(records: &[Value], rank: usize, ranks: usize) {
    let writes = named(records, "write");
    let mut steps = BTreeSet::new();
    for write in &writes {
        let span = &write["span"];
        assert_eq!(write["target"], "mpisync", "{write}");
        assert_eq!(span["mpisync.object.kind"], "controller", "{write}");
        assert_eq!(span["mpisync.object.name"], "results", "{write}");
        assert_eq!(span["mpisync.rank"], rank, "{write}");
        assert_eq!(span["mpisync.size"], ranks, "{write}");
        assert_eq!(span["mpisync.outcome"], "success", "{write}");
        assert_eq!(span["code.line.number"], line_of_write(), "{write}");
        let file = span["code.file.path"].as_str();
        assert!(
            file.is_some_and(|file| file.ends_with("spans_to_json.rs")),
            "{write}"
        );
        assert!(seconds(write) >= WRITING, "{write}");
        let step = &write["spans"][0];
        assert_eq!(step["name"], "step", "{write}");
        steps.extend(step["number"].as_u64());
    }
    let expected: BTreeSet<u64> = (0..RESULTS as u64).collect();
    assert_eq!((writes.len(), steps), (RESULTS, expected));
    let times: Vec<&str> = writes
        .iter()
        .filter_map(|write| write["timestamp"].as_str())
        .collect();
    assert!(times.len() == RESULTS && times.is_sorted(), "{times:?}");
}

/// What a rank has written, a record for each span that has ended.
fn records(directory: &str, rank: usize) -> Vec<Value> {
    let text = fs::read_to_string(format!("{directory}/rank-{rank}.jsonl")).unwrap();
    let records = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"));
    let records: Vec<Value> = records.collect();
    for record in &records {
        assert_eq!(record["fields"]["message"], "close", "{record}");
    }
    records
}

fn named<'a>(records: &'a [Value], name: &str) -> Vec<&'a Value> {
    records
        .iter()
        .filter(|record| record["span"]["name"] == name)
        .collect()
}

/// The number of the line that writes.
fn line_of_write() -> usize {
    let mut lines = include_str!("../../src/bin/spans_to_json.rs").lines();
    1 + lines
        .position(|line| line.contains("results.write()"))
        .expect("it is there")
}

/// How long a span has lasted.
fn seconds(record: &Value) -> f64 {
    let text = record["fields"]["time.idle"].as_str().expect("a time");
    let unit = text.find(|c: char| c.is_alphabetic()).expect("a unit");
    let number: f64 = text[..unit].parse().expect("a number");
    let factor = match &text[unit..] {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        unit => panic!("there is a unit {unit}"),
    };
    number * factor
}
