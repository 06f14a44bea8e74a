//! What ranks wait for, which describes itself in reports and in the search for deadlocks.

use crate::shm::block::Block;
use crate::shm::domain::Domain;
use crate::shm::waiting::want::{GlobalId, Want};
use std::panic::Location;

/// Something that ranks wait for, which describes itself in reports.
pub(crate) trait Subject {
    fn domain(&self) -> &Domain;

    fn label(&self) -> Label<'_>;

    /// The ranks that keep others waiting now, as far as this rank can see.
    fn awaited(&self) -> Vec<Awaited>;

    /// Whether [`awaited`](Self::awaited) asks another node, which takes as long as a wait.
    fn asks_to_look(&self) -> bool {
        false
    }

    /// Further lines of a report.
    fn details(&self) -> Vec<String> {
        Vec::new()
    }

    /// What has to happen before this rank's wait can end.
    fn needs(&self) -> Needs {
        Needs::each(&self.awaited())
    }

    /// The object, if it spans hosts.
    fn object(&self) -> Option<GlobalId> {
        None
    }

    /// What this rank waits for, if ranks of other hosts may keep that and their hosts can tell.
    fn want(&self) -> Option<Want> {
        None
    }
}

/// What has to happen before a wait can end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Each of these ranks has to go on, and perhaps more.
    Each(Vec<u32>),
    /// One of these ranks has to go on. Nothing else, and no other rank, ends the wait.
    Any(Vec<u32>),
    Unknown,
}

impl Needs {
    /// Each of these has to go on.
    pub(crate) fn each(awaited: &[Awaited]) -> Self {
        Needs::Each(awaited.iter().map(|awaited| awaited.rank).collect())
    }

    /// Any rank of the communicator but this one can end the wait.
    pub(crate) fn any_other(domain: &Domain) -> Self {
        let (me, size) = (domain.topology().rank(), domain.topology().size() as u32);
        Needs::Any((0..size).filter(|&rank| rank != me).collect())
    }
}

/// The subject of waits on an object that has a block.
pub(crate) trait BlockSubject {
    fn block(&self) -> &Block;

    /// [`Subject::awaited`].
    fn awaited(&self) -> Vec<Awaited>;

    /// [`Subject::asks_to_look`].
    fn asks_to_look(&self) -> bool {
        false
    }

    /// [`Subject::details`].
    fn details(&self) -> Vec<String> {
        Vec::new()
    }

    /// [`Subject::needs`].
    fn needs(&self) -> Needs {
        Needs::each(&self.awaited())
    }

    /// [`Subject::want`].
    fn want(&self) -> Option<Want> {
        None
    }
}

impl<T: BlockSubject> Subject for T {
    fn domain(&self) -> &Domain {
        self.block().domain()
    }

    fn label(&self) -> Label<'_> {
        self.block().label()
    }

    fn awaited(&self) -> Vec<Awaited> {
        BlockSubject::awaited(self)
    }

    fn asks_to_look(&self) -> bool {
        BlockSubject::asks_to_look(self)
    }

    fn details(&self) -> Vec<String> {
        BlockSubject::details(self)
    }

    fn needs(&self) -> Needs {
        BlockSubject::needs(self)
    }

    fn object(&self) -> Option<GlobalId> {
        self.block().global()
    }

    fn want(&self) -> Option<Want> {
        BlockSubject::want(self)
    }
}

/// What an object is called in reports.
#[derive(Clone, Copy)]
pub(crate) struct Label<'a> {
    /// Its kind, such as `mutex`.
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    /// The same on all ranks of the node, and different between objects of a communicator that
    /// exist together; 0 if not known.
    pub(crate) identity: u64,
}

/// A rank for which others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Awaited {
    pub(crate) rank: u32,
    /// Why they wait for it, such as "holds it".
    pub(crate) role: &'static str,
    /// Where it has taken what they wait for, if known.
    pub(crate) held_at: Option<&'static Location<'static>>,
}

impl Awaited {
    /// Ranks with one role.
    pub(crate) fn all(ranks: impl IntoIterator<Item = u32>, role: &'static str) -> Vec<Self> {
        let held_at = None;
        let awaited = |rank| Awaited {
            rank,
            role,
            held_at,
        };
        ranks.into_iter().map(awaited).collect()
    }
}

/// A subject with this description, for whose ranks a function looks.
pub(crate) struct Described<'a, F> {
    pub(crate) domain: &'a Domain,
    pub(crate) label: Label<'a>,
    pub(crate) awaited: F,
    pub(crate) object: Option<GlobalId>,
    pub(crate) want: Option<Want>,
}

impl<'a, F> Described<'a, F> {
    /// No object that spans hosts.
    pub(crate) fn new(domain: &'a Domain, label: Label<'a>, awaited: F) -> Self {
        Described {
            domain,
            label,
            awaited,
            object: None,
            want: None,
        }
    }

    /// The same as something that this rank wants.
    pub(crate) fn wanted(self, want: Option<Want>) -> Self {
        Described { want, ..self }
    }
}

impl<F: Fn() -> Vec<Awaited>> Subject for Described<'_, F> {
    fn domain(&self) -> &Domain {
        self.domain
    }

    fn label(&self) -> Label<'_> {
        self.label
    }

    fn awaited(&self) -> Vec<Awaited> {
        (self.awaited)()
    }

    fn object(&self) -> Option<GlobalId> {
        self.object
    }

    fn want(&self) -> Option<Want> {
        self.want
    }
}
