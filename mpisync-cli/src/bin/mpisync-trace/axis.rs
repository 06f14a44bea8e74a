//! The times at which a picture's axis has labels.

/// Nanoseconds in the units of an axis, the longest first.
const UNITS: [(u64, &str); 5] = [
    (3_600_000_000_000, "h"),
    (60_000_000_000, "min"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "µs"),
];

/// A label at each of at most `most` times from 0 to `span` nanoseconds.
pub fn ticks(span: u64, most: u64) -> Vec<(u64, String)> {
    let step = step(span, most.max(1));
    let (unit, name) = UNITS
        .into_iter()
        .find(|(unit, _)| *unit <= step.max(span / 4))
        .unwrap_or((1, "ns"));
    let label = |time: u64| match time.is_multiple_of(unit) {
        true => format!("{} {name}", time / unit),
        false => {
            let text = format!("{:.3}", time as f64 / unit as f64);
            format!("{} {name}", text.trim_end_matches('0'))
        }
    };
    (0..=span / step)
        .map(|index| (index * step, label(index * step)))
        .collect()
}

/// The shortest round time that fits into the span at most `most` times.
fn step(span: u64, most: u64) -> u64 {
    let least = span.div_ceil(most).max(1);
    let minute = 60_000_000_000;
    let mut unit = 1_u64;
    while unit < minute {
        for factor in [1, 2, 5] {
            if unit * factor >= least && unit * factor <= minute / 2 {
                return unit * factor;
            }
        }
        unit *= 10;
    }
    let minutes = [1, 2, 5, 10, 30, 60, 120, 360, 720, 1440];
    let round = minutes.map(|it| it * minute);
    let found = round.into_iter().find(|step| *step >= least);
    let day = 1440 * minute;
    found.unwrap_or_else(|| least.div_ceil(day).saturating_mul(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(span: u64, most: u64) -> Vec<String> {
        ticks(span, most)
            .into_iter()
            .map(|(_, label)| label)
            .collect()
    }

    #[test]
    fn labels_are_round() {
        assert_eq!(labels(0, 10), ["0 ns"]);
        assert_eq!(labels(1000, 4), ["0 ns", "500 ns", "1000 ns"]);
        assert_eq!(labels(12_500_000_000, 4), ["0 s", "5 s", "10 s"]);
        assert_eq!(
            labels(2_000_000_000, 4),
            ["0 ms", "500 ms", "1000 ms", "1500 ms", "2000 ms"]
        );
        assert_eq!(labels(70_000_000_000, 4), ["0 s", "20 s", "40 s", "60 s"]);
        assert_eq!(
            labels(7_000_000_000_000, 4),
            ["0 min", "30 min", "60 min", "90 min"]
        );
        for span in [1, 999, 45_000_000_000, u64::MAX / 2, u64::MAX] {
            assert!(ticks(span, 8).len() <= 9, "{span}");
        }
    }
}
