//! Figures as SVG, readable in light and dark. All values are on logarithmic axes, and all have their
//! spread.

mod curves;
mod dots;
mod scale;
mod svg;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use curves::{Curve, Curves};
pub use dots::{Dots, Group, Row};
pub use scale::Unit;

use svg::{Anchor, Drawing, MARGIN, WIDTH};

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of the measurements are below it.
    pub median: f64,
    /// The lower end of what is drawn.
    pub min: f64,
    /// The upper end of what is drawn.
    pub max: f64,
}

impl Spread {
    /// The same in another unit, by a function that only grows or only falls.
    pub fn map(self, function: impl Fn(f64) -> f64) -> Self {
        let [one, median, other] = self.all().map(function);
        Self {
            median,
            min: one.min(other),
            max: one.max(other),
        }
    }

    /// The lower end, the median and the upper end.
    fn all(self) -> [f64; 3] {
        [self.min, self.median, self.max]
    }

    fn text(self, unit: Unit) -> String {
        let [min, median, max] = self.all().map(|value| unit.text(value));
        match self.min == self.max {
            true => median,
            false => format!("{median} ({min} to {max})"),
        }
    }
}

/// One chart.
pub enum Panel {
    /// Rows of dots.
    Dots(Dots),
    /// Curves.
    Curves(Curves),
}

/// One file.
pub struct Figure {
    /// The name of the file, without its extension.
    pub name: String,
    /// What is shown.
    pub title: String,
    /// How it was measured and how to read it.
    pub note: String,
    /// The charts, below each other. Those without a point are left out.
    pub panels: Vec<Panel>,
}

impl Figure {
    /// The picture. None if there is no point in it.
    pub fn svg(&self) -> Option<String> {
        const LINE: f64 = 18.0;
        let mut drawing = Drawing::default();
        drawing.text("title", (MARGIN, 34.0), Anchor::Start, &self.title);
        let mut y = 58.0;
        for line in lines(&self.note) {
            drawing.text("faint", (MARGIN, y), Anchor::Start, &line);
            y += LINE;
        }
        let mut bottom = None;
        for panel in &self.panels {
            let drawn = match panel {
                Panel::Dots(dots) => dots.draw(&mut drawing, y),
                Panel::Curves(curves) => curves.draw(&mut drawing, y),
            };
            if let Some(drawn) = drawn {
                bottom = Some(drawn);
                y = drawn + 20.0;
            }
        }
        Some(drawing.finish(bottom? + 8.0, &self.title))
    }

    /// Writes the picture into a directory, and returns its path. None if there is no point in it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<Option<PathBuf>> {
        let Some(svg) = self.svg() else {
            return Ok(None);
        };
        let path = directory.join(format!("{}.svg", self.name));
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Some(path))
    }
}

/// A text in lines that fit into the picture.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is one");
        if !last.is_empty() && svg::width_of(last) + svg::width_of(word) > WIDTH - 2.0 * MARGIN {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
pub(crate) mod tests;
