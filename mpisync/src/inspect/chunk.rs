//! The chunks of a segment, and copies of them.

use crate::shm::cells::copy_in;
use crate::shm::identity::{ChunkOf, Identity, OtherVersion};
use crate::shm::mapping::Mapping;
use crate::shm::segment::{MAX_RANKS, Segment, Shape};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The most bytes of a chunk that are read: more than any has that contains several objects.
const MOST: usize = 64 << 20;
/// The most ranks on other nodes, for which a plausible segment is made.
const MOST_REMOTE: usize = 1 << 22;

/// A chunk.
pub(super) struct Chunk {
    file: File,
    of: ChunkOf,
    length: usize,
}

/// The chunks of a segment, by number.
#[derive(Default)]
pub(super) struct Chunks(BTreeMap<u32, Chunk>);

impl Chunk {
    /// The chunk in this file, if it is one.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn of(file: File) -> Result<Option<Result<Self, OtherVersion>>, String> {
        let length = file.metadata().map_err(cannot_read)?.len() as usize;
        if length < size_of::<Identity>() {
            return Ok(None);
        }
        let start = copy(&file, size_of::<Identity>(), size_of::<Identity>())?;
        Ok(match start.get::<Identity>(0).get() {
            None => None,
            Some(Err(other)) => Some(Err(other)),
            Some(Ok(of)) => Some(Ok(Chunk { file, of, length })),
        })
    }

    pub(super) fn segment(&self) -> u64 {
        self.of.segment
    }

    /// A copy of the memory as it is about now.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn copy(&self) -> Result<Mapping, String> {
        let most = self.length.min(MOST);
        match self.of.chunk {
            // The staging buffers at its end are of no interest.
            0 => copy(
                &self.file,
                Segment::first_reserved(self.of.shape),
                self.length,
            ),
            _ => copy(&self.file, most, most),
        }
    }
}

impl Chunks {
    pub(super) fn add(&mut self, chunk: Chunk) {
        self.0.insert(chunk.of.chunk, chunk);
    }

    /// The shape of the segment.
    ///
    /// # Errors
    /// Why the segment cannot be read.
    pub(super) fn shape(&self) -> Result<Shape, String> {
        let first = self.0.get(&0).ok_or_else(|| {
            "the beginning of a communicator's memory cannot be found: its processes have no descriptor of it"
                .to_owned()
        })?;
        let shape = first.of.shape;
        let is_plausible =
            (1..=MAX_RANKS + 1).contains(&shape.members) && shape.remote <= MOST_REMOTE;
        if !is_plausible || Segment::first_length(shape) != first.length {
            return Err(damaged());
        }
        Ok(shape)
    }

    /// Copies of all chunks by number, the first one first.
    ///
    /// # Errors
    /// Why one cannot be read.
    pub(super) fn copies(&self) -> Result<Vec<(u32, Mapping)>, String> {
        let copies = self
            .0
            .iter()
            .map(|(number, chunk)| Ok((*number, chunk.copy()?)));
        copies.collect()
    }
}

fn copy(file: &File, read: usize, length: usize) -> Result<Mapping, String> {
    let mut bytes = vec![0; read];
    file.read_exact_at(&mut bytes, 0).map_err(cannot_read)?;
    let memory = Mapping::try_private(length)
        .ok_or_else(|| format!("there is no memory for a copy of {length} bytes"))?;
    let cells = read.div_ceil(size_of::<u64>());
    if cells * size_of::<u64>() > length {
        return Err(damaged());
    }
    copy_in(memory.slice(0, cells), &bytes);
    Ok(memory)
}

fn cannot_read(error: std::io::Error) -> String {
    format!("its memory cannot be read: {error}")
}

fn damaged() -> String {
    "the memory of a communicator does not have the length that it says; it is damaged".to_owned()
}
