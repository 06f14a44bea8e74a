//! The writer of a trace file.

use crate::fingerprint::quick_fingerprint;
use crate::span::file::format::{Definition, EXTENSION, MAGIC, Ring, Sections, VERSION, WORD};
use crate::span::file::format::{event, header};
use crate::span::{About, Activity, Outcome};
use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::fs::FallocateFlags;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::atomic::{Ordering, compiler_fence};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The recorder of this process, once its trace has begun.
static RECORDER: OnceLock<Mutex<Recorder>> = OnceLock::new();

/// Whether this process has a trace.
#[inline]
pub(crate) fn is_on() -> bool {
    RECORDER.get().is_some()
}

fn recorder() -> Option<MutexGuard<'static, Recorder>> {
    let recorder = RECORDER.get()?;
    Some(recorder.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The clock of this host, in nanoseconds.
pub(crate) fn clock() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // By the C library: rustix asks the kernel's shared object itself, which valgrind hides.
    // SAFETY: the result goes to a variable of this type, and is read only if there is one.
    let now = unsafe {
        match libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr()) {
            0 => now.assume_init(),
            _ => return 0,
        }
    };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// What a trace says of its process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Its rank in the world, and the size of that.
    pub(crate) rank: u32,
    pub(crate) size: u32,
    /// The number of the job.
    pub(crate) job: u64,
    /// When the job's time 0 was, in nanoseconds since 1970.
    pub(crate) epoch: u64,
    /// What the clock of rank 0's host showed then.
    pub(crate) root_start: u64,
    /// By how many nanoseconds that is ahead of the clock of this host.
    pub(crate) ahead: i64,
}

/// Begins the trace of this process in this directory, in a file of at most `size` bytes. May be called
/// once per process.
///
/// # Errors
/// If the file cannot be made, or if there is no room for it.
pub(crate) fn start(directory: &Path, size: usize, process: &Process) -> io::Result<()> {
    let recorder = Recorder::create(directory, size, process)?;
    let set = RECORDER.set(Mutex::new(recorder));
    debug_assert!(set.is_ok(), "a process has one trace");
    Ok(())
}

/// Defines a communicator with this number, the same on all its ranks: its ranks in the world.
pub(crate) fn define_communicator(number: u64, ranks: &[u32]) {
    if let Some(mut recorder) = recorder() {
        let definition = Definition::Communicator(Cow::Borrowed(ranks));
        recorder.number(Kind::Communicator, number, &definition);
    }
}

/// Notes that this process ends in order, when the clock of rank 0's host is this many nanoseconds ahead.
pub(crate) fn end(ahead: i64) {
    if let Some(mut recorder) = recorder() {
        recorder.set(header::AHEAD_AT_END, ahead as u64);
        recorder.set(header::EXCHANGED_AT_END, clock());
    }
    note_end();
}

/// The same, without a comparison of the clocks.
pub(crate) fn note_end() {
    if let Some(mut recorder) = recorder() {
        recorder.set(header::HAS_ENDED, 1);
    }
}

/// An event that has begun.
pub(in crate::span) struct Span {
    ring: Ring,
    words: [u64; event::WORDS],
}

impl Span {
    pub(in crate::span) fn begin(about: &About<'_>) -> Self {
        let ring = match about.activity {
            Activity::Wait => Ring::Waits,
            _ => Ring::Others,
        };
        let mut words = [0; event::WORDS];
        if let Some(mut recorder) = recorder() {
            words = recorder.event(about);
            recorder.append(ring, &mut words);
        }
        Span { ring, words }
    }

    pub(in crate::span) fn end(mut self, outcome: Outcome) {
        let now = clock();
        if let Some(mut recorder) = recorder()
            && self.words[event::SEQUENCE] != 0
        {
            self.words[event::END] = now;
            self.words[event::WHAT] |= (outcome as u64) << 8;
            recorder.finish(self.ring, &mut self.words);
        }
    }
}

/// The kinds of definitions, each with numbers of its own.
#[derive(Clone, Copy)]
enum Kind {
    Object,
    Call,
    Place,
    Communicator,
}

impl Kind {
    /// The hash of a definition of this kind from that of what it says.
    fn key(self, hash: u64) -> u64 {
        hash.rotate_left(self as u32)
    }
}

/// The hasher of keys that are hashes.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

struct Recorder {
    file: MmapMut,
    sections: Sections,
    capacities: [usize; 2],
    /// How many bytes of definitions there are, and may be.
    defined: usize,
    room: usize,
    /// The number of each definition, by a hash of its kind and of what it says.
    numbers: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    /// How many of each kind there are.
    counts: [u32; 4],
}

impl Recorder {
    fn create(directory: &Path, size: usize, process: &Process) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // An eighth is for names and places, and a quarter of the rest for waits.
        let room = (size / 8).next_multiple_of(WORD);
        let events = size.saturating_sub(header::WORDS * WORD + room) / (event::WORDS * WORD);
        let waits = events / 4;
        let capacities = [waits, events - waits];
        let sections = Sections::new(room, capacities).filter(|_| waits > 0);
        let sections = sections.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let path = directory.join(format!("rank-{:06}.{EXTENSION}", process.rank));
        // A process that still writes into a file of this name keeps its own.
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = File::options();
        let mut file = file.read(true).write(true).create_new(true).open(path)?;
        reserve(&mut file, sections.length)?;
        // SAFETY: a new mapping of a file that this process has just made, which no other process of this
        // library opens for writing: it removes the name and makes another file. Its blocks are allocated, so
        // there is no signal for a full disk.
        let file = unsafe { MmapOptions::new().len(sections.length).map_mut(&file) }?;
        // Without this, each of the few places that a short job writes may get 2 MiB, cleared first. It is only advice.
        let _ = file.advise(Advice::Random);
        let mut recorder = Recorder {
            file,
            sections,
            capacities,
            defined: 0,
            room,
            numbers: HashMap::default(),
            counts: [0; 4],
        };
        recorder.describe(process);
        Ok(recorder)
    }

    fn describe(&mut self, process: &Process) {
        let host = rustix::system::uname();
        let host = host.nodename().to_bytes();
        let host = &host[..host.len().min(header::HOST_WORDS * WORD)];
        let place = header::HOST * WORD;
        self.file[place..place + host.len()].copy_from_slice(host);
        for ring in Ring::ALL {
            self.set(ring.words().0, self.capacities[ring as usize] as u64);
        }
        for (word, value) in [
            (header::HOST_LENGTH, host.len() as u64),
            (header::RANK, halves(process.rank, process.size)),
            (header::PROCESS, std::process::id().into()),
            (header::JOB, process.job),
            (header::EPOCH, process.epoch),
            (header::ROOT_START, process.root_start),
            (header::AHEAD, process.ahead as u64),
            (header::EXCHANGED, clock()),
            (header::ROOM, self.room as u64),
            (header::VERSION, VERSION),
            // Last: before it the file is no trace.
            (header::MAGIC, MAGIC),
        ] {
            self.set(word, value);
        }
    }

    fn set(&mut self, word: usize, value: u64) {
        self.store(word * WORD, value);
    }

    fn get(&self, word: usize) -> u64 {
        let place = word * WORD;
        let bytes = self.file[place..].first_chunk().expect("inside the file");
        u64::from_ne_bytes(*bytes)
    }

    fn store(&mut self, place: usize, value: u64) {
        self.file[place..place + WORD].copy_from_slice(&value.to_ne_bytes());
    }

    /// The words of an event that begins now.
    fn event(&mut self, about: &About<'_>) -> [u64; event::WORDS] {
        let object = self.object(about);
        let call = Definition::Call(Cow::Borrowed(about.call));
        let call = self.number(Kind::Call, text_hash(0, about.call), &call);
        let place = self.place(about.place);
        let keeper_place = self.place(about.keeper.and_then(|keeper| keeper.place));
        let communicator = match about.keeper {
            Some(_) => self
                .numbers
                .get(&Kind::Communicator.key(about.communicator)),
            None => None,
        };
        let communicator = communicator.copied().unwrap_or(0);
        let keeper = about.keeper.map_or(0, |keeper| keeper.rank + 1);
        let task = about.task.map_or(0, |task| task as u32 + 1);
        let mut words = [0; event::WORDS];
        words[event::OBJECT] = halves(object, call);
        words[event::PLACE] = halves(place, keeper_place);
        words[event::KEEPER] = halves(keeper, communicator);
        words[event::WHAT] = halves(about.activity as u32, task);
        words[event::BEGIN] = clock();
        words
    }

    fn object(&mut self, about: &About<'_>) -> u32 {
        let identity = match (about.communicator, about.object) {
            (0, _) | (_, 0) => 0,
            (communicator, object) => quick_fingerprint(communicator, &object.to_ne_bytes()),
        };
        let hash = text_hash(text_hash(identity, about.kind), about.name);
        let definition = Definition::Object {
            kind: Cow::Borrowed(about.kind),
            name: Cow::Borrowed(about.name),
            identity,
        };
        self.number(Kind::Object, hash, &definition)
    }

    fn place(&mut self, place: Option<(&str, u32)>) -> u32 {
        let Some((file, line)) = place else {
            return 0;
        };
        let definition = Definition::Place {
            file: Cow::Borrowed(file),
            line,
        };
        self.number(Kind::Place, text_hash(line.into(), file), &definition)
    }

    /// The number of what is defined, whose hash is known; 0 if there is no room for it.
    fn number(&mut self, kind: Kind, hash: u64, definition: &Definition<'_>) -> u32 {
        match self.numbers.get(&kind.key(hash)) {
            Some(number) => *number,
            None => self.define(kind, hash, definition),
        }
    }

    #[cold]
    fn define(&mut self, kind: Kind, hash: u64, definition: &Definition<'_>) -> u32 {
        let bytes = postcard::to_allocvec(definition).expect("plain data");
        let length = (bytes.len() as u32).to_ne_bytes();
        let end = self.defined + length.len() + bytes.len();
        let mut number = 0;
        if end <= self.room {
            let place = self.sections.definitions + self.defined;
            let (first, rest) = self.file[place..].split_at_mut(length.len());
            first.copy_from_slice(&length);
            rest[..bytes.len()].copy_from_slice(&bytes);
            compiler_fence(Ordering::Release);
            self.defined = end;
            self.set(header::DEFINED, end as u64);
            let count = &mut self.counts[kind as usize];
            *count += 1;
            number = *count;
        }
        self.numbers.insert(kind.key(hash), number);
        number
    }

    /// Where the event with this number is in a ring.
    fn place_of(&self, ring: Ring, number: u64) -> usize {
        let slot = number as usize % self.capacities[ring as usize];
        self.sections.events[ring as usize] + slot * event::WORDS * WORD
    }

    /// Appends an event, and notes its number in it.
    fn append(&mut self, ring: Ring, words: &mut [u64; event::WORDS]) {
        let (_, written) = ring.words();
        let number = self.get(written);
        let place = self.place_of(ring, number);
        words[event::SEQUENCE] = number + 1;
        self.write(place, words);
        self.set(written, number + 1);
    }

    /// Writes an event so that it is none if the process is killed meanwhile.
    fn write(&mut self, place: usize, words: &[u64; event::WORDS]) {
        self.store(place + event::SEQUENCE * WORD, 0);
        compiler_fence(Ordering::SeqCst);
        for (index, &word) in words.iter().enumerate().skip(1) {
            self.store(place + index * WORD, word);
        }
        compiler_fence(Ordering::SeqCst);
        self.store(place + event::SEQUENCE * WORD, words[event::SEQUENCE]);
    }

    /// Notes the end of an event; appends it anew if another one has taken its place.
    fn finish(&mut self, ring: Ring, words: &mut [u64; event::WORDS]) {
        let place = self.place_of(ring, words[event::SEQUENCE] - 1);
        if self.get(place / WORD) == words[event::SEQUENCE] {
            self.store(place + event::WHAT * WORD, words[event::WHAT]);
            self.store(place + event::END * WORD, words[event::END]);
        } else {
            self.append(ring, words);
        }
    }
}

fn halves(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn text_hash(seed: u64, text: &str) -> u64 {
    quick_fingerprint(seed, text.as_bytes())
}

/// Allocates the blocks of an empty file, so that a full disk shows here.
fn reserve(file: &mut File, length: usize) -> io::Result<()> {
    match rustix::fs::fallocate(&*file, FallocateFlags::empty(), 0, length as u64) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            // Some network file systems cannot.
            let zeros = vec![0; 1 << 20];
            let mut left = length;
            while left > 0 {
                let part = left.min(zeros.len());
                file.write_all(&zeros[..part])?;
                left -= part;
            }
            file.flush()
        }
        Err(error) => Err(error.into()),
    }
}
