//! Blocks of arrays: where their items lie in memory.

use std::ops::Range;

/// Where the items of a block lie in an array in row-major order, as ranges of items, in the order of the block's own items.
/// All of them have the same length. `first` is the index of the block's first item.
///
/// None if the block does not fit into the array.
pub fn runs(
    array: &[usize],
    first: &[i64],
    block: &[usize],
) -> Option<impl Iterator<Item = Range<usize>>> {
    if array.len() != first.len() || array.len() != block.len() {
        return None;
    }
    let mut begin = 0;
    for (&axis, (&first, &length)) in array.iter().zip(first.iter().zip(block)) {
        let first = usize::try_from(first).ok()?;
        if first.checked_add(length)? > axis {
            return None;
        }
        begin = begin * axis + first;
    }
    // The axes from `whole` on are taken whole, so a run goes over them and over the axis before.
    let is_part = |&axis: &usize| array[axis] != block[axis];
    let whole = (0..array.len()).rev().find(is_part).unwrap_or(0);
    let length: usize = block[whole..].iter().product();
    let steps: Vec<(usize, usize)> = (0..whole)
        .map(|axis| (block[axis], array[axis + 1..].iter().product()))
        .collect();
    let count = if length == 0 {
        0
    } else {
        block[..whole].iter().product()
    };
    Some((0..count).map(move |mut number: usize| {
        let mut start = begin;
        for (lengths, step) in steps.iter().rev() {
            start += number % lengths * step;
            number /= lengths;
        }
        start..start + length
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first and the last item of each run.
    fn ends(array: &[usize], first: &[i64], block: &[usize]) -> Vec<(usize, usize)> {
        let runs = runs(array, first, block).expect("it fits");
        runs.map(|run| (run.start, run.end - 1)).collect()
    }

    #[test]
    fn a_block_that_is_whole_in_its_last_axes_is_one_run() {
        assert_eq!(ends(&[15], &[0], &[15]), [(0, 14)]);
        assert_eq!(ends(&[4, 5], &[1, 0], &[2, 5]), [(5, 14)]);
        assert_eq!(ends(&[2, 3, 4], &[0, 0, 0], &[2, 3, 4]), [(0, 23)]);
        assert_eq!(ends(&[], &[], &[]), [(0, 0)]);
    }

    #[test]
    fn a_block_of_some_columns_has_a_run_for_each_row() {
        assert_eq!(ends(&[4, 5], &[1, 2], &[2, 3]), [(7, 9), (12, 14)]);
        let runs = ends(&[2, 3, 4], &[0, 1, 0], &[2, 2, 4]);
        assert_eq!(runs, [(4, 11), (16, 23)]);
        let runs = ends(&[2, 3, 4], &[0, 1, 3], &[2, 2, 1]);
        assert_eq!(runs, [(7, 7), (11, 11), (19, 19), (23, 23)]);
    }

    #[test]
    fn a_block_without_items_has_no_run() {
        assert_eq!(ends(&[4], &[4], &[0]), []);
        assert_eq!(ends(&[0, 5], &[0, 0], &[0, 5]), []);
        assert_eq!(ends(&[4, 5], &[0, 0], &[0, 2]), []);
        assert_eq!(ends(&[4, 5], &[0, 0], &[2, 0]), []);
    }

    #[test]
    fn a_block_that_does_not_fit_has_no_place() {
        for (first, block) in [
            (&[0, 0][..], &[5, 5][..]),
            (&[2, 0], &[3, 5]),
            (&[-1, 0], &[1, 1]),
            (&[0, 1], &[1, usize::MAX]),
            (&[0], &[4]),
            (&[0, 0], &[4]),
        ] {
            assert!(runs(&[4, 5], first, block).is_none(), "{first:?} {block:?}");
        }
    }

    #[test]
    fn the_runs_are_the_items_of_the_block() {
        let (array, first, block) = ([3, 4, 5], [1, 1, 2], [2, 3, 2]);
        let mut expected = Vec::new();
        for x in 1..3 {
            for y in 1..4 {
                expected.extend((2..4).map(|z| (x * 4 + y) * 5 + z));
            }
        }
        let runs = runs(&array, &first, &block).expect("it fits");
        assert_eq!(runs.flatten().collect::<Vec<_>>(), expected);
    }
}
