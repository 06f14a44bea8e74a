//! The lock of this library: its own protocol, as on real nodes, for each lock of a table.
//!
//! Clients read and write the lock's memory on their own machine. Between machines they send
//! messages, which a server, one on each machine for all locks, handles one at a time.

use crate::clock::{Clock, Random};
use crate::compare::engine::{Program, Task};
use crate::compare::network::Network;
use crate::compare::run::{Client, Design, Place, Workload};
use crate::compare::server::Inboxes;
use crate::rwlock::global::node_server::NodeServer;
use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::token::{QueueState, Token};
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::version::Version;
use crate::rwlock::global::writer::{self, Drain, Next};
use crate::rwlock::node::Closed;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// The locks, and the servers of all machines.
pub(super) struct Ours<'a> {
    network: &'a Network,
    workload: &'a Workload,
    locks: RefCell<HashMap<u64, Rc<Lock>>>,
    /// Messages that arrive, and locks to look at again.
    servers: Inboxes<'a, (Place, Option<LockMessage>)>,
}

struct Lock {
    /// At the home node.
    tail: Cell<Option<Node>>,
    nodes: Vec<NodeMemory>,
}

/// The memory of a lock on one node.
struct NodeMemory {
    queue_state: Cell<QueueState>,
    successor: Cell<Option<Node>>,
    granted: Cell<Option<Token>>,
    turn: Cell<Option<Turn>>,
    /// The clients that wait for the turn.
    queue: RefCell<VecDeque<Task>>,
    openings: Cell<u32>,
    closed: Cell<bool>,
    readers: Cell<u32>,
    /// The readers that wait for the gate.
    outside: RefCell<Vec<Task>>,
    /// The number of the close, and how many nodes have answered it.
    answers: Cell<(u32, u32)>,
    /// Answers that the writer has not read yet.
    unread: RefCell<Clock<u32>>,
    server: RefCell<NodeServer>,
    /// Whether the server has unfinished work.
    busy: Cell<bool>,
}

/// Who has the node's turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Client(Task),
    Server,
}

impl Lock {
    /// A lock whose token is on the node `owner`.
    fn new(nodes: u32, owner: Node) -> Self {
        let state = |node| match node == owner {
            true => QueueState::Owner {
                token: Token::default(),
                handovers: 0,
            },
            false => QueueState::Idle,
        };
        Self {
            tail: Cell::new(Some(owner)),
            nodes: (0..nodes).map(state).map(NodeMemory::new).collect(),
        }
    }
}

impl NodeMemory {
    fn new(queue_state: QueueState) -> Self {
        Self {
            queue_state: Cell::new(queue_state),
            successor: Cell::default(),
            granted: Cell::default(),
            turn: Cell::default(),
            queue: RefCell::default(),
            openings: Cell::default(),
            closed: Cell::default(),
            readers: Cell::default(),
            outside: RefCell::default(),
            answers: Cell::default(),
            unread: RefCell::default(),
            server: RefCell::default(),
            busy: Cell::default(),
        }
    }
}

impl<'a> Ours<'a> {
    pub(super) fn new(network: &'a Network, workload: &'a Workload) -> Self {
        Self {
            network,
            workload,
            locks: RefCell::default(),
            servers: Inboxes::new(network, workload),
        }
    }

    /// A lock that nobody has used yet was last used by a client of its home, or, if there is none,
    /// of any machine.
    fn lock(&self, place: Place) -> Rc<Lock> {
        let mut locks = self.locks.borrow_mut();
        let lock = locks.entry(place.number).or_insert_with(|| {
            let any = Random(place.number).below(self.workload.machines.into()) as u32;
            let owner = match self.workload.has_lock_machine {
                true => any,
                false => place.home,
            };
            Rc::new(Lock::new(self.workload.all_machines(), owner))
        });
        Rc::clone(lock)
    }

    fn view<'b>(&'b self, place: Place, lock: &'b Lock, node: Node) -> View<'b> {
        View {
            ours: self,
            place,
            lock,
            node,
            worked: Cell::default(),
        }
    }

    async fn serve(&self, node: Node) {
        loop {
            let (place, message) = self.servers.next(node).await;
            if message.is_some() {
                self.network.receive().await;
            }
            let lock = self.lock(place);
            let view = self.view(place, &lock, node);
            let here = view.here();
            {
                let mut server = here.server.borrow_mut();
                if let Some(message) = message {
                    server.handle(&view, message);
                }
                here.busy.set(server.go_on(&view));
            }
            view.wake_writer();
            view.spend().await;
        }
    }

    async fn write(&self, me: Client, view: &View<'_>) {
        let (engine, costs, here) = (&self.network.engine, &self.network.costs, view.here());
        engine.sleep(costs.local).await;
        let mine = Turn::Client(me.task);
        if here.turn.get().is_some() {
            here.queue.borrow_mut().push_back(me.task);
            let has_turn = || (here.turn.get() == Some(mine)).then_some(());
            engine.wait(has_turn).await;
            engine.sleep(costs.handover).await;
        } else {
            here.turn.set(Some(mine));
        }
        loop {
            let next = writer::advance(view);
            view.spend().await;
            match next {
                Next::Enter => return,
                Next::AwaitToken => {
                    let token = engine.wait(|| here.granted.take()).await;
                    writer::receive(view, token);
                }
                Next::AwaitReaders(drain) => {
                    self.drain(view, drain).await;
                    writer::note_drained(view);
                }
                Next::GiveUp(_) => unreachable!("no rank dies here"),
            }
        }
    }

    /// Waits until all readers have left.
    async fn drain(&self, view: &View<'_>, drain: Drain) {
        let (engine, here) = (&self.network.engine, view.here());
        loop {
            let answer = engine.wait(|| match writer::have_drained(view, drain) {
                true => Some(None),
                false => here.unread.borrow_mut().next_by(engine.now()).map(Some),
            });
            let Some(count) = answer.await else {
                return;
            };
            self.network.receive().await;
            let (expected, answers) = here.answers.get();
            if count == expected {
                here.answers.set((expected, answers + 1));
            }
        }
    }

    async fn read(&self, me: Client, view: &View<'_>) {
        let (engine, costs, here) = (&self.network.engine, &self.network.costs, view.here());
        engine.sleep(costs.local).await;
        while here.closed.get() {
            here.outside.borrow_mut().push(me.task);
            engine.wait(|| (!here.closed.get()).then_some(())).await;
            engine.sleep(costs.handover).await;
        }
        here.readers.set(here.readers.get() + 1);
    }
}

impl Design for Ours<'_> {
    const NAME: &'static str = "mpisync lock";

    async fn acquire(&self, me: Client, place: Place, writes: bool) {
        let lock = self.lock(place);
        let view = self.view(place, &lock, me.machine);
        match writes {
            true => self.write(me, &view).await,
            false => self.read(me, &view).await,
        }
    }

    async fn release(&self, me: Client, place: Place, writes: bool) {
        let lock = self.lock(place);
        let view = self.view(place, &lock, me.machine);
        let here = view.here();
        self.network.engine.sleep(self.network.costs.local).await;
        if writes {
            writer::release(&view);
        } else {
            here.readers.set(here.readers.get() - 1);
            view.wake_writer();
        }
        if here.busy.get() {
            let now = self.network.engine.now();
            self.servers.put(me.machine, now, (place, None));
        }
        view.spend().await;
    }

    fn servers(&self) -> Vec<Program<'_>> {
        let nodes = 0..self.workload.all_machines();
        nodes
            .map(|node| Box::pin(self.serve(node)) as Program<'_>)
            .collect()
    }
}

/// A lock on a node, as its writer or its server sees it.
struct View<'a> {
    ours: &'a Ours<'a>,
    place: Place,
    lock: &'a Lock,
    node: Node,
    /// The time that its messages took, and that has not passed yet.
    worked: Cell<u64>,
}

impl View<'_> {
    fn here(&self) -> &NodeMemory {
        &self.lock.nodes[self.node as usize]
    }

    /// Lets the time pass that its messages took.
    async fn spend(&self) {
        self.ours.network.engine.sleep(self.worked.take()).await;
    }

    /// The time up to which it has worked.
    fn now(&self) -> u64 {
        self.ours.network.engine.now() + self.worked.get()
    }

    /// Something has changed that the writer may wait for.
    fn wake_writer(&self) {
        if let Some(Turn::Client(task)) = self.here().turn.get() {
            self.ours.network.engine.wake(task);
        }
    }

    /// When a message arrives that is sent now.
    fn sent(&self) -> u64 {
        let network = self.ours.network;
        self.worked.set(self.worked.get() + network.costs.overhead);
        network.messages.set(network.messages.get() + 1);
        self.now() + network.one_way()
    }
}

impl Site for View<'_> {
    fn node(&self) -> Node {
        self.node
    }

    fn nodes(&self) -> u32 {
        self.ours.workload.all_machines()
    }

    fn home(&self) -> Node {
        self.place.home
    }

    fn max_local_handovers(&self) -> u32 {
        self.ours.workload.handovers
    }

    fn queue_state(&self) -> QueueState {
        self.here().queue_state.get()
    }

    fn set_queue_state(&self, state: &QueueState) {
        self.here().queue_state.set(*state);
    }

    fn take_successor(&self) -> Option<Node> {
        self.here().successor.take()
    }

    fn take_granted(&self) -> Option<Token> {
        self.here().granted.take()
    }

    fn pass_turn(&self) {
        let next = self.here().queue.borrow_mut().pop_front();
        self.here().turn.set(next.map(Turn::Client));
        if let Some(task) = next {
            self.ours.network.engine.wake_at(self.now(), task);
        }
    }

    fn writers_wait(&self) -> bool {
        !self.here().queue.borrow().is_empty()
    }

    fn try_turn(&self) -> bool {
        let is_free = self.here().turn.get().is_none();
        if is_free {
            self.here().turn.set(Some(Turn::Server));
        }
        is_free
    }

    fn successor(&self) -> Option<Node> {
        self.here().successor.get()
    }

    fn has_arrived(&self) -> bool {
        self.here().granted.get().is_some()
    }

    fn exchange_tail(&self, node: Node) -> Option<Node> {
        self.lock.tail.replace(Some(node))
    }

    fn set_successor(&self, node: Node) {
        self.here().successor.set(Some(node));
    }

    fn put_granted(&self, token: &Token) {
        self.here().granted.set(Some(*token));
    }

    fn close_gate(&self, count: u32) -> Option<Closed> {
        let here = self.here();
        if here.openings.get() > count {
            return None;
        }
        here.openings.set(count);
        here.closed.set(true);
        Some(Closed { openings: count })
    }

    fn open_gate(&self, count: u32) {
        let here = self.here();
        if here.openings.get() < count {
            here.openings.set(count);
            here.closed.set(false);
            for task in here.outside.take() {
                self.ours.network.engine.wake_at(self.now(), task);
            }
        }
    }

    fn readers_have_left(&self, closed: Closed) -> bool {
        let here = self.here();
        here.openings.get() == closed.openings && here.readers.get() == 0
    }

    /// There are no data.
    fn version(&self) -> Version {
        Version::default()
    }

    fn asker(&self) -> Asker {
        Asker::Writer(self.node)
    }

    fn expect_answers(&self, count: u32) {
        self.here().answers.set((count, 0));
    }

    fn answers(&self, count: u32) -> u32 {
        let (expected, answers) = self.here().answers.get();
        if expected == count { answers } else { 0 }
    }

    fn send(&self, node: Node, message: LockMessage) {
        let at = self.sent();
        let message = (self.place, Some(message));
        self.ours.servers.put(node, at, message);
    }

    fn answer(&self, asker: Asker, count: u32) {
        let node = match asker {
            Asker::Server(node) => return self.send(node, LockMessage::Drained { count, asker }),
            Asker::Writer(node) => node,
        };
        let at = self.sent();
        let there = &self.lock.nodes[node as usize];
        there.unread.borrow_mut().set(at, count);
        if let Some(Turn::Client(task)) = there.turn.get() {
            self.ours.network.engine.wake_at(at, task);
        }
    }
}
