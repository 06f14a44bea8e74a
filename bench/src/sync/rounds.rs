//! How subjects run a round, and the checks in it.

use mpi::traits::*;

use super::Case;
use crate::clock;
use crate::pace::{Pace, repeat_until, until_now};
use crate::team::Team;
use crate::turns::Subject;

/// Something that at most one rank holds at a time: a mutex, or the only permit of a semaphore.
pub(super) trait Exclusive {
    /// Runs `section` while this rank holds it.
    fn hold(&mut self, section: impl FnOnce());

    /// Frees it. Collective.
    fn close(self);
}

/// Rounds of an [`Exclusive`].
pub(super) struct Excluding<E>(pub E);

impl<E: Exclusive> Subject<Case> for Excluding<E> {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        let span = team.start();
        let laps = if case.is_alone() && !team.is_the_lone_rank() {
            team.sit_out(span)
        } else {
            // SAFETY: no other rank is in its section. The check below fails if one is.
            repeat_until(span.end, || self.0.hold(|| unsafe { team.bump() }))
        };
        let tally = team.tally(span, laps);
        let (counted, expected) = (team.counted(), tally.operations);
        assert_eq!(
            counted, expected,
            "ranks were not excluded: {counted} of {expected} additions are there"
        );
        if !case.is_alone() {
            check_exclusion(&mut self.0, team);
        }
        tally.nanos_per_operation()
    }

    fn close(self: Box<Self>) {
        self.0.close();
    }
}

/// A number that all ranks count up.
pub(super) trait Counter {
    /// The next number, from 1 on.
    fn next(&mut self) -> u64;

    /// Frees it. Collective.
    fn close(self);
}

/// Rounds of a counter.
pub(super) struct Counting<C>(pub C);

impl<C: Counter> Subject<Case> for Counting<C> {
    fn round(&mut self, _case: Case, team: &Team) -> f64 {
        // All ranks learn its first number before any rank counts on.
        let begins = team.max(if team.rank() == 0 {
            self.0.next() + 1
        } else {
            0
        });
        let span = team.start();
        let mut last = 0;
        let laps = repeat_until(span.end, || {
            let number = self.0.next();
            assert!(number > last, "a counter goes on");
            last = number;
        });
        let tally = team.tally(span, laps);
        // Each number has been given out once; otherwise their count would differ.
        let ended = team.max(last) + 1;
        assert_eq!(ended - begins, tally.operations, "numbers were lost");
        tally.nanos_per_operation()
    }

    fn close(self: Box<Self>) {
        self.0.close();
    }
}

/// Turns of the ranks, one after the other, repeatedly.
pub(super) trait Turns {
    /// Waits for this rank's turn and runs `section` in it.
    fn take(&mut self, section: impl FnOnce());

    /// Frees them. Collective.
    fn close(self);
}

/// Rounds of the turns of all ranks. A turn is an operation.
pub(super) struct TakingTurns<T> {
    turns: T,
    pace: Pace,
}

impl<T: Turns> TakingTurns<T> {
    pub(super) fn new(turns: T) -> Self {
        Self {
            turns,
            pace: Pace::default(),
        }
    }
}

impl<T: Turns> Subject<Case> for TakingTurns<T> {
    fn round(&mut self, _case: Case, team: &Team) -> f64 {
        let all = together(&mut self.pace, team, || self.turns.take(|| ()));
        check_turns(&mut self.turns, team);
        all / f64::from(team.world().size())
    }

    fn close(self: Box<Self>) {
        self.turns.close();
    }
}

/// A barrier of all ranks.
pub(super) trait Barrier {
    /// Waits until all ranks have arrived.
    fn wait(&mut self);

    /// Frees it. Collective.
    fn close(self);
}

/// Rounds of a barrier.
pub(super) struct Meeting<B> {
    barrier: B,
    pace: Pace,
}

impl<B: Barrier> Meeting<B> {
    pub(super) fn new(barrier: B) -> Self {
        Self {
            barrier,
            pace: Pace::default(),
        }
    }
}

impl<B: Barrier> Subject<Case> for Meeting<B> {
    fn round(&mut self, _case: Case, team: &Team) -> f64 {
        let took = together(&mut self.pace, team, || self.barrier.wait());
        check_barrier(&mut self.barrier, team);
        took
    }

    fn close(self: Box<Self>) {
        self.barrier.close();
    }
}

/// A round of a step of all ranks together. Returns nanoseconds per step.
fn together(pace: &mut Pace, team: &Team, mut step: impl FnMut()) -> f64 {
    pace.round(team.round(), |steps| {
        let span = team.start();
        for _ in 0..steps {
            step();
        }
        let counts = team.rank() == 0;
        let tally = team.tally(span, until_now(if counts { steps } else { 0 }));
        tally.nanos_per_operation()
    })
}

/// The number of sections or meetings of each rank that are checked after a round.
const CHECKED: usize = 10;

/// When a rank arrived at a section or a meeting, and when it left.
type Stay = [u64; 2];

/// A section that is checked. It takes longer than a message to another host.
fn stay() -> Stay {
    const LENGTH: u64 = 20_000;
    let came = clock::now();
    compute_until(came + LENGTH);
    [came, clock::now()]
}

/// Checks that no rank enters its section before another one has left, also over several hosts.
fn check_exclusion(exclusive: &mut impl Exclusive, team: &Team) {
    let mut stays = [[0; 2]; CHECKED];
    for noted in &mut stays {
        exclusive.hold(|| *noted = stay());
    }
    let mut stays: Vec<Stay> = of_all(&stays, team).into_iter().flatten().collect();
    stays.sort_unstable();
    assert!(stays.as_flattened().is_sorted(), "ranks were not excluded");
}

/// Checks that turns come in the order of the ranks, each after the end of the previous one.
fn check_turns(turns: &mut impl Turns, team: &Team) {
    let mut stays = [[0; 2]; CHECKED];
    for noted in &mut stays {
        turns.take(|| *noted = stay());
    }
    let stays = of_all(&stays, team);
    let in_turn = (0..CHECKED).flat_map(|step| stays.iter().flat_map(move |rank| rank[step]));
    assert!(in_turn.is_sorted(), "turns were not in the order of ranks");
}

/// Checks that no rank leaves the barrier before all have arrived. In each round another rank is
/// late.
fn check_barrier(barrier: &mut impl Barrier, team: &Team) {
    /// The delay of the late rank in nanoseconds.
    const LATE: u64 = 20_000;
    let size = team.world().size() as usize;
    let mut stays = [[0; 2]; CHECKED];
    for (step, noted) in stays.iter_mut().enumerate() {
        if team.rank() as usize == step % size {
            compute_until(clock::now() + LATE);
        }
        let came = clock::now();
        barrier.wait();
        *noted = [came, clock::now()];
    }
    let stays = of_all(&stays, team);
    for step in 0..CHECKED {
        let came = stays.iter().map(|rank| rank[step][0]).max();
        let went = stays.iter().map(|rank| rank[step][1]).min();
        assert!(came <= went, "a rank went before all had come");
    }
}

fn compute_until(moment: u64) {
    while clock::now() < moment {
        std::hint::spin_loop();
    }
}

/// The records of all ranks. Collective.
fn of_all(mine: &[Stay; CHECKED], team: &Team) -> Vec<[Stay; CHECKED]> {
    let world = team.world();
    let mut all = vec![[[0; 2]; CHECKED]; world.size() as usize];
    let words = all.as_flattened_mut().as_flattened_mut();
    world.all_gather_into(mine.as_flattened(), words);
    all
}
