//! Semaphores: a limited number of ranks at a time, first come, first served; bounds, and permits
//! as signals.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::sync::SemaphoreError;
use mpisync::{Counter, CreateError, LockError, Permit, Semaphore, Transport, WaitReport};
use mpisync_tests::job::Job;
use mpisync_tests::panics::expect_panic;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;

use crate::common::differs;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    semaphore_limits,
    semaphore_serves_in_order,
    semaphore_is_not_passed,
    semaphore_line_closes_up,
    semaphore_tries,
    semaphore_times_out,
    semaphore_refuses_itself,
    semaphore_is_bounded,
    semaphore_grows,
    semaphore_signals,
    semaphore_roots,
    semaphores_come_and_go,
    semaphore_arguments_differ,
    semaphore_shows_its_state,
    semaphore_through_windows,
    semaphore_soak,
);

/// Words of scratch memory.
const INSIDE: usize = 0;

const SOON: Duration = Duration::from_secs(20);

/// The ranks in the queue of an object, in order, as a rank of its root's node sees them.
pub fn line(object: &impl fmt::Debug) -> Vec<i32> {
    let shown = format!("{object:?}");
    let (_, ranks) = shown.split_once("waiting: [").expect("the line is here");
    let (ranks, _) = ranks.split_once(']').expect("a list");
    let ranks = ranks.split(", ").filter(|rank| !rank.is_empty());
    ranks.map(|rank| rank.parse().expect("a rank")).collect()
}

/// All ranks except the root of an object, which call it one after the other, each after the
/// previous one is in the queue.
pub struct Arrivals {
    pub order: Vec<i32>,
    come: &'static AtomicU64,
}

impl Arrivals {
    /// From the root on, up or down. Uses the word `word`.
    pub fn around(job: &Job, root: i32, upwards: bool, word: usize) -> Self {
        let step = if upwards { 1 } else { -1 };
        let rank = |place: i32| (root + step * place).rem_euclid(job.size);
        let come = job.scratch.word(word);
        let order = (1..job.size).map(rank).collect();
        Arrivals { order, come }
    }

    /// On the root: lets them call. Returns when all are in the queue.
    pub fn let_come(&self, object: &impl fmt::Debug) {
        for place in 1..=self.order.len() {
            self.come.store(place as u64, SeqCst);
            let all_stand = || line(object) == self.order[..place];
            until("the next to stand in the line", all_stand);
        }
    }

    /// On the others: waits for the turn of `rank`. Returns how many come before it.
    pub fn turn(&self, rank: i32) -> usize {
        let place = self.order.iter().position(|other| *other == rank);
        let place = place.expect("not the root");
        until("those before", || self.come.load(SeqCst) > place as u64);
        place
    }
}

fn made(job: &Job, permits: u32, root: i32) -> Semaphore {
    let builder = Semaphore::builder(&job.world, permits).root(root);
    builder.build().unwrap()
}

/// The number of repetitions: fewer if each takes round trips.
pub fn times(job: &Job, here: u64, over_nodes: u64) -> u64 {
    let spans_nodes = mpisync::sync(&job.world).unwrap().nodes() > 1;
    if spans_nodes { over_nodes } else { here }
}

/// Holds permits for a moment.
fn inside(job: &Job, permit: &Permit<'_>, most: u32) {
    let count = u64::from(permit.count());
    let inside = job.scratch.word(INSIDE);
    let all = inside.fetch_add(count, SeqCst) + count;
    assert!(all <= most.into(), "{all} of {most} are in use");
    std::thread::yield_now();
    inside.fetch_sub(count, SeqCst);
}

/// All ranks meet after all permits have been returned: those of other nodes return by messages.
fn all_back(job: &Job, semaphore: &Semaphore, permits: u32) {
    job.world.barrier();
    let try_all = || semaphore.try_acquire_many(permits).is_some();
    if job.rank == semaphore.root() {
        until("all permits to come back", try_all);
    }
    job.world.barrier();
}

fn timed_out(limit: Duration) -> SemaphoreError {
    let report = WaitReport::default();
    let waited = limit;
    LockError::Timeout { waited, report }.into()
}

/// Never more ranks are inside than there are permits, and this number of ranks can meet inside.
fn semaphore_limits(job: &Job) {
    let each = times(job, 300, 100);
    for permits in [1, 2, job.size as u32] {
        let semaphore = made(job, permits, 0);
        let known = (semaphore.rank(), semaphore.size(), semaphore.root());
        assert_eq!(known, (job.rank, job.size, 0));
        let come = job.scratch.word(10 + permits as usize);
        let permit = semaphore.acquire();
        come.fetch_add(1, SeqCst);
        let most = u64::from(permits).min(job.size as u64);
        until("the others", || come.load(SeqCst) >= most);
        drop(permit);
        (0..each).for_each(|_| inside(job, &semaphore.acquire(), permits));
        all_back(job, &semaphore, permits);
        semaphore.close().unwrap();
    }
}

/// Ranks that want one to three permits get them in the order of arrival, each as soon as enough
/// are free.
fn semaphore_serves_in_order(job: &Job) {
    let wanted = |place: usize| 1 + (place as u32 + 1) % 3;
    let others = job.size as usize - 1;
    let permits = (0..others).map(wanted).sum::<u32>().max(1);
    for (round, root) in [(0, 0), (1, job.size - 1), (2, job.size / 2)] {
        let semaphore = made(job, permits, root);
        let arrivals = Arrivals::around(job, root, round != 1, 10 + round);
        if job.rank == root {
            let mut kept: Vec<_> = (0..permits).map(|_| semaphore.acquire()).collect();
            arrivals.let_come(&semaphore);
            let (mut free, mut served) = (0, 0);
            while kept.pop().is_some() {
                free += 1;
                if served < others && free == wanted(served) {
                    (free, served) = (0, served + 1);
                }
                let rest = &arrivals.order[served..];
                until("the first to be served", || line(&semaphore) == rest);
            }
            job.world.barrier();
        } else {
            let wanted = wanted(arrivals.turn(job.rank));
            let permits = semaphore.acquire_many(wanted);
            assert_eq!(permits.count(), wanted);
            // They stay with this rank until all are served.
            job.world.barrier();
        }
        all_back(job, &semaphore, permits);
    }
}

/// No rank passes the first one, which wants more permits than are free.
fn semaphore_is_not_passed(job: &Job) {
    for root in [0, job.size - 1].into_iter().filter(|_| job.size > 1) {
        let semaphore = made(job, 3, root);
        let arrivals = Arrivals::around(job, root, true, 10 + root as usize);
        let first_was_in = 30 + root as usize;
        if job.rank == root {
            let kept = semaphore.acquire_many(2);
            arrivals.let_come(&semaphore);
            assert!(semaphore.try_acquire().is_none(), "one is free");
            let limit = Duration::from_millis(5);
            let error = semaphore.acquire_timeout(limit).unwrap_err();
            assert_eq!(error, timed_out(limit));
            assert_eq!(line(&semaphore), arrivals.order);
            assert_eq!(semaphore.available(), 1);
            drop(kept);
        } else if arrivals.turn(job.rank) == 0 {
            let _all = semaphore.acquire_many(3);
            job.scratch.raise(first_was_in);
        } else {
            let _permit = semaphore.acquire();
            assert!(job.scratch.is_raised(first_was_in), "passed");
        }
        all_back(job, &semaphore, 3);
    }
}

/// If a rank that wants more permits than are free gives up, the ranks behind it get theirs.
fn semaphore_line_closes_up(job: &Job) {
    for root in [0, job.size - 1].into_iter().filter(|_| job.size > 1) {
        let semaphore = made(job, 3, root);
        let impatient = (root + 1) % job.size;
        let [is_there, gave_up, others] = [10, 20, 30].map(|word| word + root as usize);
        let others = job.scratch.word(others);
        if job.rank == root {
            let _kept = semaphore.acquire_many(2);
            job.world.barrier();
            until("the first", || line(&semaphore) == [impatient]);
            job.scratch.raise(is_there);
            job.scratch.wait_for(gave_up);
            let all_were_in = || others.load(SeqCst) == job.size as u64 - 2;
            until("those behind", all_were_in);
            assert!(line(&semaphore).is_empty());
        } else if job.rank == impatient {
            job.world.barrier();
            let limit = Duration::from_millis(30);
            // Again if no rank could see it in the queue.
            while !job.scratch.is_raised(gave_up) {
                let error = semaphore.acquire_many_timeout(3, limit).unwrap_err();
                assert_eq!(error, timed_out(limit));
                if job.scratch.is_raised(is_there) {
                    job.scratch.raise(gave_up);
                }
            }
        } else {
            job.world.barrier();
            job.scratch.wait_for(is_there);
            drop(semaphore.acquire_timeout(SOON).expect("one is free"));
            others.fetch_add(1, SeqCst);
        }
        all_back(job, &semaphore, 3);
    }
}

/// If ranks try at the same time, as many succeed as there are permits.
fn semaphore_tries(job: &Job) {
    let permits = (job.size as u32 - 1).max(1);
    let semaphore = made(job, permits, 0);
    for round in 0..10 {
        all_back(job, &semaphore, permits);
        let got = job.scratch.word(10 + round);
        let permit = semaphore.try_acquire();
        got.fetch_add(permit.is_some().into(), SeqCst);
        job.world.barrier();
        assert_eq!(got.load(SeqCst), u64::from(permits));
        assert!(semaphore.try_acquire().is_none());
        assert!(semaphore.try_acquire_many(permits).is_none());
        assert_eq!(semaphore.available(), 0);
        job.world.barrier();
        drop(permit);
        until("a permit", || semaphore.try_acquire().is_some());
        until("all", || semaphore.available() == permits);
    }
}

fn semaphore_times_out(job: &Job) {
    let semaphore = made(job, 2, 0);
    for holder in 0..job.size.min(3) {
        job.world.barrier();
        let held = job.scratch.word(10 + holder as usize);
        if job.rank == holder {
            let _permits = semaphore.acquire_many(2);
            held.store(1, SeqCst);
            let all_gave_up = || held.load(SeqCst) == job.size as u64;
            until("the others to give up", all_gave_up);
        } else {
            until("the holder", || held.load(SeqCst) > 0);
            for limit in [0, 1, 20].map(Duration::from_millis) {
                let start = Instant::now();
                let one = semaphore.acquire_timeout(limit).unwrap_err();
                let two = semaphore.acquire_many_timeout(2, limit).unwrap_err();
                assert_eq!((one, two), (timed_out(limit), timed_out(limit)));
                assert!(start.elapsed() >= 2 * limit);
            }
            // A request for zero permits succeeds at once.
            assert_eq!(semaphore.available(), 0);
            assert_eq!(semaphore.acquire_many(0).count(), 0);
            held.fetch_add(1, SeqCst);
        }
        drop(semaphore.acquire_many_timeout(2, Duration::MAX).unwrap());
    }
    let error = semaphore.acquire_many_timeout(3, SOON).unwrap_err();
    assert_eq!(error, SemaphoreError::TooMany { asked: 3, most: 2 });
    assert!(semaphore.try_acquire_many(3).is_none());
    let words = expect_panic(|| semaphore.acquire_many(3));
    assert!(words.contains("3 permits were asked for"), "{words}");
}

/// A rank that holds the permits for which it waits would wait for itself.
fn semaphore_refuses_itself(job: &Job) {
    let size = job.size as u32;
    for root in [0, job.size - 1] {
        let semaphore = made(job, size + 1, root);
        let mine = semaphore.acquire();
        let error = semaphore.acquire_many_timeout(size + 1, Duration::MAX);
        let here = |asked, held| SemaphoreError::HeldHere {
            asked,
            held,
            most: size + 1,
        };
        assert_eq!(error.unwrap_err(), here(size + 1, 1));
        let words = expect_panic(|| semaphore.acquire_many(size + 1));
        assert!(words.contains("this rank holds 1 of"), "{words}");
        job.world.barrier();
        // The others return theirs, so that this request succeeds.
        drop(mine);
        let _all_others = semaphore.acquire_many_timeout(size, SOON).unwrap();
        if size > 1 {
            let error = semaphore.acquire_many_timeout(2, Duration::MAX);
            assert_eq!(error.unwrap_err(), here(2, size));
        }
    }
    let alone = job.world.split_by_color(Color::with_value(job.rank));
    let alone = alone.unwrap();
    let builder = Semaphore::builder(&alone, 0).unbounded();
    let signal = builder.build().unwrap();
    let error = signal.acquire_timeout(Duration::MAX).unwrap_err();
    assert_eq!(error, SemaphoreError::Alone { asked: 1, free: 0 });
}

/// One rank forgets permits and another one releases them, but no more than those.
fn semaphore_is_bounded(job: &Job) {
    let beyond = |released| Err(SemaphoreError::BeyondBound { released, most: 2 });
    for root in [0, job.size - 1] {
        let semaphore = made(job, 2, root);
        assert_eq!(semaphore.bound(), Some(2));
        for rank in 0..job.size {
            if job.rank == rank {
                let permit = semaphore.acquire();
                assert_eq!(permit.rank(), job.rank);
                // One that is in use is not missing.
                assert_eq!(semaphore.release(1), beyond(1));
                permit.forget();
            }
            job.world.barrier();
            if job.rank == (rank + 1) % job.size {
                assert!(semaphore.try_acquire_many(2).is_none());
                assert_eq!(semaphore.release(2), beyond(2));
                assert_eq!(semaphore.release(1), Ok(()), "one is missing");
                assert_eq!(semaphore.release(1), beyond(1));
                drop(semaphore.acquire_many_timeout(2, SOON).unwrap());
            }
            job.world.barrier();
        }
        all_back(job, &semaphore, 2);
        assert_eq!(semaphore.release(0), Ok(()));
        all_back(job, &semaphore, 2);
    }
    let words = beyond(3).unwrap_err().to_string();
    assert!(words.contains("more than 2"), "{words}");
}

/// An unbounded semaphore can have more permits than initially, up to the largest number.
fn semaphore_grows(job: &Job) {
    let (most, all) = (Semaphore::MAX_PERMITS, 3 * job.size as u32);
    let builder = Semaphore::builder(&job.world, 0).unbounded();
    let semaphore = builder.root(job.size - 1).build().unwrap();
    assert_eq!(semaphore.bound(), None);
    assert!(semaphore.try_acquire().is_none());
    job.world.barrier();
    semaphore.release(3).unwrap();
    inside(job, &semaphore.acquire_many(all), all);
    all_back(job, &semaphore, all);
    let error = semaphore.release(most).unwrap_err();
    assert_eq!(
        error,
        SemaphoreError::BeyondBound {
            released: most,
            most
        }
    );
    let asked = most + 1;
    let error = semaphore.acquire_many_timeout(asked, SOON).unwrap_err();
    assert_eq!(error, SemaphoreError::TooMany { asked, most });
}

/// One rank signals how much it has produced, and the others take that, each item once.
fn semaphore_signals(job: &Job) {
    let [made, taken] = [10, 11].map(|word| job.scratch.word(word));
    let builder = Semaphore::builder(&job.world, 0).unbounded();
    let signal = builder.root(job.size / 2).build().unwrap();
    let takes = Counter::<u64>::new(&job.world).unwrap();
    let rounds = times(job, 200, 20);
    let all = 10 * rounds;
    if job.rank == 0 {
        for more in (0..rounds).flat_map(|_| 1..=4) {
            made.fetch_add(more, SeqCst);
            signal.release(more as u32).unwrap();
        }
    }
    let is_alone = job.size == 1;
    while (job.rank > 0 || is_alone) && takes.next() < all {
        signal.acquire().forget();
        let taken = taken.fetch_add(1, SeqCst) + 1;
        assert!(taken <= made.load(SeqCst), "nobody made that");
    }
    job.world.barrier();
    assert_eq!(taken.load(SeqCst), all);
    assert_eq!(signal.available(), 0);
}

fn semaphore_roots(job: &Job) {
    let of = |root| made(job, 1 + root as u32, root);
    let semaphores: Vec<_> = (0..job.size).map(of).collect();
    assert!((0..).zip(&semaphores).all(|(root, it)| it.root() == root));
    for _ in 0..20 {
        // Several at once, all ranks in the same order.
        let _permits: Vec<_> = semaphores.iter().map(Semaphore::acquire).collect();
        for most in 1..=job.size as u64 {
            let inside = job.scratch.word(10 + most as usize);
            assert!(inside.fetch_add(1, SeqCst) < most);
            inside.fetch_sub(1, SeqCst);
        }
    }
    // Every third rank, then each alone.
    for colors in [3, job.size] {
        let color = job.rank % colors;
        let comm = job.world.split_by_color(Color::with_value(color)).unwrap();
        let builder = Semaphore::builder(&comm, 2).root(comm.size() - 1);
        let semaphore = builder.build().unwrap();
        let inside = job.scratch.word(100 + (10 * colors + color) as usize);
        for _ in 0..50 {
            let _permit = semaphore.acquire();
            assert!(inside.fetch_add(1, SeqCst) < 2);
            inside.fetch_sub(1, SeqCst);
        }
    }
}

fn semaphores_come_and_go(job: &Job) {
    for round in 0..times(job, 500, 50) as u32 {
        let permits = 1 + round % 3;
        let semaphore = made(job, permits, 0);
        // Nothing is left of an earlier semaphore.
        semaphore.acquire_many(permits).forget();
        semaphore.release(permits).unwrap();
        if round % 3 == 0 {
            job.world.barrier();
            if job.rank == 0 {
                semaphore.acquire_many(permits).forget();
            }
            semaphore.close().unwrap();
        }
    }
}

fn semaphore_arguments_differ(job: &Job) {
    let builder = |permits| Semaphore::builder(&job.world, permits);
    for root in [-1, job.size] {
        let error = builder(1).root(root).build().unwrap_err();
        assert!(error.to_string().contains("root"), "{error}");
    }
    let most = Semaphore::MAX_PERMITS;
    for error in [
        builder(0).build().unwrap_err(),
        builder(most + 1).build().unwrap_err(),
        builder(most + 1).unbounded().build().unwrap_err(),
    ] {
        assert!(matches!(error, CreateError::Permits { .. }), "{error}");
    }
    if job.size == 1 {
        return;
    }
    let odd = job.rank == 1;
    differs(builder(1).root(odd.into()).build().map(drop), "root");
    differs(builder(1 + u32::from(odd)).build().map(drop), "permits");
    let bounded = builder(1);
    let builder = if odd { bounded.unbounded() } else { bounded };
    differs(builder.build().map(drop), "bound");
}

fn semaphore_shows_its_state(job: &Job) {
    let builder = Semaphore::builder(&job.world, 4).name("licences");
    let semaphore = builder.build().unwrap();
    let shown = format!("{semaphore:?}");
    let (rank, size) = (job.rank, job.size);
    let known =
        format!("Semaphore {{ name: \"licences\", rank: {rank}, size: {size}, bound: Some(4)");
    assert!(shown.starts_with(&known), "{shown}");
    if job.rank == 0 {
        let permits = semaphore.acquire_many(3);
        assert!(format!("{permits:?}").contains("count: 3"));
        let shown = format!("{semaphore:?}");
        let state = "free: 1, held: [(0, 3)], waiting: []";
        assert!(shown.contains(state), "{shown}");
    }
}

fn semaphore_through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Semaphore::builder(&comm, 2).transport(Transport::Windows);
    let semaphore = match builder.build() {
        Ok(semaphore) => semaphore,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    for round in 0..50 {
        inside(job, &semaphore.acquire_many(1 + round % 2), 2);
    }
    all_back(job, &semaphore, 2);
}

/// All operations on permits, for some time.
fn semaphore_soak(job: &Job) {
    const PERMITS: u32 = 5;
    let semaphore = made(job, PERMITS, job.size / 2);
    let forgotten = job.scratch.word(10);
    let in_time = |outcome: Result<_, SemaphoreError>, limit| match outcome {
        Err(error) if error == timed_out(limit) => None,
        outcome => Some(outcome.unwrap()),
    };
    let mut rng = Rng::new(job.rank as u64);
    let end = Instant::now() + Duration::from_millis(700);
    while Instant::now() < end {
        let count = 1 + rng.below(PERMITS.into()) as u32;
        let limit = Duration::from_micros(rng.below(300));
        let permit = match rng.below(6) {
            0 => Some(semaphore.acquire()),
            1 => Some(semaphore.acquire_many(count)),
            2 => semaphore.try_acquire(),
            3 => semaphore.try_acquire_many(count),
            4 => in_time(semaphore.acquire_timeout(limit), limit),
            _ => in_time(semaphore.acquire_many_timeout(count, limit), limit),
        };
        let Some(permit) = permit else { continue };
        inside(job, &permit, PERMITS);
        match rng.below(8) {
            0..4 => drop(permit),
            4 => {
                let panics = || -> () {
                    let _permit = permit;
                    resume_unwind(Box::new("on purpose"))
                };
                assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
            }
            5 => {
                let another = semaphore.try_acquire();
                let _ = another.inspect(|another| inside(job, another, PERMITS));
            }
            _ => {
                let count = permit.count().into();
                permit.forget();
                forgotten.fetch_add(count, SeqCst);
                // Another rank may be first.
                let count = forgotten.swap(0, SeqCst);
                assert_eq!(semaphore.release(count as u32), Ok(()), "they are missing");
            }
        }
    }
    all_back(job, &semaphore, PERMITS);
}
