//! The layout of objects in the memory of a node.

use crate::shm::block::Block;
use crate::shm::mapping::Mapping;
use crate::shm::topology::Topology;
use std::fmt;
use std::sync::Arc;

/// The memory of an object, or of a part of it, on a node. The same on all ranks, but its length
/// may differ between nodes.
pub(crate) trait Layout {
    /// The length on this node in bytes, a multiple of a cache line.
    fn length(&self, topology: &Topology) -> usize;

    /// Initializes the memory at `start`, which is zero, before any rank uses it.
    fn prepare(&self, _topology: &Topology, _memory: &Mapping, _start: usize) {}

    /// How a process outside finds out who holds the object: the number of what the memory begins
    /// with, or 0 if it cannot.
    fn reader(&self) -> u32 {
        0
    }
}

/// The layout of an object of any kind.
pub struct AnyLayout(Box<dyn Layout>);

impl AnyLayout {
    pub(crate) fn new(layout: impl Layout + 'static) -> Self {
        AnyLayout(Box::new(layout))
    }
}

impl fmt::Debug for AnyLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyLayout").finish_non_exhaustive()
    }
}

impl Layout for AnyLayout {
    fn length(&self, topology: &Topology) -> usize {
        self.0.length(topology)
    }

    fn prepare(&self, topology: &Topology, memory: &Mapping, start: usize) {
        self.0.prepare(topology, memory, start);
    }

    fn reader(&self) -> u32 {
        self.0.reader()
    }
}

/// One after the other.
impl<A: Layout, B: Layout> Layout for (A, B) {
    fn length(&self, topology: &Topology) -> usize {
        self.0.length(topology) + self.1.length(topology)
    }

    fn prepare(&self, topology: &Topology, memory: &Mapping, start: usize) {
        self.0.prepare(topology, memory, start);
        let behind = start + self.0.length(topology);
        self.1.prepare(topology, memory, behind);
    }

    fn reader(&self) -> u32 {
        self.0.reader()
    }
}

/// A part of an object's memory.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) block: &'a Block,
    offset: usize,
}

impl Block {
    /// The first part of the object's memory.
    pub(crate) fn first_part(&self) -> Part<'_> {
        Part {
            block: self,
            offset: 0,
        }
    }
}

impl<'a> Part<'a> {
    /// The part after this one, which has this layout.
    pub(crate) fn behind(self, layout: &impl Layout) -> Self {
        let topology = self.block.domain().topology();
        Part {
            offset: self.offset + layout.length(topology),
            ..self
        }
    }

    /// The mapping that contains the part.
    pub(crate) fn memory(self) -> &'a Arc<Mapping> {
        self.block.memory().0
    }

    /// Where the part begins in the mapping.
    pub(crate) fn start(self) -> usize {
        self.block.memory().1 + self.offset
    }
}
