//! What the benchmark of smaller shared things compares: the cases, and the subjects that go through them.

pub mod mpi_fetch_and_op;
pub mod mpisync;

use clap::ValueEnum;

use crate::lock::Windows;
use crate::pace::repeat_until;
use crate::team::Team;
use crate::turns::Subject;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Case {
    /// All ranks take the next number.
    Counter,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Name {
    /// This project.
    Mpisync,
    /// `MPI_Fetch_and_op` and `MPI_Win_flush`.
    MpiFetchAndOp,
}

impl Name {
    /// Whether it works with ranks on so many hosts; `windows` tells what MPI can do over several.
    pub fn is_fit(self, hosts: usize, windows: Windows) -> bool {
        match self {
            Name::Mpisync => true,
            Name::MpiFetchAndOp => hosts == 1 || windows != Windows::No,
        }
    }

    /// Makes the subject. Collective.
    pub fn make<'a>(self, team: &Team<'a>) -> Box<dyn Subject<Case> + 'a> {
        match self {
            Name::Mpisync => Box::new(Counting(mpisync::Mpisync::new(team.world()))),
            Name::MpiFetchAndOp => {
                let subject = mpi_fetch_and_op::MpiFetchAndOp::new(team.world(), team.hosts());
                Box::new(Counting(subject))
            }
        }
    }
}

/// A number that all ranks count up.
trait Counter {
    /// The next number, from 1 on.
    fn next(&mut self) -> u64;

    /// Gives it back. Collective.
    fn close(self);
}

/// A counter that goes through rounds.
struct Counting<C>(C);

impl<C: Counter> Subject<Case> for Counting<C> {
    fn round(&mut self, _case: Case, team: &Team) -> f64 {
        // All ranks know what it begins with, and no rank counts on before all do.
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
        // Each number has been given out once, or there would be more of them, or less.
        let ended = team.max(last) + 1;
        assert_eq!(ended - begins, tally.operations, "numbers were lost");
        tally.nanos_per_operation()
    }

    fn close(self: Box<Self>) {
        self.0.close();
    }
}
