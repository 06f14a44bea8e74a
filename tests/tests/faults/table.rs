//! What is expected, and what is known to hang.

use crate::fault::Fault;
use crate::fault::Fault::*;
use crate::situations;
use crate::situations::Situation;

/// The outcomes of which each rank gets one; none where the fault does not exist in the situation.
pub type Expected = &'static [&'static str];

/// The call succeeds.
pub const GOES_ON: &str = "goes on";
/// The rank waits, and the library says so.
pub const REPORTED: &str = "report";
/// All ranks are ended.
pub const JOB_ENDS: &str = "the job ends";

const OK: Expected = &[GOES_ON];
const NONE: Expected = &[];
const REPORT: Expected = &[REPORTED];
const DIED: Expected = &["RankDied"];
const HOLDER: Expected = &["HolderDied"];
const ENDED: Expected = &["RankEnded"];
/// A panic ends the job after a grace. The others are told before, or see that the rank is dead before they are ended too.
const PANICKED: Expected = &["RankEnded", "RankDied", JOB_ENDS];
const DIVERGED: Expected = &["Diverged"];
const CLOSED: Expected = &["Closed"];
/// The ranks of a worker need each other.
const LEFT: Expected = &["RankLeft", "RankEnded", "Dropped"];
const OTHER_RANK: Expected = &["OtherRank"];
/// Ranks that make their first object do not share memory yet, and cannot see why one does not come.
const PANICKED_OR_LATE: Expected = &["RankEnded", "RankDied", "Timeout", JOB_ENDS];
const ENDED_OR_LATE: Expected = &["RankEnded", "Timeout"];
const DIED_OR_LATE: Expected = &["RankDied", "Timeout"];
/// Only the program knows which rank will come, so there may be no error.
const DIED_OR_REPORT: Expected = &["RankDied", REPORTED];
const ENDED_OR_REPORT: Expected = &["RankEnded", REPORTED];
const PANICKED_OR_REPORT: Expected = &["RankEnded", "RankDied", REPORTED, JOB_ENDS];

/// After a death of the only rank on its host, in addition to the outcomes on one node.
const HOST_LOST: Expected = &["LeaderDied", "HostSilent"];

/// The situations and the faults of about a third of the cells, which also run over two hosts, and with each MPI.
const THIRD: (&[&str], &[Fault]) = (
    &[
        "controller::read",
        "controller::write_behind_reader",
        "single_write::collect",
        "single_write::collect_from_none",
        "single_write::share_two_large",
        "collective::enter",
        "barrier::wait",
        "turn::take",
        "condvar::wait",
        "mutex::lock",
        "semaphore::acquire",
        "counter::next",
        "once::get",
        "latch::wait",
        "channel::take",
        "region::write",
        "region::set",
        "batch::for_each",
        "creation::further",
        "creation::close",
    ],
    &[Error, Kill, Exit, Abort, Stop],
);

/// A situation, and its outcomes by fault.
pub struct Row {
    /// Its name in names of tests: object and situation.
    pub name: &'static str,
    /// Its object.
    pub object: &'static str,
    /// What the other ranks do.
    pub others: &'static str,
    /// What the victim does.
    pub victim: &'static str,
    /// What each rank runs.
    pub run: Situation,
    panic: Expected,
    error: Expected,
    death: Expected,
    stop: Expected,
    elsewhere: Expected,
    leak: Expected,
}

impl Row {
    /// The outcomes that are right after this fault.
    pub fn expected(&self, fault: Fault) -> Expected {
        match fault {
            Panic => self.panic,
            Error => self.error,
            Kill | Term | Exit | Abort | Overflow => self.death,
            Stop => self.stop,
            Elsewhere => self.elsewhere,
            Leak => self.leak,
        }
    }

    /// The further outcomes that are right after this fault if the victim is alone on its host.
    pub fn expected_over_hosts(&self, fault: Fault) -> Expected {
        match fault {
            Kill | Term | Exit | Abort | Overflow => HOST_LOST,
            _ => NONE,
        }
    }

    /// Whether this fault of it is in the third that also runs over hosts.
    pub fn is_in_third(&self, fault: Fault) -> bool {
        let (situations, faults) = THIRD;
        situations.contains(&self.name) && faults.contains(&fault)
    }

    /// Its cells.
    pub fn cells(&self) -> impl Iterator<Item = (&Self, Fault)> {
        let faults = Fault::ALL.into_iter();
        let faults = faults.filter(|fault| !self.expected(*fault).is_empty());
        faults.map(move |fault| (self, fault))
    }
}

macro_rules! table {
    ($($module:ident $object:literal {
        $($name:ident, $others:literal, $victim:literal:
            $panic:expr, $error:expr, $death:expr, $stop:expr, $elsewhere:expr, $leak:expr;)+
    })+) => {
        /// All situations.
        pub const TABLE: &[Row] = &[$($(Row {
            name: concat!(stringify!($module), "::", stringify!($name)),
            object: $object,
            others: $others,
            victim: $victim,
            run: situations::$module::$name,
            panic: $panic,
            error: $error,
            death: $death,
            stop: $stop,
            elsewhere: $elsewhere,
            leak: $leak,
        },)+)+];
    };
}

// The columns: panic, error, death, stop, elsewhere, leak.
table! {
    controller "controller" {
        read, "`read`", "writes":
            OK, OK, HOLDER, OK, REPORT, REPORT;
        write_behind_writer, "`write`", "writes":
            OK, OK, HOLDER, OK, REPORT, REPORT;
        write_behind_reader, "`write`", "reads":
            OK, OK, OK, OK, REPORT, REPORT;
    }
    guarded "file of a `Guarded`" {
        write, "`write`", "is in the closure of `write`":
            OK, OK, HOLDER, OK, REPORT, NONE;
    }
    single_write "`single_write`" {
        collect, "`collect`", "is the writer, in its closure":
            &["WriterPanicked"], &["WriterFailed"], DIED, OK, REPORT, NONE;
        collect_of_a_fence, "`collect`", "is the writer, and has the fence":
            &["WriterPanicked"], &["Unshared"], DIED, OK, REPORT, REPORT;
        collect_from_none, "`collect`", "is the writer, and does not come":
            PANICKED, ENDED, DIED, OK, DIVERGED, NONE;
        collect_two_large, "`collect` two values of 1 MB", "is the writer, and has shared one":
            PANICKED, ENDED, DIED, OK, DIVERGED, NONE;
        share_small, "`share` and `collect` 8 bytes", "does not come":
            OK, OK, OK, OK, OK, NONE;
        share_two_large, "`share` and `collect` two values of 1 MB", "does not come":
            OK, OK, OK, OK, &["Diverged", REPORTED], NONE;
    }
    collective "`#[collective]`" {
        enter, "enter the call", "does not come":
            PANICKED, ENDED, DIED, OK, DIVERGED, NONE;
        body, "leave the call", "is in the body":
            &["Panicked"], &["Failed"], DIED, OK, REPORT, NONE;
    }
    barrier "barrier" {
        wait, "`wait`", "does not come":
            PANICKED, ENDED, DIED, OK, REPORT, NONE;
    }
    turn "turn" {
        take, "`take` for the second time", "does not come":
            PANICKED, ENDED, DIED, OK, REPORT, NONE;
        take_after_another, "`take` for the second time", "has its first turn":
            OK, OK, DIED, OK, REPORT, REPORT;
    }
    condvar "condition" {
        wait, "`wait`", "is the only one that does not wait":
            &["Alone", JOB_ENDS], &["Alone"], &["Alone"], OK, REPORT, NONE;
    }
    mutex "mutex" {
        lock, "`lock`", "holds it":
            OK, OK, HOLDER, OK, REPORT, REPORT;
    }
    semaphore "semaphore" {
        acquire, "`acquire`", "holds the only permit":
            OK, OK, OK, OK, REPORT, REPORT;
        acquire_what_is_released, "`acquire`", "is the only one that does not wait":
            PANICKED_OR_REPORT, ENDED_OR_REPORT, DIED_OR_REPORT, OK, REPORT, NONE;
    }
    counter "counter" {
        next, "`next`", "is the root":
            OK, OK, OK, OK, OK, NONE;
        next_in_a_window, "`next` in a window of MPI", "is the root":
            OK, OK, OK, OK, OK, NONE;
    }
    once "value computed once" {
        get, "`get_or_init`", "computes the value":
            OK, OK, OK, OK, REPORT, NONE;
    }
    latch "latch" {
        wait, "`wait`", "does not count down":
            PANICKED, ENDED, DIED, OK, REPORT, NONE;
    }
    channel "channel" {
        put, "`put` into a full channel", "has the only consumer":
            CLOSED, CLOSED, CLOSED, OK, REPORT, REPORT;
        take, "`take` from an empty channel", "has the only producer":
            OK, OK, OK, OK, REPORT, REPORT;
        take_to_the_end, "`take` to the end", "has the last producer":
            OK, OK, OK, OK, REPORT, REPORT;
    }
    region "region" {
        read, "`read`", "writes":
            OK, OK, HOLDER, OK, REPORT, REPORT;
        write, "`write`", "reads":
            OK, OK, OK, OK, REPORT, REPORT;
        write_part, "`write_part`", "has a part that overlaps":
            OK, OK, HOLDER, OK, REPORT, REPORT;
        set, "`set`", "does not come":
            PANICKED, ENDED, DIED, OK, DIVERGED, NONE;
        set_by_another, "`set`", "is the root, and does not come":
            PANICKED, ENDED, DIED, OK, DIVERGED, NONE;
        update_by_another, "`update`", "is the master, and does not come":
            PANICKED, ENDED, DIED, OK, DIVERGED, NONE;
    }
    batch "batch" {
        for_each, "`for_each`", "has a task":
            OK, OK, OK, OK, REPORT, REPORT;
        done_in_its_worker, "`done` in the same worker", "has the task too":
            LEFT, LEFT, DIED, OK, REPORT, REPORT;
        for_each_beside_its_worker, "`for_each` in another worker", "has a task with a second rank":
            OK, OK, OK, OK, REPORT, REPORT;
    }
    creation "any object" {
        first, "make the first object", "does not come":
            PANICKED_OR_LATE, ENDED_OR_LATE, DIED_OR_LATE, OK, OTHER_RANK, NONE;
        further, "make another object", "does not come":
            PANICKED_OR_LATE, ENDED_OR_LATE, DIED, OK, OTHER_RANK, NONE;
        close, "`close`", "does not come":
            PANICKED, ENDED, DIED, OK, DIVERGED, NONE;
    }
}

/// Cells in which a rank waits for ever today, with the reason. A cell that no longer hangs fails until it is removed here.
pub const KNOWN_HANGS: &[(&str, &[Fault], &str)] = &[];

/// Why this cell hangs, if it is known to.
pub fn known_hang(situation: &str, fault: Fault) -> Option<&'static str> {
    let mut hangs = KNOWN_HANGS.iter();
    let found = hangs.find(|(name, faults, _)| *name == situation && faults.contains(&fault));
    found.map(|(_, _, reason)| *reason)
}
