//! The text of a report: who waits, for what, for whom, and what those ranks do.

use crate::error::call_text;
use crate::shm::absence::Absence;
use crate::shm::domain::Domain;
use crate::shm::process::{Activity, Process};
use crate::shm::topology::RankLocation;
use crate::shm::waiting::record::Wait;
use crate::shm::waiting::{Awaited, Call, Label, seen_for};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The most ranks that a report describes.
const MOST: usize = 4;

/// A look at the process of a rank.
pub(super) struct Look {
    rank: u32,
    at: Instant,
    activity: Activity,
}

/// Looks at the processes of the ranks of this node among `awaited`.
pub(super) fn look(domain: &Domain, awaited: &[Awaited]) -> Vec<Look> {
    let look = |awaited: &Awaited| {
        Some(Look {
            rank: awaited.rank,
            at: Instant::now(),
            activity: process(domain, awaited.rank)?.activity()?,
        })
    };
    awaited.iter().take(MOST).filter_map(look).collect()
}

fn process(domain: &Domain, rank: u32) -> Option<Process> {
    match domain.topology().location(rank as usize) {
        RankLocation::Local(local_rank) => Some(domain.process(local_rank)),
        RankLocation::Remote(_) => None,
    }
}

/// The report of a call that has waited for some time, after a first look at `awaited`.
pub(super) fn full(
    call: Call<'_>,
    waited: Duration,
    awaited: &[Awaited],
    looks: &[Look],
) -> String {
    let domain = call.subject.domain();
    let mut text = format!(
        "mpisync: rank {} has waited for {} in {}\n",
        domain.topology().rank(),
        seconds(waited),
        described(call)
    );
    for line in reasons(domain, awaited, Some(looks)) {
        let _ = writeln!(text, "mpisync:   {line}");
    }
    for line in call.subject.details() {
        let _ = writeln!(text, "mpisync:   {line}");
    }
    let others = also_waiting(call);
    if !others.is_empty() {
        let _ = writeln!(text, "mpisync:   also waiting here: {}", others.join("; "));
    }
    text
}

/// The same for an error, without the other ranks that wait. If it `looks`, it says what the awaited
/// ranks do, after one look at them.
pub(super) fn brief(call: Call<'_>, looks: bool) -> String {
    let domain = call.subject.domain();
    let reasons = reasons(domain, &call.subject.awaited(), looks.then_some(&[]));
    format!("{}: {}", described(call), reasons.join("; "))
}

/// The call, its object and its place.
fn described(call: Call<'_>) -> String {
    let Label { kind, name, .. } = call.subject.label();
    let (file, line) = call.place.unwrap_or_default();
    call_text(call.name, kind, name, file, line)
}

/// A line for each rank that keeps others waiting. Unless `looks` is None, it says what that does.
fn reasons(domain: &Domain, awaited: &[Awaited], looks: Option<&[Look]>) -> Vec<String> {
    if awaited.is_empty() {
        let elsewhere = match domain.topology().spans_nodes() {
            true => "; it may be on another host",
            false => "",
        };
        return vec![format!("no rank is known that it waits for{elsewhere}")];
    }
    let reason = |awaited: &Awaited| {
        let Awaited { rank, role, .. } = awaited;
        let held = held(awaited);
        let Some(looks) = looks else {
            return format!("rank {rank} {role}{held}");
        };
        let look = looks.iter().find(|look| look.rank == *rank);
        let doing = doing(domain, *rank, look);
        format!("rank {rank} {role}{held}, and {doing}")
    };
    let mut reasons: Vec<String> = awaited.iter().take(MOST).map(reason).collect();
    if awaited.len() > MOST {
        let more: Vec<u32> = awaited[MOST..].iter().map(|more| more.rank).collect();
        reasons.push(format!("the same holds of the ranks {more:?}"));
    }
    reasons
}

/// Where a rank has taken what others wait for, and for how long it is known to have it.
fn held(awaited: &Awaited) -> String {
    let mut text = String::new();
    if let Some(place) = awaited.held_at {
        let _ = write!(text, " (taken at {}:{}", place.file(), place.line());
        if let Some(time) = seen_for(awaited) {
            let _ = write!(text, ", seen for {}", seconds(time));
        }
        text.push(')');
    }
    text
}

/// What a rank is doing.
fn doing(domain: &Domain, rank: u32, before: Option<&Look>) -> String {
    match domain.absence(rank as usize) {
        Some(Absence::Died) => return "it is dead".to_owned(),
        Some(Absence::Ended { .. }) => return "it has ended".to_owned(),
        Some(Absence::Left) => return "it has left the collective call".to_owned(),
        None => {}
    }
    let RankLocation::Local(local_rank) = domain.topology().location(rank as usize) else {
        return "it is on another host".to_owned();
    };
    if local_rank == domain.segment().me() {
        return "it is this rank itself".to_owned();
    }
    if let (true, None) = (
        domain.is_of_threads(),
        domain.segment().member(local_rank).wait.get(),
    ) {
        return "it computes, or waits for something else than mpisync".to_owned();
    }
    let now = domain.process(local_rank).activity();
    if now.as_ref().is_some_and(Activity::is_stopped) {
        return "it is stopped".to_owned();
    }
    if let Some(wait) = domain.segment().member(local_rank).wait.get() {
        return waiting_itself(&wait);
    }
    let Some(now) = now else {
        return "its process cannot be looked at".to_owned();
    };
    if now.ran_since(before.map(|before| (&before.activity, before.at.elapsed()))) {
        return "it computes, or polls in a call of MPI".to_owned();
    }
    let place = match &*now.sleeps_in {
        "" => String::new(),
        function => format!(" ({function})"),
    };
    format!("it sleeps in the kernel{place}")
}

fn waiting_itself(wait: &Wait) -> String {
    let mut text = format!("it has itself waited for {} in ", seconds(wait.age()));
    text += &call_text(&wait.call, &wait.kind, &wait.object, &wait.file, wait.line);
    if let Some(awaited) = wait.awaited {
        let _ = write!(text, ", there for rank {awaited}");
    }
    text
}

/// The other ranks of this node that wait for the same object.
fn also_waiting(call: Call<'_>) -> Vec<String> {
    let domain = call.subject.domain();
    let Label { identity, .. } = call.subject.label();
    let here = domain.topology().local_ranks();
    let others = (0..here.len()).filter(|&local_rank| local_rank != domain.segment().me());
    let waits = others.filter_map(|local_rank| {
        let wait = domain.segment().member(local_rank).wait.get()?;
        let is_same = identity != 0 && wait.identity == identity;
        is_same.then(|| {
            let age = seconds(wait.age());
            let place = match wait.line {
                0 => String::new(),
                line => format!(" at {}:{line}", wait.file),
            };
            let rank = here[local_rank];
            format!("rank {rank} for {age} in `{}`{place}", wait.call)
        })
    });
    waits.collect()
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
