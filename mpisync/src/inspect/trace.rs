//! What the processes of a job have traced, as their files have it.

pub use crate::span::{Activity, Outcome};

use crate::location::Place;
use crate::span::file::format::{Definition, MAGIC, Ring, Sections, VERSION, WORD, event, header};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What one process has traced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Its rank in `MPI_COMM_WORLD`.
    pub rank: u32,
    /// How many ranks that has.
    pub size: u32,
    /// The name of its host.
    pub host: String,
    /// Its process on that host.
    pub process: u32,
    /// The job, the same for all its processes.
    pub job: u64,
    /// When the job's time 0 was, in nanoseconds since 1970.
    pub epoch: u64,
    /// Whether the process has ended in order. If not, it was killed, or it still runs.
    pub has_ended: bool,
    /// How many of the oldest events are missing, because newer ones have taken their place.
    pub lost: u64,
    /// The objects that its events name by their index.
    pub objects: Vec<Object>,
    /// The places in the program that its events name by their index.
    pub places: Vec<Place>,
    /// The names of calls that its events name by their index.
    pub calls: Vec<String>,
    /// By their beginning.
    pub events: Vec<Event>,
}

/// An object in the memory of one communicator.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// Such as `mutex`.
    pub kind: String,
    /// Its name, which need not be its alone.
    pub name: String,
    /// Differs between the objects of a job, and is the same on all ranks; 0 if that is not known.
    pub identity: u64,
}

/// Something that a rank did for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it did.
    pub activity: Activity,
    /// When it began, in nanoseconds of the job's time, which is the same on all hosts.
    pub begin: u64,
    /// When it ended. None if the process was killed meanwhile, or if it still lasts.
    pub end: Option<u64>,
    /// The index of the object.
    pub object: u32,
    /// The index of the name of the call.
    pub call: u32,
    /// The index of the place of the call in the program, if known.
    pub place: Option<u32>,
    /// Of a wait: the rank in `MPI_COMM_WORLD` that kept this one waiting when the wait began, if known.
    pub keeper: Option<u32>,
    /// Of a wait: the index of the place where that rank had taken what this one waited for, if known.
    pub keeper_place: Option<u32>,
    /// The index of the task, of a batch.
    pub task: Option<u32>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file system refuses.
    #[error("{}: {error}", path.display())]
    FileSystem {
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        #[source]
        error: io::Error,
    },
    /// The file is no trace, or one that another version has written.
    #[error("{}: {reason}", path.display())]
    NoTrace {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// The end of the names of trace files.
pub const EXTENSION: &str = crate::span::file::format::EXTENSION;

/// Reads the file of one process.
///
/// # Errors
/// If it cannot be read, or is no trace of this version.
pub fn read(path: &Path) -> Result<Process, TraceError> {
    let bytes = fs::read(path).map_err(|error| TraceError::FileSystem {
        path: path.to_owned(),
        error,
    })?;
    Reader { bytes: &bytes }
        .process()
        .map_err(|reason| TraceError::NoTrace {
            path: path.to_owned(),
            reason,
        })
}

/// The contents of a file.
struct Reader<'a> {
    bytes: &'a [u8],
}

/// How the clock of a host becomes the job's time.
struct Clock {
    /// What the clock of rank 0's host showed at the job's time 0.
    root_start: u64,
    /// When this host's clock showed the first, that one was ahead by the second.
    first: (u64, i64),
    /// The same at the end.
    last: Option<(u64, i64)>,
}

impl Clock {
    /// The job's time when the host's clock showed `now`. Between two exchanges the clocks drift evenly.
    fn time(&self, now: u64) -> u64 {
        let (first, mut ahead) = self.first;
        if let Some((last, ahead_at_last)) = self.last {
            let part = now.saturating_sub(first) as f64 / last.saturating_sub(first).max(1) as f64;
            let drift = (ahead_at_last as f64 - ahead as f64) * part;
            ahead = ahead.saturating_add(drift.round() as i64);
        }
        now.saturating_add_signed(ahead)
            .saturating_sub(self.root_start)
    }
}

impl Reader<'_> {
    fn word(&self, place: usize) -> Option<u64> {
        let bytes = self.bytes.get(place..)?.first_chunk()?;
        Some(u64::from_ne_bytes(*bytes))
    }

    fn header(&self, word: usize) -> u64 {
        self.word(word * WORD).unwrap_or_default()
    }

    fn process(&self) -> Result<Process, String> {
        match self.header(header::MAGIC) {
            MAGIC => {}
            magic if magic == MAGIC.swap_bytes() => {
                return Err("it was written on a machine with another byte order".to_owned());
            }
            0 => return Err("its process was killed before it had written anything".to_owned()),
            _ => return Err("it is no trace of mpisync".to_owned()),
        }
        if self.header(header::VERSION) != VERSION {
            let own = env!("CARGO_PKG_VERSION");
            return Err(format!(
                "another version of mpisync has written it, and this is {own}; use the program of that version"
            ));
        }
        let capacities = Ring::ALL
            .map(|ring| usize::try_from(self.header(ring.words().0)).unwrap_or(usize::MAX));
        let room = usize::try_from(self.header(header::ROOM)).unwrap_or(usize::MAX);
        let sections = Sections::new(room, capacities)
            .filter(|sections| sections.length <= self.bytes.len())
            .ok_or("it is cut off")?;
        let (rank, size) = split(self.header(header::RANK));
        let exchange = |at: usize, ahead: usize| (self.header(at), self.header(ahead) as i64);
        let last = exchange(header::EXCHANGED_AT_END, header::AHEAD_AT_END);
        let clock = Clock {
            root_start: self.header(header::ROOT_START),
            first: exchange(header::EXCHANGED, header::AHEAD),
            last: (last.0 != 0).then_some(last),
        };
        let mut process = Process {
            rank,
            size,
            host: self.host(),
            process: self.header(header::PROCESS) as u32,
            job: self.header(header::JOB),
            epoch: self.header(header::EPOCH),
            has_ended: self.header(header::HAS_ENDED) == 1,
            ..Process::default()
        };
        let communicators = self.definitions(&sections, room, &mut process)?;
        for ring in Ring::ALL {
            let capacity = capacities[ring as usize] as u64;
            let written = self.header(ring.words().1);
            let lost = written.saturating_sub(capacity);
            process.lost = process.lost.saturating_add(lost);
            let first = sections.events[ring as usize];
            for slot in 0..written.min(capacity) as usize {
                let place = first + slot * event::WORDS * WORD;
                process
                    .events
                    .extend(self.event(place, &clock, &communicators));
            }
        }
        process.complete();
        Ok(process)
    }

    fn host(&self) -> String {
        let length = self.header(header::HOST_LENGTH) as usize;
        let length = length.min(header::HOST_WORDS * WORD);
        let name = self.bytes.get(header::HOST * WORD..);
        let name = name.and_then(|bytes| bytes.get(..length));
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    }

    /// Adds the definitions to the process, and returns the ranks of its communicators in the world.
    fn definitions(
        &self,
        sections: &Sections,
        room: usize,
        process: &mut Process,
    ) -> Result<Vec<Vec<u32>>, String> {
        const DAMAGED: &str = "its names are damaged";
        let used = (self.header(header::DEFINED) as usize).min(room);
        let mut rest = &self.bytes[sections.definitions..][..used];
        let mut communicators = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = u32::from_ne_bytes(*length) as usize;
            let (bytes, after) = after.split_at_checked(length).ok_or(DAMAGED)?;
            rest = after;
            match postcard::from_bytes(bytes).map_err(|_| DAMAGED)? {
                Definition::Object {
                    kind,
                    name,
                    identity,
                } => process.objects.push(Object {
                    kind: kind.into_owned(),
                    name: name.into_owned(),
                    identity,
                }),
                Definition::Call(name) => process.calls.push(name.into_owned()),
                Definition::Place { file, line } => {
                    process.places.push(Place::new(file.into_owned(), line));
                }
                Definition::Communicator(ranks) => communicators.push(ranks.into_owned()),
            }
        }
        Ok(communicators)
    }

    /// The event at this place, if it is whole. Its object and its call are still numbers from 1.
    fn event(&self, place: usize, clock: &Clock, communicators: &[Vec<u32>]) -> Option<Event> {
        let word = |index: usize| self.word(place + index * WORD);
        if word(event::SEQUENCE)? == 0 {
            return None;
        }
        let (object, call) = split(word(event::OBJECT)?);
        let (at, keeper_at) = split(word(event::PLACE)?);
        let (keeper, communicator) = split(word(event::KEEPER)?);
        let (codes, task) = split(word(event::WHAT)?);
        let keeper = index(keeper).and_then(|keeper| {
            let ranks = communicators.get(index(communicator)? as usize)?;
            ranks.get(keeper as usize).copied()
        });
        let end = word(event::END)?;
        Some(Event {
            activity: *Activity::ALL.get((codes & 0xff) as usize)?,
            begin: clock.time(word(event::BEGIN)?),
            end: (end != 0).then(|| clock.time(end)),
            object,
            call,
            place: index(at),
            keeper: keeper.filter(|rank| *rank != u32::MAX),
            keeper_place: index(keeper_at),
            task: index(task),
            outcome: *Outcome::ALL.get((codes >> 8 & 0xff) as usize)?,
        })
    }
}

impl Process {
    /// Gives events without a name or an object those that stand for it, and sorts the events.
    fn complete(&mut self) {
        const UNKNOWN: &str = "?";
        let (objects, calls) = (self.objects.len() as u32, self.calls.len() as u32);
        let places = self.places.len() as u32;
        for event in &mut self.events {
            event.object = index(event.object)
                .filter(|object| *object < objects)
                .unwrap_or(objects);
            event.call = index(event.call)
                .filter(|call| *call < calls)
                .unwrap_or(calls);
            event.place = event.place.filter(|place| *place < places);
            event.keeper_place = event.keeper_place.filter(|place| *place < places);
        }
        self.objects.push(Object {
            kind: UNKNOWN.to_owned(),
            name: UNKNOWN.to_owned(),
            identity: 0,
        });
        self.calls.push(UNKNOWN.to_owned());
        self.events.sort_by_key(|event| (event.begin, event.end));
    }
}

/// The lower and the upper half of a word.
fn split(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// The index that belongs to a number from 1; None for 0.
fn index(number: u32) -> Option<u32> {
    number.checked_sub(1)
}

/// A place for a made [`Process`]: programs that show traces test themselves with those.
pub fn place(file: &str, line: u32) -> Place {
    Place::new(file.to_owned(), line)
}
