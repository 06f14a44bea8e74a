//! Who held what at which time.
//!
//! A wait records who kept it when it began. A queue moves on meanwhile, and then others keep it: a
//! short hold would stand for the long ones that follow it. So each moment of a wait counts for the
//! place of the hold that the object was in.

use crate::job::Job;
use mpisync::inspect::trace::Activity;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The holds of all ranks.
#[derive(Default)]
pub struct Holds {
    /// By the object, then the place. At each moment an object has one place at most.
    objects: HashMap<u32, BTreeMap<u32, Vec<Part>>>,
}

/// Where the last part was found, by the object and the place.
#[derive(Default)]
pub struct Cursors(HashMap<(u32, u32), usize>);

/// A time during which an object was held at a place.
struct Part {
    begin: u64,
    end: u64,
    /// How long the parts before it are together.
    before: u64,
}

impl Holds {
    /// The holds of the objects that ranks have waited for.
    pub fn of(job: &Job) -> Self {
        let sites = job.names.sites();
        let waits = sites.filter(|site| site.activity == Activity::Wait);
        // Objects that cannot be told apart may be held by several ranks at once.
        let wanted: HashSet<u32> = waits
            .map(|site| site.object)
            .filter(|object| job.names.object(*object).identity != 0)
            .collect();
        let mut all: HashMap<u32, Vec<(u64, u64, u32)>> = HashMap::new();
        for event in job.lanes().iter().flat_map(|lane| job.events_of(lane)) {
            let site = job.names.site(event.site);
            let is_hold = matches!(
                site.activity,
                Activity::Read | Activity::Write | Activity::Hold
            );
            if let Some(place) = site.place.filter(|_| is_hold)
                && wanted.contains(&site.object)
            {
                let holds = all.entry(site.object).or_default();
                holds.push((event.begin, event.end, place));
            }
        }
        let objects = all
            .into_iter()
            .map(|(object, holds)| (object, parts(holds)));
        Holds {
            objects: objects.collect(),
        }
    }

    /// The places at which an object was held within a time, and how long. Quick if the time is soon
    /// after that of the last call with these `cursors`.
    pub fn within<'a>(
        &'a self,
        cursors: &'a mut Cursors,
        object: u32,
        begin: u64,
        end: u64,
    ) -> impl Iterator<Item = (u32, u64)> + 'a {
        let places = self.objects.get(&object).into_iter().flatten();
        places.filter_map(move |(place, parts)| {
            let cursor = cursors.0.entry((object, *place)).or_default();
            if *cursor > 0 && parts[*cursor - 1].begin >= begin {
                *cursor = 0;
            }
            let first = *cursor + soon(&parts[*cursor..], |part| part.begin < begin);
            *cursor = first;
            let last = first + soon(&parts[first..], |part| part.begin < end);
            let time = until(&parts[..last], end) - until(&parts[..first], begin);
            (time > 0).then_some((*place, time))
        })
    }
}

/// Of several holds at a time, such as those of readers, the one that began first counts.
fn parts(mut holds: Vec<(u64, u64, u32)>) -> BTreeMap<u32, Vec<Part>> {
    holds.sort_unstable();
    let mut places: BTreeMap<u32, Vec<Part>> = BTreeMap::new();
    let mut covered = 0;
    for (begin, end, place) in holds {
        let begin = begin.max(covered);
        if begin >= end {
            continue;
        }
        covered = end;
        let parts = places.entry(place).or_default();
        let before = parts.last().map_or(0, |it| it.before + it.end - it.begin);
        parts.push(Part { begin, end, before });
    }
    places
}

/// As `partition_point`, but quicker if the point is near the beginning.
fn soon(parts: &[Part], is_before: impl Fn(&Part) -> bool) -> usize {
    let mut end = 1;
    while end < parts.len() && is_before(&parts[end]) {
        end *= 2;
    }
    let begin = end / 2;
    begin + parts[begin..end.min(parts.len())].partition_point(is_before)
}

/// How long these parts are together up to a time. All of them begin before it.
fn until(parts: &[Part], time: u64) -> u64 {
    let last = parts.last();
    last.map_or(0, |part| part.before + part.end.min(time) - part.begin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made::{MUTEX, TENTH, TWENTIETH, event, job, process, wait};
    use mpisync::inspect::trace::Event;

    #[test]
    fn a_near_point_is_found() {
        for number in 0..20 {
            let part = |begin| Part {
                begin,
                end: begin,
                before: 0,
            };
            let parts: Vec<Part> = (0..number).map(part).collect();
            for point in 0..=number {
                assert_eq!(soon(&parts, |part| part.begin < point), point as usize);
            }
        }
    }

    #[test]
    fn each_moment_is_of_one_place() {
        let hold = |begin, end, place| Event {
            place: Some(place),
            ..event(Activity::Hold, begin, end)
        };
        let [mut first, mut second, mut third] = [0, 1, 2].map(|rank| process(rank, 3));
        first.events = vec![hold(0, 10, TENTH), hold(40, 50, TENTH)];
        second.events = vec![hold(5, 30, TWENTIETH), hold(30, 30, TENTH)];
        third.events = vec![wait(0, 60, 0, TENTH)];
        let holds = Holds::of(&job([first.clone(), second, third.clone()]));
        let mut cursors = Cursors::default();
        let mut within =
            |begin, end| -> Vec<_> { holds.within(&mut cursors, MUTEX, begin, end).collect() };
        assert_eq!(within(0, 60), [(TENTH, 20), (TWENTIETH, 20)]);
        assert_eq!(within(8, 12), [(TENTH, 2), (TWENTIETH, 2)]);
        assert_eq!(within(30, 40), []);
        assert_eq!(within(45, 46), [(TENTH, 1)]);
        for process in [&mut first, &mut third] {
            process.objects[MUTEX as usize].identity = 0;
        }
        let unknown = Holds::of(&job([first, third]));
        assert_eq!(unknown.within(&mut cursors, MUTEX, 0, 60).count(), 0);
    }
}
