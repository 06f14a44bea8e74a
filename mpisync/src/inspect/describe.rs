//! The report on what was seen: members and slots become ranks, and waits are put to their objects.

use crate::inspect::facts::{BlockFacts, Changing, Contents, MemberFacts, Seen};
use crate::inspect::processes::program;
use crate::inspect::report::{
    Communicator, Count, Holder, Object, Rank, RankState, SourceLine, Wait, Waiter,
};
use crate::shm::process;
use crate::shm::waiting::record;
use std::collections::BTreeSet;
use std::time::Duration;

/// The communicators in the order of their first processes.
pub(super) fn communicators(seen: &[Seen]) -> Vec<Communicator> {
    let known = known_waits(seen);
    let mut communicators: Vec<_> = seen.iter().map(|seen| seen.describe(&known)).collect();
    communicators.sort_by_key(|it| it.ranks.iter().map(|rank| rank.process).min());
    communicators
}

/// The waits, each by its process and its beginning, of which a record names the object or the ranks waited for.
type Known = BTreeSet<(u64, u64)>;

fn known_waits(seen: &[Seen]) -> Known {
    let members = seen.iter().flat_map(|seen| &seen.members);
    let known = members.filter_map(|(member, _)| {
        let wait = member.wait.as_ref()?;
        is_named(wait).then_some((member.number, wait.since))
    });
    known.collect()
}

/// Whether the record is that of the object's own communicator: only that learns more.
fn is_named(wait: &record::Wait) -> bool {
    wait.identity != 0 || wait.awaited.is_some()
}

impl MemberFacts {
    /// Whether it waits for an object of another communicator than this one.
    fn waits_elsewhere(&self, wait: &record::Wait, known: &Known) -> bool {
        !is_named(wait) && known.contains(&(self.number, wait.since))
    }

    fn state(&self) -> RankState {
        if self.has_ended {
            return RankState::Ended;
        }
        if self.namespace != process::namespace() {
            return RankState::Unknown;
        }
        if !self.process.is_alive() {
            return RankState::Died;
        }
        match self.process.activity() {
            Some(activity) if activity.is_stopped() => RankState::Stopped,
            _ => RankState::Alive,
        }
    }
}

impl BlockFacts {
    /// A wait for an object without a block knows no identity.
    fn is_waited_for_by(&self, wait: &record::Wait) -> bool {
        let is_named_so = || self.kind == wait.kind && self.name == wait.object;
        match wait.identity {
            0 => is_named_so(),
            identity => identity == self.identity,
        }
    }
}

impl Seen {
    fn describe(&self, known: &Known) -> Communicator {
        let ranks = self.members.iter().filter_map(|(member, changing)| {
            let elsewhere = |wait| member.waits_elsewhere(wait, known);
            let state = member.state();
            Some(Rank {
                rank: member.rank?,
                process: member.process.id,
                program: match state {
                    RankState::Alive | RankState::Stopped => program(member.process.id),
                    _ => String::new(),
                },
                state,
                waits: (member.wait.as_ref()).map(|wait| Wait::of(wait, elsewhere(wait))),
                changing: *changing,
            })
        });
        let mut ranks: Vec<Rank> = ranks.collect();
        ranks.sort_by_key(|rank| rank.rank);
        let waiters: Vec<&MemberFacts> = (self.members.iter())
            .map(|(member, _)| member)
            .filter(|member| {
                let wait = member.wait.as_ref();
                wait.is_some_and(|wait| !member.waits_elsewhere(wait, known))
            })
            .collect();
        let blocks = self.blocks.iter();
        let mut objects: Vec<Object> = blocks
            .map(|(block, changing)| self.object(block, *changing, &waiters))
            .collect();
        self.add_objects_without_blocks(&mut objects, &waiters);
        Communicator {
            id: format!("{:016x}", self.number),
            size: self.size,
            nodes: self.nodes,
            ranks,
            objects,
            changing: self.changing,
        }
    }

    fn object(&self, block: &BlockFacts, changing: Changing, waiters: &[&MemberFacts]) -> Object {
        let here = waiters.iter().filter_map(|member| {
            let wait = member.wait.as_ref()?;
            block.is_waited_for_by(wait).then_some((*member, wait))
        });
        let here: Vec<(&MemberFacts, &record::Wait)> = here.collect();
        let holder = |slot: usize, role: &str, permits| {
            let taken = self.taken(slot, &here).filter(|_| !changing);
            Holder {
                rank: self.rank_of(slot),
                role: role.to_owned(),
                permits,
                at: taken.and_then(|taken| SourceLine::of(&taken.file, taken.line)),
                seen_for: taken.map(|taken| seconds_since(taken.since)),
            }
        };
        let (mut holders, mut waiting_slots, mut permits) = (None, Vec::new(), None);
        let mut of = "";
        match &block.contents {
            Contents::Unknown => {}
            Contents::Lock {
                writer,
                has_entered,
                readers,
                parts,
                waiting,
            } => {
                let rank = writer.and_then(|writer| self.rank_of(writer));
                let waits = here.iter().any(|(member, _)| member.rank == rank);
                let role = match (waits || !has_entered, self.nodes > 1) {
                    (true, _) => "is about to write",
                    (false, false) => "writes",
                    // It may still wait for the other nodes.
                    (false, true) => "has the turn of its node",
                };
                let writer = writer.map(|writer| holder(writer, role, None));
                let readers = readers.iter().map(|reader| holder(*reader, "reads", None));
                let parts = parts.iter();
                let parts = parts.map(|part| holder(*part, "writes a part", None));
                holders = Some(writer.into_iter().chain(parts).chain(readers).collect());
                waiting_slots.clone_from(waiting);
                // Across nodes another word counts them.
                of = if self.nodes > 1 { "" } else { "openings" };
            }
            Contents::Queue {
                free,
                total,
                held,
                waiting,
            } => {
                let held = held.iter();
                let held = held.map(|(slot, permits)| holder(*slot, "holds it", Some(*permits)));
                holders = Some(held.collect());
                waiting_slots.clone_from(waiting);
                permits = Some((*free, *total));
                of = "waits";
            }
        }
        let mut waiting: Vec<Waiter> = (here.iter())
            .map(|(member, wait)| Waiter::of(member, wait))
            .collect();
        for slot in waiting_slots {
            let rank = self.rank_of(slot);
            if rank.is_some() && !waiting.iter().any(|waiter| waiter.rank == rank) {
                waiting.push(Waiter::short(rank));
            }
        }
        Object {
            kind: block.kind.clone(),
            name: block.name.clone(),
            holders,
            waiting,
            permits,
            count: (!of.is_empty()).then(|| Count {
                of: of.to_owned(),
                value: block.count,
            }),
            bytes: block.length as u64,
            dropped_by: block.given_back,
            changing,
        }
    }

    /// Adds what ranks wait for and what has no block, such as channels and collective calls.
    fn add_objects_without_blocks(&self, objects: &mut Vec<Object>, waiters: &[&MemberFacts]) {
        let first = objects.len();
        for member in waiters {
            let Some(wait) = &member.wait else { continue };
            let mut blocks = self.blocks.iter();
            if blocks.any(|(block, _)| block.is_waited_for_by(wait)) {
                continue;
            }
            let waiter = Waiter::of(member, wait);
            let is_same = |it: &&mut Object| it.kind == wait.kind && it.name == wait.object;
            match objects[first..].iter_mut().find(is_same) {
                Some(object) => object.waiting.push(waiter),
                None => objects.push(Object {
                    kind: wait.kind.clone(),
                    name: wait.object.clone(),
                    holders: None,
                    waiting: vec![waiter],
                    permits: None,
                    count: None,
                    bytes: 0,
                    dropped_by: 0,
                    changing: false,
                }),
            }
        }
    }

    /// Where the owner of a slot has taken an object, as the ranks that wait for it have seen for the longest time.
    fn taken<'a>(
        &self,
        slot: usize,
        waits: &[(&'a MemberFacts, &record::Wait)],
    ) -> Option<&'a record::Taken> {
        let (member, _) = self.members.get(slot)?;
        let taken = waits.iter().flat_map(|(waiter, _)| &waiter.taken);
        let taken = taken.filter(|taken| taken.process == member.number);
        taken.min_by_key(|taken| taken.since)
    }

    /// The rank of a slot: the members come first, then the ranks of other nodes. None for the server.
    fn rank_of(&self, slot: usize) -> Option<u32> {
        if let Some((member, _)) = self.members.get(slot) {
            return member.rank;
        }
        let is_here = |rank: &u32| {
            let mut members = self.members.iter();
            members.any(|(member, _)| member.rank == Some(*rank))
        };
        let mut remote = (0..self.size).filter(|rank| !is_here(rank));
        remote.nth(slot - self.members.len())
    }
}

impl Waiter {
    fn of(member: &MemberFacts, wait: &record::Wait) -> Self {
        Waiter {
            rank: member.rank,
            call: Some(wait.call.clone()),
            at: SourceLine::of(&wait.file, wait.line),
            seconds: Some(wait.age().as_secs_f64()),
            for_rank: wait.awaited,
        }
    }

    /// Of a rank that has just begun to wait, or is on another node.
    fn short(rank: Option<u32>) -> Self {
        Waiter {
            rank,
            call: None,
            at: None,
            seconds: None,
            for_rank: None,
        }
    }
}

impl Wait {
    fn of(wait: &record::Wait, elsewhere: bool) -> Self {
        Wait {
            call: wait.call.clone(),
            kind: wait.kind.clone(),
            name: wait.object.clone(),
            at: SourceLine::of(&wait.file, wait.line),
            seconds: wait.age().as_secs_f64(),
            for_rank: wait.awaited,
            elsewhere,
        }
    }
}

impl SourceLine {
    /// None if there is no line.
    fn of(file: &str, line: u32) -> Option<Self> {
        (line != 0).then(|| SourceLine {
            file: file.to_owned(),
            line,
        })
    }
}

fn seconds_since(since: u64) -> f64 {
    Duration::from_nanos(record::now().saturating_sub(since)).as_secs_f64()
}
