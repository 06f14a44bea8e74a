//! Ranks that wait for each other's parts of regions.

use std::thread;
use std::time::{Duration, Instant};

use mpisync::{LockError, Mutex, Region, RegionError};
use mpisync_tests::job::Job;

use super::hosts::{is_found_on_hosts, ranks_on_first_host, two};
use super::{BOTH, FOREVER, MET, crossed, ends, is_found, meet, mutex};

// Jobs that the tests below start.
mpisync_tests::cases!(on []:
    crossed_parts = |job| cross_parts(job, BOTH),
    part_and_reader = |job| part_crosses_reader(job, BOTH),
    crossed_parts_of_hosts = |job| cross_parts(job, two(job)),
    part_and_reader_of_hosts = |job| part_crosses_reader(job, two(job)),
    crossed_parts_of_another_host,
    parts_and_whole_regions,
    part_in_line_behind_another,
);

mpisync_tests::cases!(tests on [2] with [OneNode, BesideOthers]:
    reports_crossed_parts = |ranks| is_found("parts::crossed_parts", ranks, &["`write_part` of region \"a\"", "`write_part` of region \"b\""]),
    reports_a_part_and_a_reader = |ranks| is_found("parts::part_and_reader", ranks, &["of region \"a\"", "of region \"b\""]),
);

mpisync_tests::cases!(tests on [4] with [SeveralNodes, BesideOthers]:
    reports_crossed_parts_of_hosts = |ranks| is_found_on_hosts("parts::crossed_parts_of_hosts", ranks, 2, &["`write_part` of region \"a\"", "`write_part` of region \"b\"", "which took it at"]),
    reports_a_part_and_a_reader_of_hosts = |ranks| is_found_on_hosts("parts::part_and_reader_of_hosts", ranks, 2, &["of region \"a\"", "of region \"b\""]),
    reports_parts_and_whole_regions = |ranks| is_found_on_hosts("parts::parts_and_whole_regions", ranks, 2, &["of region \"a\"", "of region \"b\""]),
    reports_a_part_in_line_behind_another = |ranks| is_found_on_hosts("parts::part_in_line_behind_another", ranks, 2, &["`lock` of mutex \"m\"", "`write_part` of region \"a\""]),
    reports_crossed_parts_of_another_host = |ranks| is_found_on_hosts("parts::crossed_parts_of_another_host", ranks, 2, &["`write_part` of region \"a\"", "`write_part` of region \"b\""]),
);

mpisync_tests::cases!(on [4] with [SeveralNodes, OwnJob, Environment(&[("MPISYNC_DEADLOCK", "error")])]:
    parts_that_do_not_overlap,
    parts_with_a_time_limit,
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
fn cross_parts(job: &Job, ranks: [i32; 2]) {
    let (mut a, mut b) = (region(job, "a"), region(job, "b"));
    let Some((mine, theirs)) = crossed(job, ranks, &mut a, &mut b) else {
        return;
    };
    let _mine = mine.write_part(2..6);
    meet(job);
    ends(lock_error(theirs.write_part_timeout(.., FOREVER)));
}

/// One rank has a part of `a` and wants to write `b`, and the other one reads `b` and wants a part of `a`.
fn part_crosses_reader(job: &Job, [first, second]: [i32; 2]) {
    let (mut a, mut b) = (region(job, "a"), region(job, "b"));
    if job.rank == first {
        let _part = a.write_part(2..6);
        meet(job);
        ends(b.write_timeout(FOREVER));
    } else if job.rank == second {
        let _items = b.read();
        meet(job);
        ends(lock_error(a.write_part_timeout(5..7, FOREVER)));
    }
}

/// Both ranks are on another host than the regions' root.
fn crossed_parts_of_another_host(job: &Job) {
    let there = ranks_on_first_host(job, false);
    cross_parts(job, [there[0], there[1]]);
}

/// Each rank has a part of a region. One of them wants to write the other region, and one to read it.
fn parts_and_whole_regions(job: &Job) {
    let (mut a, mut b) = (region(job, "a"), region(job, "b"));
    let [writer, reader] = two(job);
    if job.rank == writer {
        let _part = a.write_part(2..6);
        meet(job);
        ends(b.write_timeout(FOREVER));
    } else if job.rank == reader {
        let _part = b.write_part(2..6);
        meet(job);
        ends(a.read_timeout(FOREVER));
    }
}

/// A rank reads, and waits for a mutex of one that wants a part. A third rank wants another part: it has
/// asked first, so it waits for the reader, and the one with the mutex until that is served.
fn part_in_line_behind_another(job: &Job) {
    let (mut a, mut m) = (region(job, "a"), mutex(job, "m"));
    let [reader, in_line] = two(job);
    let opener = (0..job.size).find(|rank| ![reader, in_line].contains(rank));
    let ready = || job.scratch.meet(MET, 3);
    if job.rank == reader {
        let _items = a.read();
        ready();
        ends(m.lock_timeout(FOREVER));
    } else if job.rank == in_line {
        let _guard = m.lock();
        ready();
        thread::sleep(Duration::from_millis(500));
        ends(lock_error(a.write_part_timeout(4.., FOREVER)));
    } else if Some(job.rank) == opener {
        ready();
        a.write_part(..2).fill(1);
    }
}

/// The first rank has a part and waits for a mutex of the second, which waits for another part. The
/// third one has that, and computes.
fn parts_that_do_not_overlap(job: &Job) {
    let mut a = region(job, "a");
    let mut mutex = Mutex::new(&job.world).unwrap();
    let [first, second] = two(job);
    let third = (0..job.size).find(|rank| ![first, second].contains(rank));
    let ready = || job.scratch.meet(MET, 3);
    if job.rank == first {
        let _part = a.write_part(0..2);
        ready();
        drop(mutex.lock_timeout(FOREVER).unwrap());
    } else if job.rank == second {
        let _guard = mutex.lock();
        ready();
        a.write_part_timeout(4..8, FOREVER).unwrap()[0] = 1;
    } else if Some(job.rank) == third {
        let _part = a.write_part(7..);
        ready();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            std::hint::spin_loop();
        }
    }
}

/// Crossed parts, of which one is given up after a while.
fn parts_with_a_time_limit(job: &Job) {
    let (mut a, mut b) = (region(job, "a"), region(job, "b"));
    let [first, second] = two(job);
    if job.rank == first {
        let part = a.write_part(2..6);
        meet(job);
        let late = lock_error(b.write_part_timeout(.., Duration::from_secs(5)));
        assert!(matches!(late, Err(LockError::Timeout { .. })), "{late:?}");
        drop(part);
    } else if job.rank == second {
        let _part = b.write_part(2..6);
        meet(job);
        drop(a.write_part_timeout(.., FOREVER).unwrap());
    }
}
