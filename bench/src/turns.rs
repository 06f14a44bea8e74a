//! Subjects that take turns, round after round.

use std::time::Duration;

use clap::ValueEnum;

use crate::clock;
use crate::program::spelling;
use crate::report::Outcome;
use crate::team::Team;
use crate::watch::{self, Record, Watch};

/// A subject, ready to be measured in cases of one benchmark.
pub trait Subject<Case> {
    /// Runs one round of a case that the subject was made for. Returns nanoseconds per operation.
    /// Collective.
    fn round(&mut self, case: Case, team: &Team) -> f64;

    /// Frees the subject's resources. Collective.
    fn close(self: Box<Self>);
}

/// All rounds of one case: each subject is made and runs a round that is not counted, and then the
/// subjects take turns. The outcomes of an earlier job are included. Collective.
pub fn measure<'a, Case, Name>(
    case: Case,
    subjects: &[Name],
    rounds: u32,
    team: &Team,
    make: impl Fn(Name) -> Box<dyn Subject<Case> + 'a>,
) -> Vec<Outcome>
where
    Case: ValueEnum + Copy,
    Name: ValueEnum + Copy,
{
    measure_within(Duration::MAX, case, subjects, rounds, team, make)
}

/// [`measure`] that begins no further round after `limit`. If that has passed after the first
/// rounds, they are counted. Collective.
pub fn measure_within<'a, Case, Name>(
    limit: Duration,
    case: Case,
    subjects: &[Name],
    rounds: u32,
    team: &Team,
    make: impl Fn(Name) -> Box<dyn Subject<Case> + 'a>,
) -> Vec<Outcome>
where
    Case: ValueEnum + Copy,
    Name: ValueEnum + Copy,
{
    let mut record = Record::open();
    let mut outcomes = record.of(&spelling(case));
    let is_known = |name: &Name| {
        outcomes
            .iter()
            .any(|known| known.subject == spelling(*name))
    };
    let names: Vec<Name> = subjects
        .iter()
        .copied()
        .filter(|name| !is_known(name))
        .collect();
    // One rank watches all. If rounds may be long, so may each step.
    let patience = match limit {
        Duration::MAX => watch::LIMIT,
        limit => limit * 20,
    };
    let watch = (team.rank() == 0).then(|| Watch::new(spelling(case), patience));
    let watch = watch.as_ref();
    let mut subjects: Vec<(Box<dyn Subject<Case> + 'a>, Outcome)> = names
        .into_iter()
        .map(|name| {
            let outcome = Outcome {
                case: spelling(case),
                subject: spelling(name),
                rounds: Vec::new(),
                no_end_in: None,
            };
            let subject = Watch::step(watch, &outcome.subject, || make(name));
            (subject, outcome)
        })
        .collect();
    let begin = clock::now();
    let limit = u64::try_from(limit.as_nanos()).ok();
    // By the clock of one rank, because all ranks have to agree.
    let is_over = || limit.is_some_and(|limit| team.max(clock::now() - begin) >= limit);
    for lap in 0..=rounds {
        if lap > 0 && is_over() {
            break;
        }
        for (subject, outcome) in &mut subjects {
            if lap == 1 {
                outcome.rounds.clear();
            }
            let took = Watch::step(watch, &outcome.subject, || subject.round(case, team));
            outcome.rounds.push(took);
        }
    }
    let mut measured = Vec::new();
    for (subject, outcome) in subjects {
        Watch::step(watch, &outcome.subject, || subject.close());
        measured.push(outcome);
    }
    if team.rank() == 0 {
        record.add(&measured);
    }
    outcomes.extend(measured);
    outcomes
}
