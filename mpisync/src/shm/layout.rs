//! What an object keeps in the memory of a node, and where.

use crate::shm::block::Block;
use crate::shm::mapping::Mapping;
use crate::shm::topology::Topology;
use std::fmt;
use std::sync::Arc;

/// What an object, or a part of it, keeps on a node. The same on all ranks, though not of the same
/// length on all nodes.
pub(crate) trait Layout {
    /// How many bytes it takes on this node: whole lines.
    fn length(&self, topology: &Topology) -> usize;

    /// Fills it in `memory`, which is zero from `start` on, before anybody uses it.
    fn prepare(&self, _topology: &Topology, _memory: &Mapping, _start: usize) {}
}

/// The layout of an object of whatever kind.
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
}

/// One behind the other.
impl<A: Layout, B: Layout> Layout for (A, B) {
    fn length(&self, topology: &Topology) -> usize {
        self.0.length(topology) + self.1.length(topology)
    }

    fn prepare(&self, topology: &Topology, memory: &Mapping, start: usize) {
        self.0.prepare(topology, memory, start);
        let behind = start + self.0.length(topology);
        self.1.prepare(topology, memory, behind);
    }
}

/// A part of an object's memory, as who has that view of the block sees it.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) block: &'a Block,
    offset: usize,
}

impl Block {
    /// The part that the object's memory begins with.
    pub(crate) fn first_part(&self) -> Part<'_> {
        Part {
            block: self,
            offset: 0,
        }
    }
}

impl<'a> Part<'a> {
    /// The part behind this one, which has that layout.
    pub(crate) fn behind(self, layout: &impl Layout) -> Self {
        let topology = self.block.domain().topology();
        Part {
            offset: self.offset + layout.length(topology),
            ..self
        }
    }

    /// The memory that it is in.
    pub(crate) fn memory(self) -> &'a Arc<Mapping> {
        self.block.memory().0
    }

    /// Where in there it begins.
    pub(crate) fn start(self) -> usize {
        self.block.memory().1 + self.offset
    }
}
