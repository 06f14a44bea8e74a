//! Rates, and the time left.

use crate::batch::Summary;
use crate::batch::progress::pace::{Pace, counts, in_words, in_words_rate, troubles};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn summary(open: u64, running: u64, done: u64, failed: u64) -> Summary {
    Summary {
        open,
        running,
        done,
        failed,
        invalid: 0,
    }
}

#[test]
fn only_what_was_done_since_counts() {
    let pace = Pace {
        first: summary(100, 0, 900, 50),
    };
    assert_eq!(pace.rate(&pace.first, 10 * SECOND), None);
    assert_eq!(pace.time_left(&pace.first, 10 * SECOND), None);
    let now = summary(70, 10, 915, 55);
    assert_eq!(pace.rate(&now, 10 * SECOND), Some(2.0));
    assert_eq!(pace.time_left(&now, 10 * SECOND), Some(40 * SECOND));
    assert_eq!(pace.rate(&now, Duration::ZERO), None);
}

#[test]
fn what_had_failed_and_is_done_counts_and_what_was_opened_again_does_not() {
    let pace = Pace {
        first: summary(0, 0, 10, 5),
    };
    assert_eq!(pace.rate(&summary(0, 1, 12, 2), SECOND), Some(2.0));
    let opened = summary(15, 0, 0, 0);
    assert_eq!(pace.rate(&opened, SECOND), None);
    let invalid = Summary {
        invalid: 5,
        failed: 0,
        ..pace.first
    };
    assert_eq!(pace.rate(&invalid, SECOND), None);
}

#[test]
fn an_estimate_beyond_all_times_is_none() {
    let pace = Pace {
        first: summary(u64::MAX - 1, 0, 0, 0),
    };
    let now = summary(u64::MAX - 2, 0, 1, 0);
    assert_eq!(pace.time_left(&now, Duration::MAX), None);
    assert_eq!(pace.text(&now, Duration::MAX, false, "; "), "; 0.0/h");
}

#[test]
fn it_says_what_it_knows() {
    let pace = Pace {
        first: summary(10, 0, 5, 0),
    };
    assert_eq!(pace.text(&pace.first, SECOND, false, "; "), "");
    assert_eq!(pace.text(&pace.first, SECOND, true, "; "), "; after 1 s");
    let now = summary(4, 2, 9, 0);
    assert_eq!(
        pace.text(&now, 8 * SECOND, false, ", "),
        ", 0.5/s, 12 s left"
    );
    assert_eq!(
        pace.text(&now, 80 * SECOND, true, "; "),
        "; 3.0/min, after 1 min 20 s"
    );
    assert_eq!(counts(&now), "9 done, 0 failed, 2 running");
    let invalid = Summary { invalid: 3, ..now };
    assert_eq!(counts(&invalid), "9 done, 0 failed, 2 running, 3 invalid");
    assert_eq!(troubles(&now), "");
    let failed = Summary {
        failed: 1,
        ..invalid
    };
    assert_eq!(troubles(&failed), ", 1 failed, 3 invalid");
}

#[test]
fn rates_and_times_have_the_unit_that_suits_them() {
    for (rate, text) in [
        (123_456.7, "123457/s"),
        (12.34, "12/s"),
        (9.87, "9.9/s"),
        (0.1, "0.1/s"),
        (0.05, "3.0/min"),
        (0.001, "3.6/h"),
    ] {
        assert_eq!(in_words_rate(rate), text);
    }
    for (seconds, text) in [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
    ] {
        assert_eq!(in_words(Duration::from_secs(seconds)), text);
    }
}
