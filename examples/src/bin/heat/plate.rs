//! The plate: its initial state, a step of the heat equation, and the rows of each rank.

use std::ops::Range;

use mpisync::ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2, Zip, s};

/// The part of the difference to its neighbours by which a cell changes in a step. Above 1/4 the
/// steps would be unstable.
const RATE: f64 = 0.2;

/// The plate before the first step: a hot ring and a hot disc on a cold plate whose left edge is
/// kept hot and whose right edge is kept cold. Temperatures are between 0 and 1.
pub fn initial(size: usize) -> Array2<f64> {
    let last = size - 1;
    let from_centre = |index: usize| 2.0 * index as f64 / last as f64 - 1.0;
    Array2::from_shape_fn([size, size], |(row, column)| {
        let (y, x) = (from_centre(row), from_centre(column));
        let is_edge = [0, last].contains(&row) || [0, last].contains(&column);
        let distance = (x * x + y * y).sqrt();
        let is_hot = distance < 0.2 || (0.5..0.65).contains(&distance);
        if is_edge {
            (1.0 - x) / 2.0
        } else {
            f64::from(u8::from(is_hot))
        }
    })
}

/// Computes rows of the plate after a step from `old`: the same rows before the step, and one more
/// above and below.
///
/// The first and the last column are edges and do not change. Each cell is computed by the same
/// operations in the same order for any number of rows, so the result does not depend on the
/// distribution of the rows.
pub fn spread(old: ArrayView2<'_, f64>, mut new: ArrayViewMut2<'_, f64>) {
    let (rows, last) = (new.nrows(), old.ncols() - 1);
    let here = old.slice(s![1..=rows, ..]);
    for edge in [0, last] {
        new.column_mut(edge).assign(&here.column(edge));
    }
    Zip::from(new.slice_mut(s![.., 1..last]))
        .and(here.slice(s![.., 1..last]))
        .and(old.slice(s![..rows, 1..last]))
        .and(old.slice(s![2.., 1..last]))
        .and(here.slice(s![.., ..last - 1]))
        .and(here.slice(s![.., 2..]))
        .for_each(|new, &here, &above, &below, &left, &right| {
            *new = here + RATE * ((above + below) + (left + right) - 4.0 * here);
        });
}

/// The plate after this number of steps, computed by one process in its own memory.
pub fn serial(size: usize, steps: u32) -> Array2<f64> {
    let mut old = initial(size);
    let mut new = old.clone();
    for _ in 0..steps {
        spread(old.view(), new.slice_mut(s![1..size - 1, ..]));
        (old, new) = (new, old);
    }
    old
}

/// The rows that a rank computes: a part of those between the first and the last, which are edges.
/// If there are more ranks than rows, some ranks have none.
pub fn rows_of(rank: i32, ranks: i32, size: usize) -> Range<usize> {
    let first_of = |rank: i32| 1 + (size - 2) * rank as usize / ranks as usize;
    first_of(rank)..first_of(rank + 1)
}

/// The row and column of the first cell whose bits differ.
pub fn difference(one: &ArrayRef2<f64>, other: &ArrayRef2<f64>) -> Option<(usize, usize)> {
    let mut cells = one.indexed_iter();
    let differs = |&(cell, number): &(_, &f64)| number.to_bits() != other[cell].to_bits();
    Some(cells.find(differs)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_between_the_edges_has_one_rank() {
        for size in [3, 4, 5, 33, 256] {
            for ranks in [1, 2, 3, 8, 100] {
                let rows = (0..ranks).flat_map(|rank| rows_of(rank, ranks, size));
                assert!(rows.eq(1..size - 1), "{ranks} ranks, size {size}");
            }
        }
    }

    #[test]
    fn rows_are_the_same_in_any_parts() {
        let size = 17;
        let right = serial(size, 1);
        let old = initial(size);
        for ranks in 1..20 {
            let mut new = old.clone();
            for rank in 0..ranks {
                let rows = rows_of(rank, ranks, size);
                let around = old.slice(s![rows.start - 1..rows.end + 1, ..]);
                spread(around, new.slice_mut(s![rows, ..]));
            }
            assert_eq!(difference(&new, &right), None, "{ranks} ranks");
        }
    }

    #[test]
    fn an_even_slope_stays_and_a_peak_spreads() {
        let slope = Array2::from_shape_fn([5, 6], |(row, column)| (2 * row + 4 * column) as f64);
        let mut new = slope.clone();
        spread(slope.view(), new.slice_mut(s![1..4, ..]));
        assert_eq!(difference(&new, &slope), None);

        let mut peak = Array2::zeros([5, 5]);
        peak[[2, 2]] = 1.0;
        let mut new = peak.clone();
        spread(peak.view(), new.slice_mut(s![1..4, ..]));
        assert_eq!(
            [new[[2, 2]], new[[2, 1]], new[[3, 2]]],
            [1.0 - 4.0 * RATE, RATE, RATE]
        );
        assert_eq!(difference(&new, &peak), Some((1, 2)));
    }

    #[test]
    fn the_steps_end_with_even_heat() {
        let plate = serial(9, 1000);
        for ((_, column), temperature) in plate.indexed_iter() {
            assert!((temperature - (1.0 - column as f64 / 8.0)).abs() < 1e-9);
        }
    }
}
