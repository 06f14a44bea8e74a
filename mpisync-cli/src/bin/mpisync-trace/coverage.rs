//! How much of each piece of the time a rank spends on what, for pictures with fewer pixels than events.

use crate::job::{Job, Lane};
use mpisync::inspect::trace::Activity;

/// How many activities there are. In pictures they have their numbers.
pub const ACTIVITIES: usize = Activity::ALL.len();

/// A picture of a rank has a row each for what it waits for, what it holds, and what it works on:
/// the first activity of each row.
pub const ROWS: [usize; 3] = [0, 1, 4];

/// The activities of a row.
pub fn of_row(row: usize) -> std::ops::Range<usize> {
    ROWS[row]..ROWS.get(row + 1).copied().unwrap_or(ACTIVITIES)
}

/// For each of `cells` equal pieces of the job's time the parts of it that the rank spent on each activity.
pub fn of_lane(job: &Job, lane: &Lane, cells: usize) -> Vec<[f32; ACTIVITIES]> {
    // The whole cells of an event are added at its first, and taken away behind its last one.
    let mut whole = vec![[0_i32; ACTIVITIES]; cells + 1];
    let mut covered = vec![[0_f32; ACTIVITIES]; cells];
    let span = job.span().max(1) as f64;
    let position = |time: u64| (time - job.begin()) as f64 / span * cells as f64;
    for event in job.events_of(lane) {
        let activity = event.activity as usize;
        let (begin, end) = (position(event.begin), position(event.end));
        let first = (begin as usize).min(cells - 1);
        let last = (end as usize).min(cells - 1);
        if first == last {
            // So that something is there of an event without a duration.
            covered[first][activity] += ((end - begin) as f32).max(f32::MIN_POSITIVE);
            continue;
        }
        covered[first][activity] += (first as f64 + 1.0 - begin) as f32;
        covered[last][activity] += (end - last as f64) as f32;
        whole[first + 1][activity] += 1;
        whole[last][activity] -= 1;
    }
    let mut open = [0; ACTIVITIES];
    for (cell, whole) in covered.iter_mut().zip(&whole) {
        for ((part, open), whole) in cell.iter_mut().zip(&mut open).zip(whole) {
            *open += whole;
            // Nested events do not cover more than all of the time.
            *part = (*part + *open as f32).min(1.0);
        }
    }
    covered
}

/// The activity of a row that covers most of a cell, and how much all of them cover; none if the
/// cell is empty there.
pub fn strongest(cell: &[f32; ACTIVITIES], row: usize) -> Option<(usize, f32)> {
    let all = of_row(row);
    let covered: f32 = cell[all.clone()].iter().sum();
    let strongest = all.max_by(|a, b| cell[*a].total_cmp(&cell[*b]))?;
    (covered > 0.0).then_some((strongest, covered.min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{event, job, process};

    #[test]
    fn cells_have_their_parts() {
        let mut made = process(0, 1);
        made.events = vec![
            event(Activity::Task, 0, 100),
            event(Activity::Wait, 5, 25),
            event(Activity::Wait, 6, 8),
            event(Activity::Hold, 40, 40),
        ];
        let job = job([made]);
        let cells = of_lane(&job, &job.lanes()[0], 10);
        let waits: Vec<f32> = cells.iter().map(|cell| cell[0]).collect();
        assert_eq!(waits[..4], [0.7, 1.0, 0.5, 0.0]);
        assert!(cells.iter().all(|cell| (cell[5] - 1.0).abs() < 1e-6));
        assert_eq!(strongest(&cells[1], 0), Some((0, 1.0)));
        assert_eq!(strongest(&cells[1], 1), None);
        assert_eq!(strongest(&cells[4], 1), Some((3, f32::MIN_POSITIVE)));
    }
}
