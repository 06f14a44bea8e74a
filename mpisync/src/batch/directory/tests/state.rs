//! The names of states, and the counts of tasks.

use crate::batch::{State, Summary, UnknownWord};

#[test]
fn words_are_read_as_they_are_written() {
    for state in State::ALL {
        assert_eq!(state.to_string().parse(), Ok(state));
        let bytes = postcard::to_stdvec(&state).expect("a state");
        assert_eq!(postcard::from_bytes::<State>(&bytes), Ok(state));
    }
    for word in ["", "done", "DONE ", "DONEDONE", "PENDING"] {
        let error = word.parse::<State>().expect_err("no state");
        assert_eq!(error, UnknownWord(word.to_owned()));
        assert!(error.to_string().contains("RUNNING"));
    }
    assert_eq!(format!("[{:>6}]", State::Done), "[  DONE]");
}

#[test]
fn a_summary_counts_each_state() {
    let mut summary = Summary::default();
    assert!(summary.is_over());
    for (count, state) in State::ALL.into_iter().enumerate() {
        for _ in 0..=count {
            summary.count(state);
        }
    }
    assert_eq!(summary.total(), 15);
    assert_eq!(
        summary.to_string(),
        "3 done, 4 failed, 2 running, 1 open, 5 invalid"
    );
    let over = Summary {
        open: 0,
        running: 0,
        ..summary
    };
    assert!(over.is_over() && !summary.is_over());
    for unfinished in [Summary { open: 1, ..over }, Summary { running: 1, ..over }] {
        assert!(!unfinished.is_over());
    }
}
