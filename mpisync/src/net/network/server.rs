//! The server of a node: the services of all objects and their unfinished work.

use crate::net::envelope::{Address, To};
use crate::net::network::Network;
use crate::net::service::{ErasedService, Progress};
use crate::net::tail::Tail;
use crate::shm::block::Block;
use crate::shm::waiting::want::{Kept, Tally, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The objects of a communicator on its leader.
#[derive(Default)]
pub(super) struct Server {
    objects: BTreeMap<u64, Served>,
    /// The services with unfinished work.
    busy: BTreeSet<Address>,
    /// The number of calls at the last check for called services.
    calls: u32,
}

/// One object on this node.
#[derive(Default)]
struct Served {
    parts: BTreeMap<u8, Box<dyn ErasedService>>,
    /// None for an object that ends by [`Progress::Over`].
    memory: Option<Memory>,
}

/// The memory of an object, freed when all ranks of all nodes have dropped the object.
struct Memory {
    /// The server's view.
    block: Arc<Block>,
    home: u32,
    /// Whether the home node knows that this node's ranks have dropped the object.
    is_reported: bool,
    /// On the home node: how many nodes have dropped the object.
    dropped: u32,
}

impl Server {
    /// Begins to serve an object with memory.
    pub(super) fn keep(&mut self, object: u64, home: u32, block: Arc<Block>) {
        self.objects.entry(object).or_default().memory = Some(Memory {
            block,
            home,
            is_reported: false,
            dropped: 0,
        });
    }

    /// Begins to serve a part of an object.
    pub(super) fn serve(&mut self, address: Address, service: Box<dyn ErasedService>) {
        let object = self.objects.entry(address.object).or_default();
        object.parts.insert(address.part, service);
    }

    /// Ends a part of an object.
    pub(super) fn end(&mut self, address: Address) {
        if let Some(object) = self.objects.get_mut(&address.object) {
            object.parts.remove(&address.part);
        }
    }

    fn service(&mut self, address: Address) -> Option<&mut Box<dyn ErasedService>> {
        let object = self.objects.get_mut(&address.object)?;
        object.parts.get_mut(&address.part)
    }

    pub(super) fn receive(&mut self, address: Address, from: u32, message: Tail<'_>) {
        // None if all ranks of all nodes have dropped the object.
        if let Some(service) = self.service(address) {
            service.receive(from, message);
            self.go_on_with(address);
        }
    }

    fn go_on_with(&mut self, address: Address) {
        let progress = match self.service(address) {
            Some(service) => service.go_on(),
            None => Progress::Done,
        };
        match progress {
            Progress::Done => {
                self.busy.remove(&address);
            }
            Progress::Busy => {
                self.busy.insert(address);
            }
            Progress::Over => self.forget(address.object),
        }
    }

    /// Continues unfinished work and the services that ranks of this node have called. Returns
    /// whether there is more to do.
    pub(super) fn go_on(&mut self, net: &Network) -> bool {
        let calls = net.calls();
        if calls != self.calls {
            self.calls = calls;
            for (&object, served) in &self.objects {
                let called = served.parts.iter().filter(|(_, part)| part.is_called());
                let called = called.map(|(&part, _)| Address { object, part });
                self.busy.extend(called);
            }
        }
        let busy: Vec<Address> = self.busy.iter().copied().collect();
        for &address in &busy {
            self.go_on_with(address);
        }
        !self.busy.is_empty()
    }

    pub(super) fn inspect(&mut self, net: &Network) {
        let mut over = Vec::new();
        for (&object, served) in &mut self.objects {
            for (&part, service) in &mut served.parts {
                service.inspect();
                let address = Address { object, part };
                match service.go_on() {
                    // A service that was busy stays in `busy` until the next `go_on`.
                    Progress::Done => {}
                    Progress::Busy => {
                        self.busy.insert(address);
                    }
                    Progress::Over => over.push(object),
                }
            }
            if let Some(memory) = &mut served.memory
                && !memory.is_reported
                && memory.block.is_left_to_server()
            {
                memory.is_reported = true;
                let dropped = net.envelope(To::Dropped { object });
                net.send_to_leader(memory.home, dropped.to_bytes());
            }
        }
        for object in over {
            self.forget(object);
        }
    }

    /// On the home node: the ranks of one more node have dropped an object.
    pub(super) fn count_drop(&mut self, net: &Network, object: u64) {
        let served = self.objects.get_mut(&object);
        let Some(memory) = served.and_then(|served| served.memory.as_mut()) else {
            return;
        };
        memory.dropped += 1;
        if memory.dropped == net.nodes() {
            net.tell_other_leaders(To::Forget { object });
            self.forget(object);
        }
    }

    /// How much a rank of this node, which waits, keeps of what another rank wants of an object.
    pub(super) fn keeps(
        &self,
        object: u64,
        local_rank: usize,
        want: &Wanted,
        waits_here: bool,
    ) -> Kept {
        let parts = self.objects.get(&object).into_iter();
        let mut parts = parts.flat_map(|object| object.parts.values());
        let kept = parts.find_map(|part| {
            let kept = part.keeps(local_rank, want, waits_here);
            (kept.amount > 0).then_some(kept)
        });
        kept.unwrap_or_default()
    }

    /// What this node knows of something wanted of an object that any one of several ranks can give.
    pub(super) fn tally(&self, object: u64, want: &Wanted) -> Option<Tally> {
        let mut parts = self.objects.get(&object)?.parts.values();
        parts.find_map(|part| part.tally(want))
    }

    pub(super) fn forget(&mut self, object: u64) {
        self.objects.remove(&object);
        self.busy.retain(|address| address.object != object);
    }
}
