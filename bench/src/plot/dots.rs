//! Dots in rows, on one logarithmic axis: what subjects take in several cases.

use super::Spread;
use super::scale::{Scale, Unit};
use super::svg::{Anchor, Drawing, MARGIN, WIDTH, mark};

const ROW: f64 = 20.0;
const HEAD: f64 = 26.0;
const LEFT: f64 = 220.0;
/// To the right of the chart are the medians in figures.
const RIGHT: f64 = WIDTH - 120.0;
/// Half of the height of the ends of a line.
const CAP: f64 = 4.0;

/// Rows of dots, grouped by case.
pub struct Dots {
    /// What is shown.
    pub title: String,
    /// What the axis is.
    pub axis: String,
    /// The unit of the axis.
    pub unit: Unit,
    /// One for each case.
    pub groups: Vec<Group>,
}

/// The rows of one case.
pub struct Group {
    /// The case.
    pub name: String,
    /// One for each subject.
    pub rows: Vec<Row>,
}

/// A subject in a case.
pub struct Row {
    /// The subject.
    pub name: String,
    /// Drawn as the one that the others are compared with.
    pub is_ours: bool,
    /// None if the subject hung.
    pub value: Option<Spread>,
}

impl Dots {
    /// Draws below `top`, and returns the bottom. None if there is no point.
    pub(super) fn draw(&self, drawing: &mut Drawing, top: f64) -> Option<f64> {
        let rows = || self.groups.iter().flat_map(|group| &group.rows);
        let values = rows().filter_map(|row| row.value).flat_map(Spread::all);
        let scale = Scale::new(self.unit, values, (LEFT, RIGHT))?;
        drawing.text("head", (MARGIN, top + 14.0), Anchor::Start, &self.title);
        let ticks = scale.ticks();
        let label = |drawing: &mut Drawing, y: f64| {
            for (value, text) in &ticks {
                drawing.text("faint", (scale.at(*value), y), Anchor::Middle, text);
            }
        };
        label(drawing, top + 40.0);
        drawing.text("faint", (WIDTH - MARGIN, top + 40.0), Anchor::End, "median");
        let mut y = top + 46.0;
        for group in &self.groups {
            drawing.text("head", (MARGIN, y + 18.0), Anchor::Start, &group.name);
            y += HEAD;
            let bottom = y + ROW * group.rows.len() as f64;
            for (value, _) in &ticks {
                let x = scale.at(*value);
                drawing.path("grid", &format!("M{x:.1} {y:.1}V{bottom:.1}"));
            }
            for row in &group.rows {
                row.draw(drawing, self.unit, &scale, &group.name, y + ROW / 2.0);
                y += ROW;
            }
        }
        label(drawing, y + 18.0);
        let axis = format!("{}, logarithmic", self.axis);
        let middle = (LEFT + RIGHT) / 2.0;
        drawing.text("faint", (middle, y + 38.0), Anchor::Middle, &axis);
        Some(y + 48.0)
    }
}

impl Row {
    fn draw(&self, drawing: &mut Drawing, unit: Unit, scale: &Scale, case: &str, middle: f64) {
        let line = middle + 4.5;
        let class = if self.is_ours { "head" } else { "" };
        drawing.text(class, (LEFT - 12.0, line), Anchor::End, &self.name);
        let Some(value) = self.value else {
            drawing.text("faint", (WIDTH - MARGIN, line), Anchor::End, "no end");
            return;
        };
        let median = unit.text(value.median);
        drawing.text(class, (WIDTH - MARGIN, line), Anchor::End, &median);
        let [least, at, most] = value.all().map(|value| scale.at(value));
        let title = format!("{case}: {}, {}", self.name, value.text(unit));
        // Ours is a circle, the others are squares.
        let (colour, shape) = if self.is_ours { (0, 0) } else { (5, 1) };
        let (upper, lower) = (middle - CAP, middle + CAP);
        let bar = format!(
            "M{least:.1} {upper:.1}V{lower:.1}M{least:.1} {middle:.1}H{most:.1}M{most:.1} {upper:.1}V{lower:.1}"
        );
        drawing.marks(
            colour,
            &title,
            &[("bar", bar), ("mark", mark(shape, (at, middle)))],
        );
    }
}
