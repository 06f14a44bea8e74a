//! The cases and subjects of the lock benchmark.

pub mod figure;
pub mod mcs_rma;
pub mod mpi_bcast_barrier;
pub mod mpi_fetch_and_op;
pub mod mpi_win_lock;
pub mod mpisync;
pub mod mpisync_async;
pub mod nap_1ms;
pub mod pthread_rwlock;

use std::hint::black_box;
use std::thread;

use clap::ValueEnum;
use mpi::traits::*;

use crate::clock;
use crate::pace::{Laps, repeat_until};
use crate::team::Team;
use crate::turns::Subject;
use crate::window::progress;

/// A case. An operation is an acquisition and its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Case {
    /// One rank locks for reading; the others are idle.
    ReadAlone,
    /// The same with a lock for writing in each thousand.
    ReadMostly,
    /// All ranks lock for reading.
    ReadAll,
    /// One thread of each rank locks for reading, in the way of threads that share the lock.
    #[value(name = "read_threads_1")]
    ReadThreads1,
    /// Four threads of each rank lock for reading.
    #[value(name = "read_threads_4")]
    ReadThreads4,
    /// One rank locks for writing; the others are idle.
    WriteAlone,
    /// All ranks lock for writing, one after another.
    WriteAll,
    /// The first and the last rank lock for writing in turn.
    WriteMoved,
    /// One rank locks for writing at intervals, the others compute outside MPI: its longest wait.
    WriteBesideBusy,
    /// All ranks sleep: processor time of the busiest rank, in nanoseconds per second.
    Idle,
    /// Rank 0 has 8 bytes and all ranks get them.
    #[value(name = "single_write_share_8")]
    SingleWriteShare8,
    /// One rank sends rank 0 a request and waits for the reply.
    RoundTrip,
}

impl Case {
    /// How many threads of each rank share the lock, if threads do.
    fn threads(self) -> Option<usize> {
        match self {
            Case::ReadThreads1 => Some(1),
            Case::ReadThreads4 => Some(MOST_THREADS),
            _ => None,
        }
    }

    fn is_alone(self) -> bool {
        matches!(self, Case::ReadAlone | Case::ReadMostly | Case::WriteAlone)
    }
}

/// The most threads of a rank in a case.
const MOST_THREADS: usize = 4;

/// A subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// This project.
    Mpisync,
    /// The same as futures, each of which blocks its rank by an executor.
    MpisyncAsync,
    /// glibc's reader-writer lock, shared between processes.
    PthreadRwlock,
    /// `MPI_Win_lock` and `MPI_Win_unlock`.
    MpiWinLock,
    /// `MPI_Bcast`, then `MPI_Barrier`.
    MpiBcastBarrier,
    /// A queue lock over one-sided calls.
    McsRma,
    /// `MPI_Fetch_and_op` and `MPI_Win_flush`.
    MpiFetchAndOp,
    /// A thread that sleeps for a millisecond at a time.
    #[value(name = "nap_1ms")]
    Nap1ms,
}

impl Name {
    /// Whether the subject has an equivalent of the case.
    pub fn takes(self, case: Case) -> bool {
        match case {
            Case::RoundTrip => self == Name::MpiFetchAndOp,
            Case::SingleWriteShare8 => matches!(self, Name::Mpisync | Name::MpiBcastBarrier),
            Case::ReadAlone | Case::ReadMostly | Case::ReadAll => {
                matches!(
                    self,
                    Name::Mpisync | Name::MpisyncAsync | Name::PthreadRwlock | Name::MpiWinLock
                )
            }
            Case::ReadThreads1 | Case::ReadThreads4 => {
                matches!(self, Name::Mpisync | Name::PthreadRwlock)
            }
            Case::Idle => matches!(self, Name::Mpisync | Name::Nap1ms),
            Case::WriteBesideBusy => matches!(self, Name::Mpisync | Name::MpiWinLock),
            Case::WriteAlone | Case::WriteAll | Case::WriteMoved => !matches!(
                self,
                Name::MpiBcastBarrier | Name::MpiFetchAndOp | Name::Nap1ms
            ),
        }
    }

    /// Whether it works with ranks on this number of hosts. `windows` is the support of MPI for
    /// windows over several hosts.
    pub fn is_fit(self, hosts: usize, windows: Windows) -> bool {
        match self {
            // An MPI without windows over hosts is Open MPI 4, which crashes in an exchange of a
            // rank with itself.
            Name::McsRma if hosts == 1 => windows != Windows::No,
            _ if hosts == 1 => true,
            Name::Mpisync | Name::MpisyncAsync | Name::MpiBcastBarrier | Name::Nap1ms => true,
            Name::PthreadRwlock => false,
            Name::MpiWinLock | Name::MpiFetchAndOp => windows != Windows::No,
            Name::McsRma => windows == Windows::Yes,
        }
    }

    /// Makes the subject. Collective.
    pub fn make<'a>(self, team: &Team<'a>) -> Box<dyn Subject<Case> + 'a> {
        match self {
            Name::Mpisync => Box::new(mpisync::Mpisync::new(team.world())),
            Name::MpisyncAsync => Box::new(mpisync_async::MpisyncAsync::new(team.world())),
            Name::PthreadRwlock => Box::new(pthread_rwlock::PthreadRwlock::new(team.world())),
            Name::MpiWinLock => Box::new(mpi_win_lock::MpiWinLock::new(team.world())),
            Name::MpiBcastBarrier => {
                Box::new(mpi_bcast_barrier::MpiBcastBarrier::new(team.world()))
            }
            Name::McsRma => Box::new(mcs_rma::McsRma::new(team.world(), team.hosts())),
            Name::Nap1ms => Box::new(nap_1ms::Nap1ms),
            Name::MpiFetchAndOp => Box::new(mpi_fetch_and_op::MpiFetchAndOp::new(
                team.world(),
                team.hosts(),
            )),
        }
    }
}

/// The support of MPI for windows with ranks on several hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Full support.
    Yes,
    /// Changes are lost if ranks of one host and of others change a word at once, so queues hang.
    NotForQueues,
    /// There are no windows.
    No,
}

impl Windows {
    /// The support over hosts on an ordinary network with the MPI of this version. Open MPI 4, as
    /// Debian configures it, has no windows, and in a window of MPICH 4.0 the queue of [`mcs_rma`]
    /// hangs with two ranks on each of two hosts.
    pub fn of(mpi: &str) -> Self {
        if mpi.starts_with("Open MPI 4") {
            Windows::No
        } else if mpi.starts_with("MPICH 4.0") {
            Windows::NotForQueues
        } else {
            Windows::Yes
        }
    }
}

/// A reader-writer lock of all ranks.
trait Lock {
    /// Whether idle ranks have to be inside MPI for the others to get the lock.
    const NEEDS_ALL: bool = true;

    /// Runs `body` while this rank holds the lock for reading.
    fn read(&mut self, body: impl FnOnce());

    /// Runs `body` while this rank holds the lock for writing.
    fn write(&mut self, body: impl FnOnce());
}

/// A way to send a word of rank 0 to all ranks.
trait HandOver {
    /// Returns rank 0's `word` on every rank; the words of the others are ignored. Collective.
    fn hand_over(&mut self, word: u64) -> u64;
}

/// One round of a case that locks.
fn lock_round<L: Lock>(lock: &mut L, case: Case, team: &Team) -> f64 {
    match case {
        Case::WriteMoved => return moved_round(lock, team),
        Case::WriteBesideBusy => return beside_busy_round(lock, team),
        Case::Idle => return idle_round(team),
        _ => {}
    }
    // The number of reads between two writes.
    let reads: u64 = match case {
        Case::WriteAlone | Case::WriteAll => 0,
        Case::ReadMostly => 999,
        _ => u64::MAX,
    };
    let (mut left, mut written) = (reads, 0);
    let span = team.start();
    let laps = if case.is_alone() && !team.is_the_lone_rank() {
        if L::NEEDS_ALL && team.hosts() > 1 {
            team.attend(span, || progress(team.world()))
        } else {
            team.sit_out(span)
        }
    } else {
        repeat_until(span.end, || {
            if left == 0 {
                (left, written) = (reads, written + 1);
                // SAFETY: the lock is held for writing. The check below fails if it does not exclude.
                return lock.write(|| unsafe { team.bump() });
            }
            left -= 1;
            lock.read(|| {
                // SAFETY: the lock is held for reading.
                black_box(unsafe { team.peek() });
            });
        })
    };
    let tally = team.tally(span, laps);
    let (counted, expected) = (team.counted(), team.sum(written));
    assert_eq!(
        counted, expected,
        "the lock did not exclude: {counted} of {expected} additions under it are there"
    );
    tally.nanos_per_operation()
}

/// One round in which the first and the last rank write in turn. Only the time that they take for
/// the lock counts.
fn moved_round<L: Lock>(lock: &mut L, team: &Team) -> f64 {
    let span = team.start();
    let last = team.world().size() - 1;
    let mut time = 0;
    let mut operations = 0;
    let mut write = || {
        let start = clock::now();
        // SAFETY: the lock is held for writing.
        lock.write(|| unsafe { team.bump() });
        time += clock::now() - start;
        operations += 1;
    };
    let partner = last - team.rank();
    if last == 0 {
        while clock::now() < span.end {
            write();
        }
    } else if team.rank() == last {
        let partner = team.world().process_at_rank(partner);
        while clock::now() < span.end {
            write();
            partner.send(&true);
            partner.receive::<bool>();
        }
        partner.send(&false);
    } else if team.rank() == 0 {
        let partner = team.world().process_at_rank(partner);
        while partner.receive::<bool>().0 {
            write();
            partner.send(&true);
        }
    } else if L::NEEDS_ALL && team.hosts() > 1 {
        team.attend(span, || progress(team.world()));
    } else {
        team.sit_out(span);
    }
    let operations = team.sum(operations);
    assert_eq!(team.counted(), operations, "the lock did not exclude");
    team.sum(time) as f64 / operations as f64
}

/// One round in which one rank writes every few milliseconds and the others compute. Returns its
/// longest wait.
fn beside_busy_round<L: Lock>(lock: &mut L, team: &Team) -> f64 {
    const PAUSE: u64 = 3_000_000;
    let span = team.start();
    let mut longest = 0;
    if team.is_the_lone_rank() {
        let mut next = clock::now();
        while next < span.end {
            clock::sleep_until(next);
            let start = clock::now();
            lock.write(|| ());
            longest = longest.max(clock::now() - start);
            next = clock::now() + PAUSE;
        }
    } else {
        while clock::now() < span.end {
            std::hint::spin_loop();
        }
    }
    team.max(longest) as f64
}

/// One round in which threads of each rank call `read`, which takes the lock for reading and releases it.
fn threads_round(threads: usize, team: &Team, read: impl Fn() + Sync) -> f64 {
    let span = team.start();
    let laps: Vec<Laps> = thread::scope(|scope| {
        let work = || repeat_until(span.end, &read);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let laps = threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread reads"));
        laps.collect()
    });
    let laps = Laps {
        operations: laps.iter().map(|laps| laps.operations).sum(),
        end: laps.iter().map(|laps| laps.end).max().unwrap_or_default(),
    };
    team.tally(span, laps).nanos_per_operation()
}

/// The length of a round of [`Case::Idle`] in nanoseconds: a second.
const IDLE_SPAN: u64 = 1_000_000_000;

/// One round in which all ranks sleep. Returns the processor time per second.
fn idle_round(team: &Team) -> f64 {
    const SETTLE: u64 = 20_000_000;
    team.start();
    let start = clock::now() + SETTLE;
    clock::sleep_until(start);
    let before = clock::processor_time();
    clock::sleep_until(start + IDLE_SPAN);
    let mine = clock::processor_time() - before;
    team.max(mine) as f64
}

/// The last word of rank 0 in a round.
const LAST: u64 = u64::MAX;

/// One round of the case that hands a word over. Only rank 0 reads the clock: it hands over 0, 1, 2
/// and so on until the time is up, and then [`LAST`], which ends the round on all ranks.
fn hand_over_round(way: &mut impl HandOver, team: &Team) -> f64 {
    let span = team.start();
    let mut next = 0;
    let mut laps = if team.rank() == 0 {
        repeat_until(span.end, || {
            assert_eq!(way.hand_over(next), next);
            next += 1;
        })
    } else {
        loop {
            let word = way.hand_over(0);
            if word == LAST {
                break;
            }
            assert_eq!(word, next, "a word of another operation arrived");
            next += 1;
        }
        team.sit_out(span)
    };
    if team.rank() == 0 {
        assert_eq!(way.hand_over(LAST), LAST);
        laps.operations += 1;
        laps.end = clock::now();
    }
    team.tally(span, laps).nanos_per_operation()
}
