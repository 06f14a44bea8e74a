//! ShiftLock, from its publication: Gao, Wang and Shu, "ShiftLock: Mitigate One-sided RDMA Lock
//! Contention via Handover", FAST 2025.
//!
//! A lock is an entry of 16 bytes in the memory of one machine, which a network card changes in one
//! atomic operation: the tail of a queue of writers, a count of readers, a count of releases and a
//! mode. Writers queue as in an MCS lock and hand the lock over by a message to the successor, so
//! waiting writers use no network. A reader adds itself to the count; if there is a writer, it reads
//! the entry again and again until the mode changes. A writer changes the mode when no writer
//! follows it, or after a number of consecutive writers.
//!
//! Left out: leases and recovery, and the two attempts of the published program to take a free lock
//! by compare-and-swap before a writer queues, which cost less than a tenth in this simulation.

use crate::compare::network::{Network, Word};
use crate::compare::run::{Client, Design, Place};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// The time between two reads of a client that waits for the entry to change: the published
/// program's default, in nanoseconds.
const PAUSE: u64 = 1_862;

/// The locks, and what their clients know.
pub(super) struct ShiftLock<'a> {
    network: &'a Network,
    /// The number of consecutive writers after which readers are let in.
    writers: u32,
    entries: RefCell<HashMap<u64, Rc<Entry>>>,
    clients: Vec<Memory>,
}

/// A lock.
#[derive(Default)]
struct Entry {
    word: Word,
    state: Cell<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    mode: bool,
    readers: u64,
    /// The last writer of the queue.
    tail: Option<Client>,
    releases: u64,
}

/// The memory of a client, in which it receives messages.
#[derive(Default)]
struct Memory {
    successor: Cell<Option<Client>>,
    passed: Cell<Option<Passed>>,
    held: Cell<Option<Held>>,
}

/// The message of a predecessor.
#[derive(Clone, Copy)]
enum Passed {
    /// The lock.
    Lock(Held),
    /// The lock will be free when it has been released this often.
    After(Held),
}

/// What a writer knows of its lock.
#[derive(Clone, Copy)]
struct Held {
    mode: bool,
    releases: u64,
    /// The number of writers that handed the lock over since readers were let in.
    writers: u32,
}

impl<'a> ShiftLock<'a> {
    pub(super) fn new(network: &'a Network, clients: u32, writers: u32) -> Self {
        Self {
            network,
            writers,
            entries: RefCell::default(),
            clients: (0..clients).map(|_| Memory::default()).collect(),
        }
    }

    fn entry(&self, lock: Place) -> Rc<Entry> {
        let mut entries = self.entries.borrow_mut();
        Rc::clone(entries.entry(lock.number).or_default())
    }

    fn memory(&self, client: Client) -> &Memory {
        &self.clients[client.task]
    }

    /// Changes the entry at once, and returns its former state.
    async fn update(
        &self,
        lock: Place,
        entry: &Entry,
        change: impl FnOnce(State) -> State,
    ) -> State {
        let change = || entry.state.replace(change(entry.state.get()));
        self.network.atomic(lock.home, &entry.word, change).await
    }

    /// Reads the entry again and again.
    async fn poll(&self, lock: Place, entry: &Entry, is_ready: impl Fn(State) -> bool) {
        loop {
            let state = self.network.access(lock.home, || entry.state.get()).await;
            if is_ready(state) {
                return;
            }
            self.network.engine.sleep(PAUSE).await;
        }
    }

    /// Sends a message to another client.
    async fn tell(&self, client: Client, put: impl FnOnce(&Memory)) {
        let deliver = || {
            put(self.memory(client));
            self.network.engine.wake(client.task);
        };
        self.network.send(deliver).await;
    }

    /// Waits for a message of another client.
    async fn told<T>(&self, look: impl FnMut() -> Option<T>) -> T {
        let message = self.network.engine.wait(look).await;
        self.network.receive().await;
        message
    }

    async fn write(&self, me: Client, lock: Place) -> Held {
        let entry = self.entry(lock);
        let enqueue = |state| State {
            tail: Some(me),
            ..state
        };
        let before = self.update(lock, &entry, enqueue).await;
        let held = match before.tail {
            Some(predecessor) => {
                let link = |memory: &Memory| memory.successor.set(Some(me));
                self.tell(predecessor, link).await;
                match self.told(|| self.memory(me).passed.take()).await {
                    Passed::Lock(held) => return held,
                    Passed::After(held) => held,
                }
            }
            None => Held {
                mode: before.mode,
                releases: before.releases + before.readers,
                writers: 0,
            },
        };
        if before.releases != held.releases {
            let have_left = |state: State| state.releases == held.releases;
            self.poll(lock, &entry, have_left).await;
        }
        held
    }

    async fn release_write(&self, me: Client, lock: Place) {
        let entry = self.entry(lock);
        let memory = self.memory(me);
        let held = memory.held.take().expect("it has the lock");
        let let_readers_in = |tail| {
            move |state| State {
                mode: !held.mode,
                releases: held.releases + 1,
                tail,
                ..state
            }
        };
        if memory.successor.get().is_none() {
            let leave = |state: State| match state.tail == Some(me) {
                true => let_readers_in(None)(state),
                false => state,
            };
            if self.update(lock, &entry, leave).await.tail == Some(me) {
                return;
            }
        }
        let successor = || self.told(|| memory.successor.take());
        let writers = held.writers + 1;
        if writers < self.writers {
            let passed = Passed::Lock(Held { writers, ..held });
            let put = |memory: &Memory| memory.passed.set(Some(passed));
            return self.tell(successor().await, put).await;
        }
        let change = |state: State| let_readers_in(state.tail)(state);
        let before = self.update(lock, &entry, change).await;
        let passed = Passed::After(Held {
            mode: !held.mode,
            releases: held.releases + 1 + before.readers,
            writers: 0,
        });
        let put = |memory: &Memory| memory.passed.set(Some(passed));
        self.tell(successor().await, put).await;
    }
}

impl Design for ShiftLock<'_> {
    const NAME: &'static str = "ShiftLock";

    async fn acquire(&self, me: Client, lock: Place, writes: bool) {
        if writes {
            let held = self.write(me, lock).await;
            self.memory(me).held.set(Some(held));
            return;
        }
        let entry = self.entry(lock);
        let enter = |state: State| State {
            readers: state.readers + 1,
            ..state
        };
        let before = self.update(lock, &entry, enter).await;
        if before.tail.is_some() {
            self.network.engine.sleep(PAUSE).await;
            let has_changed = |state: State| state.mode != before.mode;
            self.poll(lock, &entry, has_changed).await;
        }
    }

    async fn release(&self, me: Client, lock: Place, writes: bool) {
        if writes {
            return self.release_write(me, lock).await;
        }
        let leave = |state: State| State {
            readers: state.readers - 1,
            releases: state.releases + 1,
            ..state
        };
        self.update(lock, &self.entry(lock), leave).await;
    }
}
