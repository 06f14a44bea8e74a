//! The report on a made-up job.

use super::*;
use mpisync::inspect::SCHEMA;
use mpisync_cli::text::width;

/// Two ranks, one of which holds a mutex of a long name with wide characters.
fn document() -> Document {
    let name = "解析".repeat(20);
    let at = SourceLine {
        file: format!("/home/someone/{}/src/解析/main.rs", "long/".repeat(20)),
        line: 58,
    };
    let rank = |rank: u32, state, waits| Rank {
        rank,
        process: 4_000_000 + rank,
        program: "survey".to_owned(),
        state,
        waits,
        changing: false,
    };
    let wait = Wait {
        call: "lock".to_owned(),
        kind: "mutex".to_owned(),
        name: name.clone(),
        at: Some(at.clone()),
        seconds: 61.34,
        for_rank: Some(0),
        elsewhere: false,
    };
    let waiter = Waiter {
        rank: Some(1),
        call: Some("lock_of_a_long_name".to_owned()),
        at: Some(at.clone()),
        seconds: Some(61.34),
        for_rank: Some(0),
    };
    let holder = Holder {
        rank: Some(0),
        role: "holds it".to_owned(),
        permits: Some(1),
        at: Some(at),
        seen_for: Some(61.1),
    };
    let object = Object {
        kind: "mutex".to_owned(),
        name,
        holders: Some(vec![holder]),
        waiting: vec![waiter],
        permits: Some((0, 1)),
        count: None,
        bytes: 3482,
        dropped_by: 0,
        changing: false,
    };
    let communicator = Communicator {
        id: "28bf82750ba80e77".to_owned(),
        size: 2,
        nodes: 1,
        ranks: vec![
            rank(0, RankState::Alive, None),
            rank(1, RankState::Alive, Some(wait)),
        ],
        objects: vec![object],
        changing: false,
    };
    let host = |name: &str| Host {
        host: name.to_owned(),
        time: 76_506.0,
        ..Host::default()
    };
    let broken = "no answer within 15 s, and a few words more, so that it has to be wrapped";
    Document {
        schema: SCHEMA,
        hosts: vec![
            Host {
                communicators: vec![communicator],
                ..host("node1")
            },
            Host {
                error: Some(broken.to_owned()),
                ..host("node2")
            },
        ],
    }
}

fn texts(columns: usize, all: bool) -> Vec<String> {
    let lines = lines(&document(), &Rates::default(), all, columns);
    lines.iter().map(|line| line.render(false)).collect()
}

#[test]
fn every_line_fits_and_what_matters_stays() {
    for columns in [40, 80, 120, 200] {
        let texts = texts(columns, false);
        for text in &texts {
            assert!(width(text) <= columns, "{columns}: {text}");
        }
        let has = |part: &str| texts.iter().any(|text| text.contains(part));
        assert!(has("node2: no answer within 15 s"), "{texts:#?}");
        assert!(has("1 rank in long waits") || columns < 80, "{texts:#?}");
        if columns >= 80 {
            assert!(has("\", for rank 0") || has("…, for rank 0"), "{texts:#?}");
            assert!(has("main.rs:58, seen for 61.1 s"), "{texts:#?}");
            assert!(has("main.rs:58 for rank 0"), "{texts:#?}");
        }
        // The path gives way to it.
        let is_waiter = |text: &&String| text.starts_with("    rank 1 waits 61.3 s");
        let waiter = texts.iter().find(is_waiter).expect("it waits");
        assert!(waiter.ends_with(" for rank 0") || columns < 80, "{waiter}");
    }
}

#[test]
fn a_wider_terminal_shows_more_of_names_and_paths() {
    let longest = |columns| {
        let texts = texts(columns, false);
        let mut at = texts.iter().filter(|text| text.contains("taken at"));
        width(at.next().expect("a holder"))
    };
    assert!(longest(120) >= longest(80) + 20);
}

#[test]
fn all_shows_the_sizes() {
    let has = |all| texts(80, all).iter().any(|text| text.contains(", 3.4 KiB"));
    assert!(has(true));
    assert!(!has(false));
}

#[test]
fn states_and_waits_have_colours() {
    let lines = lines(&document(), &Rates::default(), false, 80);
    let line = |part: &str| {
        let mut lines = lines.iter().map(|line| line.render(true));
        lines.find(|line| line.contains(part)).expect("a line")
    };
    assert!(line("4000001").contains("\u{1b}[33m61.3 s"));
    assert!(line("4000000").contains("\u{1b}[32malive"));
    assert!(line("no answer").contains("\u{1b}[31mno answer"));
}
