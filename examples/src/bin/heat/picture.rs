//! Pictures of the plate.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mpisync::ndarray::ArrayRef2;
use plotters::prelude::*;

/// Pictures have about this side: cells of smaller plates are drawn as squares of several pixels.
const SIDE: usize = 512;

/// The colours from cold to hot, at even distances.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 0, 12),
    RGBColor(66, 10, 104),
    RGBColor(147, 38, 103),
    RGBColor(221, 81, 58),
    RGBColor(252, 165, 10),
    RGBColor(252, 255, 164),
];

/// Draws the plate after this number of steps into a PNG file in `dir`. Returns the path of the
/// file.
///
/// # Errors
/// If the file cannot be written.
pub fn draw(plate: &ArrayRef2<f64>, dir: &Path, step: u32) -> anyhow::Result<PathBuf> {
    let file = dir.join(format!("step-{step:06}.png"));
    let scale = (SIDE / plate.nrows()).max(1) as u32;
    let side = plate.nrows() as u32 * scale;
    let draw = || -> anyhow::Result<()> {
        let picture = BitMapBackend::new(&file, (side, side)).into_drawing_area();
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let cell = [(y / scale) as usize, (x / scale) as usize];
            picture.draw_pixel((x as i32, y as i32), &colour(plate[cell]))?;
        }
        Ok(picture.present()?)
    };
    draw().with_context(|| format!("cannot draw {}", file.display()))?;
    Ok(file)
}

/// The colour of a temperature from 0 to 1.
fn colour(temperature: f64) -> RGBColor {
    let place = temperature.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let below = (place as usize).min(COLOURS.len() - 2);
    let (colder, hotter) = (COLOURS[below], COLOURS[below + 1]);
    let part = place - below as f64;
    let mix = |cold: u8, hot: u8| {
        (f64::from(cold) + part * (f64::from(hot) - f64::from(cold))).round() as u8
    };
    RGBColor(
        mix(colder.0, hotter.0),
        mix(colder.1, hotter.1),
        mix(colder.2, hotter.2),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_from_cold_to_hot() {
        for (number, &expected) in COLOURS.iter().enumerate() {
            assert_eq!(colour(number as f64 / 5.0), expected);
        }
        assert_eq!(colour(0.1), RGBColor(33, 5, 58));
        assert_eq!((colour(-1.0), colour(7.0)), (COLOURS[0], COLOURS[5]));
    }
}
