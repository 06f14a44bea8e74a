//! Machines whose network cards read and change the memory of other machines.

use crate::compare::engine::Engine;
use std::cell::Cell;

/// The costs of operations in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    /// A one-sided operation on an idle network: to the other machine and back.
    pub(super) one_sided: u64,
    /// The time of a network card for an operation that arrives, which it does nothing else in.
    pub(super) card: u64,
    /// The time of an atomic operation in which no other one changes the same word.
    pub(super) same_word: u64,
    /// The time that a message takes the threads that send and receive it.
    pub(super) overhead: u64,
    /// Taking or releasing a lock in a machine's own memory, without contention.
    pub(super) local: u64,
    /// The time from a release in a machine's own memory until a waiting client has seen it.
    pub(super) handover: u64,
}

/// ShiftLock's testbed, as far as it follows from the published measurements (see the
/// documentation of this comparison), and the simulator's costs of memory and messages.
impl Default for Costs {
    fn default() -> Self {
        Self {
            one_sided: 2_350,
            card: 30,
            same_word: 500,
            overhead: 150,
            local: 10,
            handover: 200,
        }
    }
}

/// A word that is changed by atomic operations of a network card.
#[derive(Default)]
pub(super) struct Word {
    free_at: Cell<u64>,
}

/// The machines.
pub(super) struct Network {
    pub(super) engine: Engine,
    pub(super) costs: Costs,
    /// When the card of each machine is free.
    cards: Vec<Cell<u64>>,
    /// The number of one-sided operations, and of messages for threads.
    pub(super) one_sided: Cell<u64>,
    pub(super) messages: Cell<u64>,
}

impl Network {
    pub(super) fn new(costs: Costs, machines: u32) -> Self {
        Self {
            engine: Engine::default(),
            costs,
            cards: (0..machines).map(|_| Cell::default()).collect(),
            one_sided: Cell::default(),
            messages: Cell::default(),
        }
    }

    /// The time from one machine to another.
    pub(super) fn one_way(&self) -> u64 {
        self.costs.one_sided / 2
    }

    /// Changes a word of a machine, also of its own, by the machine's card.
    pub(super) async fn atomic<T>(
        &self,
        machine: u32,
        word: &Word,
        operation: impl FnOnce() -> T,
    ) -> T {
        self.one_sided.set(self.one_sided.get() + 1);
        let at = self.arrive(machine).max(word.free_at.get());
        word.free_at.set(at + self.costs.same_word);
        self.perform(at, operation).await
    }

    /// Reads or writes memory of a machine, also of its own, by the machine's card.
    pub(super) async fn access<T>(&self, machine: u32, operation: impl FnOnce() -> T) -> T {
        self.one_sided.set(self.one_sided.get() + 1);
        self.perform(self.arrive(machine), operation).await
    }

    /// Sends a message to a thread of another machine, and returns the time of its arrival. The
    /// receiver calls [`Self::receive`]. The threads are slower than the cards, so messages do not
    /// wait for cards.
    pub(super) async fn post(&self) -> u64 {
        self.messages.set(self.messages.get() + 1);
        self.engine.sleep(self.costs.overhead).await;
        self.engine.now() + self.one_way()
    }

    /// Sends a message, and waits until the sender knows that it has arrived.
    pub(super) async fn send(&self, deliver: impl FnOnce()) {
        let at = self.post().await;
        self.perform(at, deliver).await;
    }

    /// Handles a message that has arrived.
    pub(super) async fn receive(&self) {
        self.engine.sleep(self.costs.overhead).await;
    }

    /// When the card of a machine performs an operation that is issued now. The distance is the same
    /// for all machines, so operations arrive in the order in which they are issued.
    fn arrive(&self, machine: u32) -> u64 {
        let card = &self.cards[machine as usize];
        let at = (self.engine.now() + self.one_way()).max(card.get());
        card.set(at + self.costs.card);
        at
    }

    async fn perform<T>(&self, at: u64, operation: impl FnOnce() -> T) -> T {
        self.engine.until(at).await;
        let value = operation();
        self.engine.sleep(self.one_way()).await;
        value
    }
}
