//! Curves over a number of nodes, on logarithmic axes, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::element::DashedPathElement;
use plotters::prelude::*;

/// Points that belong together, in the order of their x.
pub struct Curve {
    /// The text in the legend.
    pub name: String,
    /// Drawn with dashes.
    pub dashed: bool,
    /// x and y, both above 0.
    pub points: Vec<(f64, f64)>,
}

/// One diagram.
pub struct Panel {
    /// What is shown.
    pub title: &'static str,
    /// The unit of the y axis.
    pub unit: &'static str,
    /// Two consecutive curves, of which the second is dashed, have the same colour.
    pub curves: Vec<Curve>,
}

const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 90, 160),
    RGBColor(200, 80, 0),
    RGBColor(0, 130, 80),
    RGBColor(150, 50, 150),
    RGBColor(120, 120, 0),
    RGBColor(90, 90, 90),
];

/// A dash, and the gap after it, in pixels.
const DASH: (u32, u32) = (6, 4);
/// The length of a line in the legend: some dashes.
const IN_LEGEND: i32 = 36;

/// Draws panels below each other, whose x axes have ticks at powers of two.
///
/// # Errors
/// If there is no point to draw, or the file cannot be written.
pub fn draw(path: &Path, x_axis: &str, panels: &[Panel]) -> Result<()> {
    let root = SVGBackend::new(path, (900, 460 * panels.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((panels.len(), 1)).iter().zip(panels) {
        draw_panel(area, x_axis, panel)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    x_axis: &str,
    panel: &Panel,
) -> Result<()> {
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let (x, y) = range(points().map(|point| point.0))
        .zip(range(points().map(|point| point.1)))
        .ok_or_else(|| anyhow!("no point in \"{}\"", panel.title))?;
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (x.0..x.1).log_scale().with_key_points(powers_of_two(x)),
            (y.0..y.1).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc(x_axis)
        .y_desc(panel.unit)
        .x_label_formatter(&f64::to_string)
        .y_label_formatter(&f64::to_string)
        .draw()?;
    let mut colour = COLOURS.iter().cycle();
    let mut style = COLOURS[0].stroke_width(2);
    for curve in &panel.curves {
        if !curve.dashed {
            style = colour.next().expect("a cycle").stroke_width(2);
        }
        let points = curve.points.iter().copied();
        let line = |(x, y)| [(x, y), (x + IN_LEGEND, y)];
        if curve.dashed {
            let (dash, gap) = DASH;
            chart
                .draw_series(DashedLineSeries::new(points, dash, gap, style))?
                .label(&curve.name)
                .legend(move |at| DashedPathElement::new(line(at), dash, gap, style));
        } else {
            chart
                .draw_series(LineSeries::new(points, style))?
                .label(&curve.name)
                .legend(move |at| PathElement::new(line(at), style));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .legend_area_size(IN_LEGEND + 8)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    Ok(())
}

/// From slightly less than the minimum to slightly more than the maximum.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (mut least, mut greatest) = (f64::INFINITY, 0.0f64);
    for value in values {
        least = least.min(value);
        greatest = greatest.max(value);
    }
    (least <= greatest && least > 0.0).then_some((least * 0.9, greatest * 1.1))
}

/// The powers of two within a range.
fn powers_of_two((least, greatest): (f64, f64)) -> Vec<f64> {
    let powers = least.log2().ceil() as i32..=greatest.log2().floor() as i32;
    powers.map(|power| f64::from(power).exp2()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_drawn() {
        let path = std::env::temp_dir().join(format!("mpisync-plot-{}.svg", std::process::id()));
        let curve = |name: &str, dashed| Curve {
            name: name.to_owned(),
            dashed,
            points: vec![(1.0, 10.0), (2.0, 20.0), (4096.0, 15.0)],
        };
        let panel = Panel {
            title: "cost",
            unit: "microseconds",
            curves: vec![curve("tree", false), curve("flat", true)],
        };
        draw(&path, "nodes", &[panel]).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for word in ["cost", "microseconds", "nodes", "tree", "flat"] {
            assert!(svg.contains(word), "no {word} in the drawing");
        }
        for tick in ["1", "2", "512", "4096"] {
            assert!(svg.contains(&format!("\n{tick}\n")), "no tick at {tick}");
        }
    }

    #[test]
    fn ticks_are_within_the_range() {
        assert_eq!(powers_of_two((0.9, 4.4)), [1.0, 2.0, 4.0]);
        assert_eq!(powers_of_two((3.0, 20.0)), [4.0, 8.0, 16.0]);
    }

    #[test]
    fn nothing_is_no_drawing() {
        assert!(range([].into_iter()).is_none());
        assert!(range([0.0, 1.0].into_iter()).is_none());
        assert!(range([1.0].into_iter()).is_some());
    }
}
