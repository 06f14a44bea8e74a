//! Curves on two logarithmic axes, each point with its spread.

use super::Spread;
use super::scale::{Scale, Unit};
use super::svg::{Anchor, Drawing, MARGIN, WIDTH, mark, width_of};

const LEFT: f64 = 110.0;
const RIGHT: f64 = WIDTH - 48.0;
const HEIGHT: f64 = 290.0;
/// The height of a line of the legend.
const LINE: f64 = 22.0;
/// The length of a line in the legend.
const SAMPLE: f64 = 34.0;
/// Half of the width of the ends of a spread.
const CAP: f64 = 4.0;

/// Curves in one chart.
pub struct Curves {
    /// What is shown.
    pub title: String,
    /// What the horizontal axis is, and its unit.
    pub x: (String, Unit),
    /// What the vertical axis is, and its unit.
    pub y: (String, Unit),
    /// The curves.
    pub curves: Vec<Curve>,
}

/// Points that belong together, in the order of their x.
pub struct Curve {
    /// The text in the legend.
    pub name: String,
    /// The number of its colour and of the shape of its points; 0 is ours.
    pub colour: usize,
    /// Drawn with dashes.
    pub dashed: bool,
    /// x and y.
    pub points: Vec<(f64, Spread)>,
}

impl Curves {
    /// Draws below `top`, and returns the bottom. None if there is no point.
    pub(super) fn draw(&self, drawing: &mut Drawing, top: f64) -> Option<f64> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let (x_unit, y_unit) = (self.x.1, self.y.1);
        let x = Scale::new(x_unit, points().map(|(x, _)| *x), (LEFT + 8.0, RIGHT))?;
        drawing.text("head", (MARGIN, top + 14.0), Anchor::Start, &self.title);
        let above = self.legend(drawing, top + 36.0);
        let y_title = format!("{}, logarithmic", self.y.0);
        drawing.text("faint", (MARGIN, above), Anchor::Start, &y_title);
        let (high, low) = (above + 14.0, above + 14.0 + HEIGHT);
        let values = points().flat_map(|(_, y)| y.all());
        let y = Scale::new(y_unit, values, (low, high))?;
        for (value, text) in y.ticks() {
            let at = y.at(value);
            drawing.path("grid", &format!("M{LEFT} {at:.1}H{RIGHT}"));
            drawing.text("faint", (LEFT - 8.0, at + 4.5), Anchor::End, &text);
        }
        for (value, text) in x.ticks() {
            let at = x.at(value);
            drawing.path("grid", &format!("M{at:.1} {high:.1}V{:.1}", low + 5.0));
            drawing.text("faint", (at, low + 20.0), Anchor::Middle, &text);
        }
        let middle = ((LEFT + RIGHT) / 2.0, low + 40.0);
        let x_title = format!("{}, logarithmic", self.x.0);
        drawing.text("faint", middle, Anchor::Middle, &x_title);
        // Ours is drawn last, above the others.
        let ours_last = |curve: &&Curve| curve.colour == 0;
        let (ours, others): (Vec<_>, Vec<_>) = self.curves.iter().partition(ours_last);
        for curve in others.into_iter().chain(ours) {
            curve.draw(drawing, (&x, x_unit), (&y, y_unit));
        }
        Some(low + 50.0)
    }

    /// Draws the names, in columns, and returns the base line of what comes below.
    fn legend(&self, drawing: &mut Drawing, top: f64) -> f64 {
        const GAP: f64 = 22.0;
        let shown = || self.curves.iter().filter(|curve| !curve.points.is_empty());
        let wide = |curve: &Curve| SAMPLE + 8.0 + width_of(&curve.name) + GAP;
        let column = shown().map(wide).fold(0.0, f64::max);
        let columns = ((WIDTH - 2.0 * MARGIN + GAP) / column).max(1.0) as usize;
        let mut y = top;
        for (index, curve) in shown().enumerate() {
            let x = MARGIN + column * (index % columns) as f64;
            y = top + LINE * (index / columns) as f64;
            let middle = y - 4.5;
            let line = format!("M{x:.1} {middle:.1}h{SAMPLE}");
            let shape = mark(curve.colour, (x + SAMPLE / 2.0, middle));
            let paths = [(curve.classes(), line), ("mark", shape)];
            drawing.marks(curve.colour, &curve.name, &paths);
            drawing.text("", (x + SAMPLE + 8.0, y), Anchor::Start, &curve.name);
        }
        y + LINE + 4.0
    }
}

impl Curve {
    fn classes(&self) -> &'static str {
        match self.dashed {
            true => "line dashed",
            false => "line",
        }
    }

    fn draw(
        &self,
        drawing: &mut Drawing,
        (x, x_unit): (&Scale, Unit),
        (y, y_unit): (&Scale, Unit),
    ) {
        if self.points.is_empty() {
            return;
        }
        let line = self.points.iter().enumerate().map(|(index, (at, value))| {
            let command = if index == 0 { 'M' } else { 'L' };
            format!("{command}{:.1} {:.1}", x.at(*at), y.at(value.median))
        });
        let line = line.collect::<String>();
        drawing.marks(self.colour, &self.name, &[(self.classes(), line)]);
        for (at, value) in &self.points {
            let title = format!(
                "{}, {}: {}",
                self.name,
                x_unit.text(*at),
                value.text(y_unit)
            );
            let [least, median, most] = value.all().map(|value| y.at(value));
            let at = x.at(*at);
            let (left, right) = (at - CAP, at + CAP);
            let bar = format!(
                "M{left:.1} {least:.1}H{right:.1}M{at:.1} {least:.1}V{most:.1}M{left:.1} {most:.1}H{right:.1}"
            );
            let shape = ("mark", mark(self.colour, (at, median)));
            match value.min == value.max {
                true => drawing.marks(self.colour, &title, &[shape]),
                false => drawing.marks(self.colour, &title, &[("bar", bar), shape]),
            }
        }
    }
}
