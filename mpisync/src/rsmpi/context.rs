//! The state of one communicator.

use crate::rsmpi::attribute;
use crate::rsmpi::carrier::Carrier;
use crate::rsmpi::comm::OwnComm;
use crate::rsmpi::end;
use crate::rsmpi::threads::may_make_progress;
use crate::shm::domain::{Domain, Outside};
use crate::shm::lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, Weak};
use std::thread;
use std::time::Duration;

/// The state of one communicator, as this rank sees it.
///
/// It is an attribute of the user's communicator, so that all objects of a communicator share it.
pub(crate) struct Context {
    domain: Arc<Domain>,
    /// A duplicate of the user's communicator, so that messages of mpisync and of the program do
    /// not interfere.
    all: Arc<OwnComm>,
    remote: Option<AcrossNodes>,
}

/// The additional state of a communicator that spans nodes.
pub(super) struct AcrossNodes {
    /// The ranks of this node.
    pub(super) node: OwnComm,
    carrier: Carrier,
    /// After what time a node that does not answer is lost; zero for never.
    silence: Duration,
    /// How many objects have been made; the same on all ranks.
    objects: AtomicU64,
}

impl Context {
    /// On one node.
    pub(super) fn on_one_node(all: OwnComm, domain: Domain) -> Self {
        let all = Arc::new(all);
        domain.set_outside(Arc::clone(&all) as _);
        Context {
            domain: Arc::new(domain),
            all,
            remote: None,
        }
    }

    /// On several nodes, of which `node` has the ranks of this one.
    pub(super) fn on_nodes(
        all: OwnComm,
        node: OwnComm,
        carrier: Carrier,
        silence: Duration,
        domain: Domain,
    ) -> Self {
        Context {
            domain: Arc::new(domain),
            all: Arc::new(all),
            remote: Some(AcrossNodes {
                node,
                carrier,
                silence,
                objects: AtomicU64::new(0),
            }),
        }
    }

    pub(crate) fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    pub(crate) fn all(&self) -> &OwnComm {
        &self.all
    }

    /// Some if it spans nodes.
    pub(super) fn remote(&self) -> Option<&AcrossNodes> {
        self.remote.as_ref()
    }

    /// The transport of messages to other nodes, if there are any.
    pub(crate) fn carrier(&self) -> Option<&Carrier> {
        self.remote().map(|remote| &remote.carrier)
    }

    /// After what time a node that does not answer is lost; None if never.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let limit = self.remote()?.silence;
        Some(limit).filter(|limit| !limit.is_zero())
    }
}

/// The contexts of this process.
static CONTEXTS: Mutex<Vec<Weak<Context>>> = Mutex::new(Vec::new());

/// Adds a context to [`contexts`], and announces this rank's end in it before MPI is finalized.
pub(super) fn register(context: &Arc<Context>) {
    static AT_END: Once = Once::new();
    AT_END.call_once(|| attribute::first_at_end(announce_end));
    let mut contexts = lock(&CONTEXTS);
    contexts.retain(|context| context.strong_count() > 0);
    contexts.push(Arc::downgrade(context));
}

/// The contexts of this process that are in use.
pub(super) fn contexts() -> Vec<Arc<Context>> {
    lock(&CONTEXTS).iter().filter_map(Weak::upgrade).collect()
}

fn announce_end() {
    let panicked = thread::panicking() || end::has_panicked();
    for context in contexts() {
        context.domain().note_own_end(panicked);
    }
}

impl AcrossNodes {
    /// The number of the next object, which all ranks make together.
    pub(super) fn next_object(&self) -> u64 {
        self.objects.fetch_add(1, Ordering::Relaxed)
    }
}

/// On one node, only MPI is outside.
impl Outside for OwnComm {
    fn progress(&self) {
        if may_make_progress() {
            self.probe();
        }
    }
}
