//! Times, rates and sizes as text.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const TWO_DAYS: u64 = 2 * DAY;

/// A time in one unit: `12 s`, `3 min`, `5 h`, `2 d`.
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..TWO_DAYS => format!("{} h", seconds / HOUR),
        _ => format!("{} d", seconds / DAY),
    }
}

/// A time in one unit, or in two from an hour on: `12 s`, `3 min`,
/// `5 h 10 min`, `2 d 4 h`.
pub fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        ..HOUR => about(time),
        HOUR..DAY => format!("{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
        _ => format!("{} d {} h", seconds / DAY, seconds % DAY / HOUR),
    }
}

/// A time of a wait, with tenths of a second as long as it is short: `61.3 s`, `12 min`.
pub fn of_a_wait(seconds: f64) -> String {
    match seconds {
        ..600.0 => format!("{seconds:.1} s"),
        _ => about(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
    }
}

/// A time with three digits in the unit that suits it: `812 ns`, `4.56 ms`, `61.3 s`, `12 min`.
pub fn precise(nanoseconds: u64) -> String {
    const MOST: u64 = 10 * MINUTE * 1_000_000_000;
    let (unit, name) = match nanoseconds {
        0..1000 => return format!("{nanoseconds} ns"),
        // From these on a unit would be shown with four digits.
        1000..999_500 => (1e3, "µs"),
        999_500..999_500_000 => (1e6, "ms"),
        999_500_000..MOST => (1e9, "s"),
        _ => return rounded(Duration::from_nanos(nanoseconds)),
    };
    let number = nanoseconds as f64 / unit;
    match number {
        ..9.995 => format!("{number:.2} {name}"),
        ..99.95 => format!("{number:.1} {name}"),
        _ => format!("{number:.0} {name}"),
    }
}

/// The time of day in UTC of a number of seconds since 1970.
pub fn of_day(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hour, minute) = (seconds / HOUR % 24, seconds / MINUTE % 60);
    format!("{hour:02}:{minute:02}:{:02} UTC", seconds % 60)
}

/// A rate: tasks a minute, or an hour if there are few.
pub fn rate(a_minute: f64) -> String {
    match a_minute {
        100.0.. => format!("{a_minute:.0} tasks/min"),
        1.0.. => format!("{a_minute:.1} tasks/min"),
        _ => format!("{:.1} tasks/h", a_minute * 60.0),
    }
}

/// A share in percent with one decimal, rounded down: only all are `100.0 %`, and only none are
/// `0.0 %`.
pub fn percent(part: u64, all: u64) -> String {
    let tenths = match u128::from(all) {
        0 => 0,
        all => u128::from(part) * 1000 / all,
    };
    match tenths {
        0 if part > 0 => "<0.1 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// A number of bytes: `256 B`, `3.4 KiB`, `64.0 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        // Such a number would be shown with five digits.
        if size < 1023.95 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_units_that_matter() {
        let of = Duration::from_secs;
        let texts = [0, 59, 60, 3599, 3600, 172_799, 172_800].map(|it| about(of(it)));
        assert_eq!(
            texts,
            ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d"]
        );
        let two = [59, 185, 36_610, 187_200].map(|it| rounded(of(it)));
        assert_eq!(two, ["59 s", "3 min", "10 h 10 min", "2 d 4 h"]);
        assert_eq!(of_a_wait(61.34), "61.3 s");
        assert_eq!(of_a_wait(720.0), "12 min");
        assert_eq!(of_a_wait(f64::MAX), about(Duration::MAX));
        let precisely = [
            812,
            1000,
            12_345,
            999_499,
            999_500,
            4_560_000,
            61_340_000_000,
        ];
        assert_eq!(
            precisely.map(precise),
            [
                "812 ns", "1.00 µs", "12.3 µs", "999 µs", "1.00 ms", "4.56 ms", "61.3 s"
            ]
        );
        assert_eq!(precise(720_000_000_000), "12 min");
        assert_eq!(precise(u64::MAX), "213503 d 23 h");
        assert_eq!(of_day(76_506.9), "21:15:06 UTC");
    }

    #[test]
    fn rates_shares_and_sizes_have_few_digits() {
        assert_eq!(
            [0.05, 1.25, 250.0].map(rate),
            ["3.0 tasks/h", "1.2 tasks/min", "250 tasks/min"]
        );
        assert_eq!(percent(2, 3), "66.6 %");
        assert_eq!(percent(9999, 10_000), "99.9 %");
        assert_eq!(percent(7, 7), "100.0 %");
        assert_eq!(percent(0, 0), "0.0 %");
        assert_eq!(percent(1, 3000), "<0.1 %");
        assert_eq!(percent(3, 3000), "0.1 %");
        let sizes = [256, 3482, 64 << 20, (1 << 20) - 1].map(size);
        assert_eq!(sizes, ["256 B", "3.4 KiB", "64.0 MiB", "1.0 MiB"]);
    }
}
