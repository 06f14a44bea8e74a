//! Logarithmic axes: where a value is, and which values have a tick.

/// What the values of an axis are, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Time,
    /// Megabytes per second.
    MegabytesPerSecond,
    /// Operations per second.
    PerSecond,
    /// Bytes, with ticks at powers of two.
    Bytes,
    /// A number of things, with ticks at powers of two.
    Doubled,
    /// A number of things, with ticks at powers of ten.
    Number,
}

impl Unit {
    /// The value with three digits.
    pub fn text(self, value: f64) -> String {
        let prefixes: &[(f64, &str)] = match self {
            Unit::Time => &[(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")],
            Unit::MegabytesPerSecond => &[(1e3, " GB/s"), (1.0, " MB/s"), (1e-3, " kB/s")],
            Unit::PerSecond => &[(1e9, " billion/s"), (1e6, " million/s"), (1.0, "/s")],
            Unit::Bytes => &[(1_048_576.0, " MiB"), (1024.0, " KiB"), (1.0, " B")],
            Unit::Doubled | Unit::Number => return grouped(value),
        };
        // Rounding must not make a thousand of the smaller unit.
        let found = prefixes.iter().find(|(unit, _)| value * 1.0005 >= *unit);
        let (unit, name) = found.or(prefixes.last()).expect("there is one");
        format!("{}{name}", three_digits(value / unit))
    }

    fn is_binary(self) -> bool {
        matches!(self, Unit::Bytes | Unit::Doubled)
    }
}

/// A number with three digits, without zeros at the end of its fraction. What is nearly 0, as a round
/// without an operation is, has no digits.
fn three_digits(value: f64) -> String {
    if value < 1e-6 {
        return String::from("0");
    }
    let before = value.log10().floor() as i32;
    if before > 2 {
        let last = power(before - 2);
        return grouped((value / last).round() * last);
    }
    let text = format!("{value:.*}", (2 - before).min(6) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A whole number with a comma before each three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A logarithmic axis.
pub struct Scale {
    unit: Unit,
    /// The smallest and the largest value on the axis.
    range: (f64, f64),
    /// Where they are.
    pixels: (f64, f64),
}

impl Scale {
    /// An axis with all these values, between two positions. None if there is no value. Values that
    /// are not above 0 do not count.
    pub fn new(unit: Unit, values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            return None;
        }
        let range = match unit.is_binary() {
            true => (least / 1.2, most * 1.2),
            false => between_ticks(least, most),
        };
        Some(Self {
            unit,
            range,
            pixels,
        })
    }

    /// The position of a value.
    pub fn at(&self, value: f64) -> f64 {
        let (least, most) = self.range;
        let part = (value.clamp(least, most) / least).ln() / (most / least).ln();
        self.pixels.0 + part * (self.pixels.1 - self.pixels.0)
    }

    /// The values that have a tick, each with its text.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let (least, most) = self.range;
        let values = match self.unit.is_binary() {
            true => powers_of_two(least, most),
            false => {
                let decades: Vec<f64> = steps(&[1.0], least, most);
                match decades.len() {
                    0..3 => steps(&[1.0, 2.0, 5.0], least, most),
                    _ => decades,
                }
            }
        };
        let with_text = |value| (value, self.unit.text(value));
        values.into_iter().map(with_text).collect()
    }
}

/// The largest 1, 2 or 5 times a power of ten that is not above the least value, and the smallest one
/// that is not below the greatest, but two of them at least.
fn between_ticks(least: f64, most: f64) -> (f64, f64) {
    let all = steps(&[1.0, 2.0, 5.0], least / 10.1, most * 10.1);
    // A value that is a tick itself may be off by rounding.
    let (low, high) = (least * (1.0 + 1e-9), most * (1.0 - 1e-9));
    let from = all.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    let to = all.iter().position(|tick| *tick >= high);
    let to = to.unwrap_or(all.len() - 1).max(from + 1);
    (all[from], all[to])
}

/// These factors times powers of ten within a range.
fn steps(factors: &[f64], least: f64, most: f64) -> Vec<f64> {
    let exponents = least.log10().floor() as i32..=most.log10().ceil() as i32;
    let all = exponents.flat_map(|exponent| factors.iter().map(move |it| it * power(exponent)));
    let (least, most) = (least * (1.0 - 1e-9), most * (1.0 + 1e-9));
    all.filter(|tick| (least..=most).contains(tick)).collect()
}

/// A power of ten that is exact where it is a whole number.
fn power(exponent: i32) -> f64 {
    match exponent {
        0.. => 10.0_f64.powi(exponent),
        _ => 1.0 / 10.0_f64.powi(-exponent),
    }
}

/// At most 13 powers of two within a range, at equal distances.
fn powers_of_two(least: f64, most: f64) -> Vec<f64> {
    const MOST: usize = 13;
    let (first, last) = (least.log2().ceil() as i32, most.log2().floor() as i32);
    let count = (last - first + 1).max(1) as usize;
    (first..=last)
        .step_by(count.div_ceil(MOST))
        .map(|power| f64::from(power).exp2())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(unit: Unit, values: &[f64]) -> Vec<String> {
        let scale = Scale::new(unit, values.iter().copied(), (0.0, 100.0));
        let ticks = scale.expect("there are values").ticks();
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn values_have_three_digits_and_a_unit() {
        for (value, text) in [
            (0.0, "0 ns"),
            (1.944, "1.94 ns"),
            (1.0, "1 ns"),
            (0.57, "0.57 ns"),
            (100.0, "100 ns"),
            (999.7, "1 µs"),
            (999.4, "999 ns"),
            (2_881.0, "2.88 µs"),
            (16_905_000.0, "16.9 ms"),
            (25e9, "25 s"),
        ] {
            assert_eq!(Unit::Time.text(value), text);
        }
        assert_eq!(Unit::MegabytesPerSecond.text(62_030.0), "62 GB/s");
        assert_eq!(Unit::PerSecond.text(2.5e8), "250 million/s");
        assert_eq!(Unit::PerSecond.text(123_456.0), "123,000/s");
        assert_eq!(Unit::Bytes.text(1536.0), "1.5 KiB");
        assert_eq!(Unit::Number.text(10_000_000.0), "10,000,000");
        assert_eq!(Unit::Doubled.text(512.0), "512");
    }

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        let wide = texts(Unit::Time, &[1.9, 2_900.0]);
        assert_eq!(wide, ["1 ns", "10 ns", "100 ns", "1 µs"]);
        let narrow = texts(Unit::Time, &[30.0, 70.0]);
        assert_eq!(narrow, ["20 ns", "50 ns", "100 ns"]);
        assert_eq!(texts(Unit::Time, &[20.0]), ["20 ns", "50 ns"]);
        assert_eq!(texts(Unit::Time, &[25.0]), ["20 ns", "50 ns"]);
        assert_eq!(texts(Unit::Doubled, &[1.0, 8.0]), ["1", "2", "4", "8"]);
        let nodes = texts(Unit::Doubled, &[1.0, 4096.0]);
        assert_eq!((nodes.len(), nodes[12].as_str()), (13, "4,096"));
        let bytes = texts(Unit::Bytes, &[8.0, 1_048_576.0]);
        assert_eq!(bytes[..3], ["8 B", "32 B", "128 B"]);
        assert_eq!(bytes.last().expect("there is one"), "512 KiB");
    }

    #[test]
    fn equal_ratios_are_equal_distances() {
        let scale = Scale::new(Unit::Time, [1.0, 1e4].into_iter(), (50.0, 450.0));
        let scale = scale.expect("there are values");
        for (value, pixel) in [(1.0, 50.0), (10.0, 150.0), (1e4, 450.0)] {
            assert!((scale.at(value) - pixel).abs() < 1e-6, "{value}");
        }
        // Outside the axis and without a logarithm.
        assert_eq!(scale.at(0.0), 50.0);
    }

    #[test]
    fn no_value_is_no_axis() {
        let none: [&[f64]; 3] = [&[], &[0.0, -1.0], &[f64::NAN, f64::INFINITY]];
        for values in none {
            let scale = Scale::new(Unit::Time, values.iter().copied(), (0.0, 1.0));
            assert!(scale.is_none(), "{values:?}");
        }
    }
}
