//! Making, dropping and closing controllers, thousands of them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::WindowController;
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

use crate::common::{shared, still_works};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    made_and_dropped,
    made_and_closed,
    alive_at_once,
    communicator_dropped_first,
    dropped_on_one_rank,
    dropped_at_different_times,
    close_frees,
);

mpisync_tests::cases!(on [2, 3, 4, 8]:
    place_in_use_is_not_given_away,
);

// A communicator that spans nodes keeps its memory until MPI ends.
mpisync_tests::cases!(on [1, 2, 3, 4, 8] with [OneNode]:
    on_short_lived_communicators,
);

const MANY: usize = 10_000;

/// The resources that a leak would use up.
#[derive(Debug)]
struct Resources {
    descriptors: usize,
    mappings: usize,
    shared_files: usize,
    virtual_pages: usize,
}

impl Resources {
    fn now() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        Self {
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            mappings: maps.lines().count(),
            // Only those of this process: other programs of the machine change /dev/shm, too.
            shared_files: maps
                .lines()
                .filter(|line| line.contains("/dev/shm/"))
                .count(),
            virtual_pages: statm.split_whitespace().next().unwrap().parse().unwrap(),
        }
    }

    /// Checks that nothing has grown with the number of controllers since `self`.
    fn check(&self) {
        let now = Self::now();
        let grown = |then: usize, now: usize| now.saturating_sub(then);
        assert!(
            grown(self.descriptors, now.descriptors) <= 8
                && grown(self.mappings, now.mappings) <= 64
                && grown(self.shared_files, now.shared_files) <= 8
                // 256 MiB of address space, a hundredth of thousands of leaked segments.
                && grown(self.virtual_pages, now.virtual_pages) <= 65_536,
            "before: {self:?}, now: {now:?}"
        );
    }
}

/// Names in `/dev/shm`, which outlive the processes that made them.
struct Names(BTreeSet<OsString>);

impl Names {
    fn now() -> Self {
        let entries = fs::read_dir("/dev/shm").into_iter().flatten();
        Self(entries.flatten().map(|entry| entry.file_name()).collect())
    }

    /// Checks that the library has left no names except those at the time of `self`.
    fn check(&self) {
        // Waits, because another program may be between making and unlinking a name of its own.
        until("the names in /dev/shm to go", || {
            let mut new = Self::now()
                .0
                .into_iter()
                .filter(|name| !self.0.contains(name));
            !new.any(|name| name.to_string_lossy().contains("mpisync"))
        });
    }
}

/// MPI is still usable: new communicators can be made.
fn communicators_are_left(job: &Job) {
    for _ in 0..10 {
        let comm = job.world.duplicate();
        comm.barrier();
    }
}

/// Calls `round` with 0, 1, 2 and so on, at most `most` times. Returns the number of calls.
///
/// Making a controller is collective. If there are more ranks than cores, that takes a hundred
/// times as long with an MPI whose ranks poll without yielding the core. Then there are fewer
/// rounds, but always some.
fn rounds(job: &Job, most: usize, mut round: impl FnMut(usize)) -> usize {
    const ENOUGH: Duration = Duration::from_secs(3);
    const SOME: usize = 20;
    let start = Instant::now();
    for number in 0..most {
        if number > 0 && number % SOME == 0 {
            let mut go_on = start.elapsed() < ENOUGH;
            job.world.process_at_rank(0).broadcast_into(&mut go_on);
            if !go_on {
                return number;
            }
        }
        round(number);
    }
    most
}

/// Prints the number of rounds, for a reader of the test's output.
fn report(job: &Job, made: usize, what: &str) {
    if job.rank == 0 {
        println!("{made} {what}");
    }
    assert!(job.size > 1 || made >= 3_000, "this takes far too long");
}

fn made_and_dropped(job: &Job) {
    drop(mpisync::sync(&job.world).unwrap());
    let (before, names) = (Resources::now(), Names::now());
    let made = rounds(job, MANY, |number| {
        let mut ctrl = mpisync::sync(&job.world).unwrap();
        match number % 4 {
            0 => drop(ctrl.read()),
            1 => drop(ctrl.write()),
            2 => drop(ctrl),
            _ => assert_eq!(shared(&mut ctrl, number as i32 % job.size, number), number),
        }
    });
    before.check();
    communicators_are_left(job);
    names.check();
    report(job, made, "controllers made and dropped");
}

fn made_and_closed(job: &Job) {
    mpisync::sync(&job.world).unwrap().close().unwrap();
    let before = Resources::now();
    let made = rounds(job, MANY, |number| {
        let mut ctrl = mpisync::sync(&job.world).unwrap();
        if number % 2 == 0 {
            assert_eq!(shared(&mut ctrl, 0, number), number);
        }
        ctrl.close().unwrap();
    });
    before.check();
    communicators_are_left(job);
    report(job, made, "controllers made and closed");
}

/// 10,000 locks at once are independent: each guards its own word.
fn alive_at_once(job: &Job) {
    let before = Resources::now();
    let mut controllers: Vec<WindowController> = Vec::new();
    let made = rounds(job, MANY, |_| {
        controllers.push(mpisync::sync(&job.world).unwrap());
    });
    let descriptors = Resources::now().descriptors;
    let expected = before.descriptors + 64;
    assert!(descriptors <= expected, "{descriptors} files are open");
    // Each rank holds the locks of its number for writing, all ranks at the same time.
    let holder = |number: usize| number as i32 % job.size;
    let held: Vec<_> = controllers
        .iter_mut()
        .enumerate()
        .filter(|(number, _)| holder(*number) == job.rank)
        .map(|(_, ctrl)| {
            let soon = Duration::from_secs(10);
            ctrl.write_timeout(soon).expect("nobody else wants this")
        })
        .collect();
    job.scratch.meet(0, job.size);
    drop(held);
    job.scratch.meet(1, job.size);
    // One lock, which another rank holds for all but one rank.
    let taken = made / 2;
    if holder(taken) == job.rank {
        let guard = controllers[taken].write();
        job.scratch.meet(2, job.size);
        job.scratch.meet(3, job.size);
        drop(guard);
    } else {
        job.scratch.meet(2, job.size);
        let granted = controllers[taken].try_read().is_some();
        assert!(!granted, "held for writing elsewhere");
        for neighbour in [taken - 1, taken + 1] {
            drop(controllers[neighbour].read());
        }
        job.scratch.meet(3, job.size);
    }
    for number in (0..made).step_by(97) {
        let value = shared(&mut controllers[number], holder(number), number);
        assert_eq!(value, number);
    }
    drop(controllers);
    communicators_are_left(job);
    report(job, made, "controllers alive at once");
}

/// Thousands of communicators are made and freed, each with a controller or two.
fn on_short_lived_communicators(job: &Job) {
    let round = |number: usize| {
        let number = number as i32;
        let color = Color::with_value((job.rank + number) % 2);
        let comm = job.world.split_by_color(color).unwrap();
        let mut ctrl = mpisync::sync(&comm).unwrap();
        let writer = number % ctrl.size();
        assert_eq!(shared(&mut ctrl, writer, number), number);
        if number % 3 == 0 {
            let other = mpisync::sync(&comm).unwrap();
            drop(ctrl.read());
            drop(other);
        }
    };
    round(0);
    round(1);
    let (before, names) = (Resources::now(), Names::now());
    let made = rounds(job, 5_000, round);
    before.check();
    communicators_are_left(job);
    names.check();
    report(job, made, "communicators with controllers");
}

/// A controller works after its communicator was dropped.
fn communicator_dropped_first(job: &Job) {
    let color = Color::with_value(job.rank % 2);
    let comm = job.world.split_by_color(color).unwrap();
    let mut ctrl = mpisync::sync(&comm).unwrap();
    drop(comm);
    // New communicators may get the number of the dropped one.
    let next = job.world.split_by_color(color).unwrap();
    let mut other = mpisync::sync(&next).unwrap();
    for number in 0..100 {
        let writer = number % ctrl.size();
        assert_eq!(shared(&mut ctrl, writer, number), number);
        assert_eq!(shared(&mut other, writer, -number), -number);
        drop(ctrl.write());
    }
    let guard = ctrl.write();
    drop(other.write());
    drop(guard);
    ctrl.close().unwrap();
}

/// Rank 0 drops its controller and does something else; the others still use theirs.
fn dropped_on_one_rank(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == 0 {
        drop(ctrl);
        job.scratch.raise(0);
    } else {
        job.scratch.wait_for(0);
        let word = job.scratch.word(2);
        for _ in 0..1_000 {
            drop(ctrl.read());
            let _guard = ctrl.write();
            word.store(word.load(SeqCst) + 1, SeqCst);
        }
        job.scratch.word(1).fetch_add(1, SeqCst);
    }
    job.scratch.meet(3, job.size);
    let expected = 1_000 * (job.size as u64 - 1);
    assert_eq!(
        job.scratch.word(2).load(SeqCst),
        expected,
        "writes were lost"
    );
}

/// Ranks drop in different orders while others make new controllers: a block that is reused too
/// early would be two locks.
fn dropped_at_different_times(job: &Job) {
    const MOST: usize = 500;
    let counted = |number: usize| job.scratch.word(1_000 + number);
    let mut kept: Vec<(usize, WindowController)> = Vec::new();
    rounds(job, MOST, |number| {
        kept.push((number, mpisync::sync(&job.world).unwrap()));
        if number > 0 && number % 3 == job.rank as usize % 3 {
            let index = (number * 7 + job.rank as usize) % kept.len();
            drop(kept.swap_remove(index));
        }
        // Ranks may keep different ones: writing is not collective.
        let (chosen, ctrl) = kept.last_mut().expect("the first is kept");
        let word = job.scratch.word(*chosen);
        for _ in 0..5 {
            let _guard = ctrl.write();
            word.store(word.load(SeqCst) + 1, SeqCst);
            counted(*chosen).fetch_add(1, SeqCst);
        }
    });
    job.scratch.meet(2_000, job.size);
    for number in 0..MOST {
        let written = job.scratch.word(number).load(SeqCst);
        assert_eq!(written, counted(number).load(SeqCst), "lock {number}");
    }
}

/// One rank still holds a lock of a controller that all others have dropped, while new ones are
/// made: its release must not affect one of theirs. For 2 ranks and more.
fn place_in_use_is_not_given_away(job: &Job) {
    const NEW: usize = 5;
    for odd in 0..job.size {
        let word = |number: usize| 100 * (odd as usize + 1) + number;
        let mut old = Some(mpisync::sync(&job.world).unwrap());
        let held = match &mut old {
            Some(ctrl) if job.rank == odd => Some(ctrl.write()),
            other => {
                other.take();
                None
            }
        };
        job.world.barrier();
        let mut new: Vec<WindowController> = (0..NEW)
            .map(|_| mpisync::sync(&job.world).unwrap())
            .collect();
        let holder = (odd + 1) % job.size;
        if job.rank == holder {
            let guards: Vec<_> = new
                .iter_mut()
                .map(|ctrl| ctrl.try_write().expect("it is new"))
                .collect();
            job.scratch.meet(word(0), job.size);
            job.scratch.meet(word(1), job.size);
            job.scratch.meet(word(2), job.size);
            drop(guards);
        } else {
            job.scratch.meet(word(0), job.size);
            drop(held);
            job.scratch.meet(word(1), job.size);
            for ctrl in &mut new {
                assert!(ctrl.try_write().is_none(), "two writers");
                assert!(ctrl.try_read().is_none(), "a reader beside a writer");
            }
            job.scratch.meet(word(2), job.size);
        }
        new.iter_mut().for_each(still_works);
    }
}

/// A closed controller is freed, and the next one starts in the initial state.
fn close_frees(job: &Job) {
    for number in 0..50 {
        let mut ctrl = mpisync::sync(&job.world).unwrap();
        {
            let _guard = ctrl.read();
            job.scratch.meet(number, job.size);
        }
        assert_eq!(shared(&mut ctrl, number as i32 % job.size, number), number);
        drop(ctrl.write());
        ctrl.close().unwrap();
    }
}
