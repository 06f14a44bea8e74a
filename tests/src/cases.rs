//! The registration of a file's cases, each of them once.

use std::process::ExitCode;

use crate::job::Job;

pub use linkme;

/// Cases of one file with the same numbers of ranks and attributes.
pub struct Cases {
    /// The file's `module_path!()`.
    pub module: &'static str,
    /// The numbers of ranks that each case runs on.
    pub ranks: &'static [usize],
    /// The attributes of the cases.
    pub attributes: &'static [Attribute],
    /// The names and functions of the cases.
    pub cases: &'static [(&'static str, Work)],
}

/// A property of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// They run on one node only, and are left out over several hosts.
    OneNode,
    /// They run over several hosts only.
    SeveralNodes,
    /// Each runs in a job of its own.
    OwnJob,
    /// The test, which starts its jobs itself, lets them run beside others.
    BesideOthers,
    /// They run in jobs with these environment variables.
    Environment(&'static [(&'static str, &'static str)]),
    /// In each, the last rank dies or never returns, and all others have the verdict `survived`.
    LastRankDies,
}

/// The function of a case.
#[derive(Clone, Copy)]
pub enum Work {
    /// All ranks of a job run this together.
    Job(fn(&Job)),
    /// Each process of a job runs this, and initializes MPI itself.
    Process(fn()),
    /// Each process of a job runs this, and ends with its exit code.
    Program(fn() -> ExitCode),
    /// The test itself runs this with the number of ranks, and starts its jobs.
    Test(fn(usize)),
}

/// All registered cases of the program.
#[linkme::distributed_slice]
pub static REGISTERED: [Cases];

impl Cases {
    /// The full names of the cases, without the name of the program.
    pub fn named(&self) -> impl Iterator<Item = (String, Work)> {
        let (_, module) = self.module.split_once("::").unwrap_or_default();
        let named = move |(name, work): &(&str, Work)| (format!("{module}::{name}"), *work);
        self.cases.iter().map(named)
    }
}

/// Registers cases: functions of a [`Job`], or names with closures. Each is a test on each of the
/// numbers of ranks; without numbers, only other tests start it.
///
/// `cases!(on [1, 2, 3, 4, 8] with [OneNode]: counts, counts_down = |job| counts_by(job, -1));`
///
/// `cases!(processes on …)`, `cases!(programs on …)` and `cases!(tests on …)` register the other kinds of [`Work`].
#[macro_export]
macro_rules! cases {
    (on $($rest:tt)*) => { $crate::cases!(@register Job $($rest)*); };
    (processes on $($rest:tt)*) => { $crate::cases!(@register Process $($rest)*); };
    (programs on $($rest:tt)*) => { $crate::cases!(@register Program $($rest)*); };
    (tests on $($rest:tt)*) => { $crate::cases!(@register Test $($rest)*); };
    (@register $work:ident [$($ranks:literal),*] $(with [$($attribute:expr),*])?:
        $($name:ident $(= $function:expr)?),+ $(,)?
    ) => {
        const _: () = {
            #[allow(unused_imports, reason = "not every list has attributes")]
            use $crate::cases::Attribute::*;
            #[$crate::cases::linkme::distributed_slice($crate::cases::REGISTERED)]
            #[linkme(crate = $crate::cases::linkme)]
            static CASES: $crate::cases::Cases = $crate::cases::Cases {
                module: module_path!(),
                ranks: &[$($ranks),*],
                attributes: &[$($($attribute),*)?],
                cases: &[$((
                    stringify!($name),
                    $crate::cases::Work::$work($crate::cases!(@function $name $(= $function)?)),
                )),+],
            };
        };
    };
    (@function $name:ident) => { $name };
    (@function $name:ident = $function:expr) => { $function };
}
