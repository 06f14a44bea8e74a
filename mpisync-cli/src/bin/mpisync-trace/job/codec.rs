//! Events as bytes: a few numbers each, small numbers in few bytes (LEB128).
//!
//! | number | present |
//! | --- | --- |
//! | the beginning, after that of the event before | always |
//! | 0 if it has not ended, else its duration + 1 | always |
//! | the index of its site | always |
//! | the keeper's rank + 1, or 0; the index of the keeper's place + 1, or 0 | if the site says so |
//! | the task | if the site says so |
//!
//! They are in blocks, which are read one without the other. The page reads the same bytes: a change
//! here is one in `files/html/page.js`, too.

use super::{Names, Seen};

/// How many events a block has, except for the last one.
pub const EVENTS_OF_A_BLOCK: u64 = 256;

/// A part of the events of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where its bytes begin.
    pub offset: usize,
    /// When its first event began.
    pub begin: u64,
    /// When the last one of its events ended; `u64::MAX` if one has not ended.
    pub end: u64,
}

/// The events of a process.
#[derive(Default)]
pub struct Encoded {
    pub bytes: Vec<u8>,
    pub blocks: Vec<Block>,
    count: u64,
}

/// Encodes the events of a process.
#[derive(Default)]
pub struct Encoder {
    encoded: Encoded,
    /// When the last event began.
    last: u64,
}

impl Encoder {
    /// Adds an event, which does not begin before the last one.
    pub fn add(&mut self, event: &Seen) {
        let Encoded {
            bytes,
            blocks,
            count,
        } = &mut self.encoded;
        if count.is_multiple_of(EVENTS_OF_A_BLOCK) {
            blocks.push(Block {
                offset: bytes.len(),
                begin: event.begin,
                end: 0,
            });
            self.last = event.begin;
        }
        *count += 1;
        let end = if event.is_open { u64::MAX } else { event.end };
        if let Some(block) = blocks.last_mut() {
            block.end = block.end.max(end);
        }
        write(bytes, event.begin - self.last);
        self.last = event.begin;
        match event.is_open {
            true => write(bytes, 0),
            false => write(bytes, event.duration().saturating_add(1)),
        }
        write(bytes, event.site.into());
        let plus_one = |index: Option<u32>| index.map_or(0, |index| u64::from(index) + 1);
        if event.keeper.is_some() || event.keeper_place.is_some() {
            write(bytes, plus_one(event.keeper));
            write(bytes, plus_one(event.keeper_place));
        }
        if let Some(task) = event.task {
            write(bytes, task.into());
        }
    }

    /// The events so far.
    pub fn finish(mut self) -> Encoded {
        self.encoded.bytes.shrink_to_fit();
        self.encoded
    }
}

impl Encoded {
    /// The events in the order in which they were added.
    pub fn events<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = Seen> + 'a {
        let (mut at, mut begin) = (0, 0);
        (0..self.count).map(move |index| {
            if index.is_multiple_of(EVENTS_OF_A_BLOCK) {
                begin = self.blocks[(index / EVENTS_OF_A_BLOCK) as usize].begin;
            }
            let mut next = || read(&self.bytes, &mut at);
            begin += next();
            let duration = next();
            let index = next() as u32;
            let site = names.site(index);
            let minus_one = |number: u64| number.checked_sub(1).map(|index| index as u32);
            let (keeper, keeper_place) = match site.has_keeper {
                true => (minus_one(next()), minus_one(next())),
                false => (None, None),
            };
            Seen {
                site: index,
                activity: site.activity,
                outcome: site.outcome,
                begin,
                end: begin.saturating_add(duration.saturating_sub(1)),
                is_open: duration == 0,
                keeper,
                keeper_place,
                task: site.has_task.then(|| next() as u32),
            }
        })
    }
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}
