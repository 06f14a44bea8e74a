//! Ranks that wait for each other's parts of regions.

use mpisync::{LockError, Region, RegionError};
use mpisync_tests::job::Job;

use super::{BOTH, FOREVER, crossed, ends, is_found, meet};

// Jobs that the tests below start.
mpisync_tests::cases!(on []: crossed_parts, part_and_reader);

mpisync_tests::cases!(tests on [2] with [OneNode]:
    reports_crossed_parts = |ranks| is_found("parts::crossed_parts", ranks, &["`write_part` of region \"a\"", "`write_part` of region \"b\""]),
    reports_a_part_and_a_reader = |ranks| is_found("parts::part_and_reader", ranks, &["of region \"a\"", "of region \"b\""]),
);

fn region(job: &Job, name: &str) -> Region<u64> {
    let builder = Region::builder(&job.world, 8);
    builder.name(name).build().unwrap()
}

fn lock_error<T>(outcome: Result<T, RegionError>) -> Result<T, LockError> {
    outcome.map_err(|error| match error {
        RegionError::Lock(error) => error,
        error => panic!("{error}"),
    })
}

/// One rank has a part of `a`, and the other one of `b`. Then each of them wants one that overlaps it.
fn crossed_parts(job: &Job) {
    let (mut a, mut b) = (region(job, "a"), region(job, "b"));
    let Some((mine, theirs)) = crossed(job, BOTH, &mut a, &mut b) else {
        return;
    };
    let _mine = mine.write_part(2..6);
    meet(job);
    ends(lock_error(theirs.write_part_timeout(.., FOREVER)));
}

/// One rank has a part of `a` and wants to write `b`, and the other one reads `b` and wants a part of `a`.
fn part_and_reader(job: &Job) {
    let (mut a, mut b) = (region(job, "a"), region(job, "b"));
    match job.rank {
        0 => {
            let _part = a.write_part(2..6);
            meet(job);
            ends(b.write_timeout(FOREVER));
        }
        1 => {
            let _items = b.read();
            meet(job);
            ends(lock_error(a.write_part_timeout(5..7, FOREVER)));
        }
        _ => {}
    }
}
