//! What events name: objects, calls and places, each once in a job.

use super::Seen;
use indexmap::IndexSet;
use mpisync::Place;
use mpisync::inspect::trace::{Activity, Event, Object, Outcome, Process};

/// The name of what a file does not name, though an event refers to it.
const UNKNOWN: &str = "unknown";

/// What many events have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// What the rank did.
    pub activity: Activity,
    /// How it ended.
    pub outcome: Outcome,
    /// The index of the object.
    pub object: u32,
    /// The index of the name of the call.
    pub call: u32,
    /// The index of the place of the call.
    pub place: Option<u32>,
    /// Whether the events know who kept them, or where.
    pub has_keeper: bool,
    /// Whether the events are of a task.
    pub has_task: bool,
}

/// The names of a job.
#[derive(Default)]
pub struct Names {
    objects: IndexSet<Object>,
    calls: IndexSet<String>,
    places: IndexSet<Place>,
    sites: IndexSet<Site>,
    /// The site found last: events of the same site often follow each other.
    last: Option<(Site, u32)>,
}

/// Where the names of a process are among those of the job.
pub struct Indices {
    objects: Vec<u32>,
    calls: Vec<u32>,
    places: Vec<u32>,
    unknown_object: u32,
    unknown_call: u32,
}

impl Names {
    /// Adds the names of a process.
    pub fn of_process(&mut self, process: &Process) -> Indices {
        let unknown = Object {
            kind: UNKNOWN.to_owned(),
            name: UNKNOWN.to_owned(),
            identity: 0,
        };
        let (objects, calls) = (process.objects.len(), process.calls.len());
        let mut indices = Indices {
            objects: (process.objects.iter())
                .map(|object| index(&mut self.objects, object))
                .collect(),
            calls: (process.calls.iter())
                .map(|call| index(&mut self.calls, call))
                .collect(),
            places: (process.places.iter())
                .map(|place| index(&mut self.places, place))
                .collect(),
            unknown_object: 0,
            unknown_call: 0,
        };
        if process
            .events
            .iter()
            .any(|it| it.object as usize >= objects)
        {
            indices.unknown_object = index(&mut self.objects, &unknown);
        }
        if process.events.iter().any(|it| it.call as usize >= calls) {
            indices.unknown_call = index(&mut self.calls, &UNKNOWN.to_owned());
        }
        indices
    }

    /// An event of that process with the indices of the job.
    pub fn named(&mut self, indices: &Indices, event: &Event) -> Seen {
        let of = |all: &[u32], index: u32| all.get(index as usize).copied();
        let place = |index: Option<u32>| index.and_then(|index| of(&indices.places, index));
        let is_wait = event.activity == Activity::Wait;
        let keeper = event.keeper.filter(|_| is_wait);
        let keeper_place = place(event.keeper_place).filter(|_| is_wait);
        let site = Site {
            activity: event.activity,
            outcome: event.outcome,
            object: of(&indices.objects, event.object).unwrap_or(indices.unknown_object),
            call: of(&indices.calls, event.call).unwrap_or(indices.unknown_call),
            place: place(event.place),
            has_keeper: keeper.is_some() || keeper_place.is_some(),
            has_task: event.task.is_some(),
        };
        Seen {
            site: self.index_of(site),
            activity: event.activity,
            outcome: event.outcome,
            begin: event.begin,
            end: event.end.unwrap_or(event.begin),
            is_open: event.end.is_none(),
            keeper,
            keeper_place,
            task: event.task,
        }
    }

    fn index_of(&mut self, site: Site) -> u32 {
        match self.last {
            Some((last, index)) if last == site => index,
            _ => {
                let index = index(&mut self.sites, &site);
                self.last = Some((site, index));
                index
            }
        }
    }

    /// The site with this index.
    pub fn site(&self, index: u32) -> &Site {
        &self.sites[index as usize]
    }

    /// The object with this index.
    pub fn object(&self, index: u32) -> &Object {
        &self.objects[index as usize]
    }

    /// The name of the call with this index.
    pub fn call(&self, index: u32) -> &str {
        &self.calls[index as usize]
    }

    /// The place with this index.
    pub fn place(&self, index: u32) -> &Place {
        &self.places[index as usize]
    }

    /// All sites, by their index.
    pub fn sites(&self) -> impl ExactSizeIterator<Item = &Site> {
        self.sites.iter()
    }

    /// All objects, by their index.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = &Object> {
        self.objects.iter()
    }

    /// All names of calls, by their index.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = &String> {
        self.calls.iter()
    }

    /// All places, by their index.
    pub fn places(&self) -> impl ExactSizeIterator<Item = &Place> {
        self.places.iter()
    }
}

/// The index of a value, which is added if it is new.
fn index<T: Clone + Eq + std::hash::Hash>(all: &mut IndexSet<T>, value: &T) -> u32 {
    let index = match all.get_index_of(value) {
        Some(index) => index,
        None => all.insert_full(value.clone()).0,
    };
    u32::try_from(index).expect("a job has fewer than 2^32 names")
}

/// An object as it is shown: its kind, and its name if that is another one.
pub fn label(object: &Object) -> String {
    match object.name.is_empty() || object.name == object.kind {
        true => object.kind.clone(),
        false => format!("{} \"{}\"", object.kind, object.name),
    }
}
