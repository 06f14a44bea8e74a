//! What ranks on different nodes have to do with each other: messages, and an agent on each node that answers them.
//!
//! Every rank has a [`Hub`] for each communicator that spans nodes. The lowest rank of a node, its leader, also has the
//! node's [`agent`](agent::Agent), which acts for the node whether or not its ranks are inside mpisync: it closes gates,
//! hands turns over, fills mailboxes and boards. Messages are handled by whichever thread of the leader polls first:
//! one that waits for something, or the progress [`thread`].

mod agent;
mod channels;
mod errand;
mod message;
mod schedule;
mod thread;

use crate::lock::cluster::site::{Asker, LockWord};
use crate::lock::cluster::standing::{Standing, Turn};
use crate::lock::cluster::tier::Tier;
use crate::memory::annex::Annex;
use crate::memory::block::Block;
use crate::memory::domain::Domain;
use crate::memory::lock;
use crate::memory::mapping::Mapping;
use crate::memory::mpi::Handler;
use crate::memory::topology::Topology;
use crate::memory::words::board::NoteData;
#[cfg(feature = "region")]
use crate::memory::{copy::CopyBytes, mpi::Piece};
use crate::rounds::{Ballot, RoundWord};
use crate::share::Call;
use agent::Agent;
pub(crate) use channels::Channel;
pub(crate) use errand::tell_news;
use message::Message;
pub(crate) use message::{Reason, Reply, Word};
use std::collections::HashMap;
#[cfg(feature = "region")]
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One communicator that spans nodes, as one rank sees it.
pub(crate) struct Hub {
    domain: Arc<Domain>,
    /// What this rank has under way, by the controller's number.
    desks: Mutex<HashMap<u64, Arc<Desk>>>,
    /// On the leader.
    agent: Mutex<Option<Agent>>,
    /// Notes that came before those of the meeting before.
    early: Mutex<Vec<(u64, Notes)>>,
    /// When the agent looked last after what does not announce itself.
    inspected: Mutex<Instant>,
}

/// How often the agents do.
const INSPECTION: Duration = Duration::from_millis(200);

/// What ranks of one node have written for a meeting, by rank.
type Notes = Vec<(u32, NoteData<'static>)>;

/// What one rank waits for, from other nodes, on one controller.
#[derive(Default)]
pub(crate) struct Desk {
    /// How many nodes have answered to a close: its count in the upper half, their number below.
    answers: AtomicU64,
    /// How many nodes have taken over this rank's last change of the region: its number in the upper half, theirs below.
    #[cfg(feature = "region")]
    changes: AtomicU64,
    /// For the last calls of even and of odd number that this rank wrote in, 0 if none: how many nodes have taken the value
    /// over.
    accepted: Mutex<[(u64, u32); 2]>,
    /// Why the rank that this one asked about shares nothing, and in which call.
    answer: Mutex<Option<(u64, Reason)>>,
    /// When this rank asked last.
    asked: Mutex<Option<Instant>>,
    /// Which ranks of which node have not come to a barrier, by request.
    missing: Mutex<Vec<(u32, u32, Vec<u32>)>>,
    /// What ranks of other nodes make of what their team does, by rank and round.
    votes: Mutex<Vec<(u32, u64, Ballot)>>,
    /// The number of this rank's last request to the object's home node.
    request: AtomicU32,
    /// And what was replied to which one.
    replies: Mutex<Vec<(u32, Reply)>>,
}

impl Desk {
    /// Whether `nodes` have taken over what this rank shared last where the record of `call` is, in the epoch of `call`.
    pub(crate) fn is_accepted(&self, call: Call, nodes: u32) -> bool {
        let (shared, accepted) = lock(&self.accepted)[(call.0 % 2) as usize];
        shared == 0 || !call.is_in_epoch_of(Call(shared)) || accepted >= nodes
    }

    /// Begins to count the nodes that take over what is shared in `call`.
    pub(crate) fn expect_acceptance(&self, call: u64) {
        lock(&self.accepted)[(call % 2) as usize] = (call, 0);
    }

    fn accept(&self, call: u64) {
        let accepted = &mut lock(&self.accepted)[(call % 2) as usize];
        if accepted.0 == call {
            accepted.1 += 1;
        }
    }

    /// Why the rank that this one has asked about shares nothing in `call`, if it is known.
    pub(crate) fn answer(&self, call: u64) -> Option<Reason> {
        lock(&self.answer)
            .filter(|answer| answer.0 == call)
            .map(|answer| answer.1)
    }

    /// Begins to ask the object's home node for something; the request's number.
    pub(crate) fn begin_request(&self) -> u32 {
        self.request.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Which ranks of which nodes are missing in a barrier, as far as they have answered this request.
    pub(crate) fn missing(&self, request: u32) -> Vec<(u32, Vec<u32>)> {
        let mut answers = lock(&self.missing);
        answers.retain(|(answered, ..)| *answered == request);
        let of_node = |(_, node, ranks): &(u32, u32, Vec<u32>)| (*node, ranks.clone());
        answers.iter().map(of_node).collect()
    }

    /// What a rank of another node makes of a round, or that it takes no part any more. What was said of rounds before is
    /// forgotten.
    pub(crate) fn ballot(&self, rank: u32, round: u64) -> Option<Ballot> {
        let mut votes = lock(&self.votes);
        votes
            .retain(|(_, of, ballot)| *of >= round || round == u64::MAX || *ballot == Ballot::Left);
        let of_round = votes.iter().find(|vote| (vote.0, vote.1) == (rank, round));
        let left = || (votes.iter()).find(|vote| vote.0 == rank && vote.2 == Ballot::Left);
        of_round.or_else(left).map(|vote| vote.2.clone())
    }

    /// The next reply to a request, if it has come. Those to requests before it are forgotten.
    pub(crate) fn take_reply(&self, request: u32) -> Option<Reply> {
        let mut replies = lock(&self.replies);
        replies.retain(|(to, _)| *to == request);
        (!replies.is_empty()).then(|| replies.remove(0).1)
    }

    /// Begins to count the answers to a close.
    pub(crate) fn expect_answers(&self, count: u32) {
        self.answers
            .store(u64::from(count) << 32, Ordering::Relaxed);
    }

    /// How many nodes have answered to the close with this count.
    pub(crate) fn answers(&self, count: u32) -> u32 {
        counted(&self.answers, count)
    }

    /// Begins to count the nodes that take over the next change; its number.
    #[cfg(feature = "region")]
    pub(crate) fn begin_change(&self) -> u32 {
        let last = (self.changes.load(Ordering::Relaxed) >> 32) as u32;
        let number = last.wrapping_add(1);
        self.changes
            .store(u64::from(number) << 32, Ordering::Relaxed);
        number
    }

    /// How many nodes have taken over the change of this number.
    #[cfg(feature = "region")]
    pub(crate) fn changes_taken(&self, number: u32) -> u32 {
        counted(&self.changes, number)
    }

    /// Whether it is time to ask what another rank does.
    pub(crate) fn may_ask(&self) -> bool {
        const INTERVAL: Duration = Duration::from_millis(50);
        let mut asked = lock(&self.asked);
        let is_time = asked.is_none_or(|asked| asked.elapsed() >= INTERVAL);
        if is_time {
            *asked = Some(Instant::now());
        }
        is_time
    }
}

/// What a word has counted for what it is about now, its upper half; 0 for anything before.
fn counted(word: &AtomicU64, about: u32) -> u32 {
    let counted = word.load(Ordering::Acquire);
    if (counted >> 32) as u32 == about {
        counted as u32
    } else {
        0
    }
}

/// Counts one more, unless it is about something that was given up.
fn count(word: &AtomicU64, about: u32) {
    let _ = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |counted| {
        ((counted >> 32) as u32 == about).then_some(counted + 1)
    });
}

impl Hub {
    /// Begins to handle messages of `domain`, whose ranks do so together.
    pub(crate) fn open(domain: &Arc<Domain>) -> Arc<Self> {
        let leads = domain.topology().is_leader();
        let hub = Arc::new(Hub {
            domain: Arc::clone(domain),
            desks: Mutex::default(),
            agent: Mutex::new(leads.then(Agent::default)),
            early: Mutex::default(),
            inspected: Mutex::new(Instant::now()),
        });
        domain.set_handler(Box::new(Arc::clone(&hub)));
        thread::register(&hub);
        hub
    }

    pub(crate) fn topology(&self) -> &Topology {
        self.domain.topology()
    }

    pub(crate) fn rank(&self) -> u32 {
        self.topology().rank()
    }

    pub(crate) fn node(&self) -> u32 {
        self.topology().node()
    }

    pub(crate) fn nodes(&self) -> u32 {
        self.topology().nodes()
    }

    /// Sends a word about a controller to the leader of another node; does not wait.
    pub(crate) fn tell(&self, node: u32, number: u64, word: Word) {
        self.tell_rank(self.topology().leader(node), number, word);
    }

    /// Sends a word about a controller to a rank; does not wait.
    pub(crate) fn tell_rank(&self, rank: u32, number: u64, word: Word) {
        self.send(rank, &Message::On(number, word));
    }

    /// Replies to a rank's request about an object.
    pub(crate) fn reply(&self, asker: u32, number: u64, request: u32, reply: Reply) {
        self.tell_rank(asker, number, Word::Reply { request, reply });
    }

    /// Tells the leaders of all other nodes what this node's ranks have posted for a meeting.
    pub(crate) fn pass_notes(&self, number: u64, notes: Notes) {
        self.send_to_others(&Message::Notes { number, notes });
    }

    fn send_to_others(&self, message: &Message) {
        let bytes = message.to_bytes();
        for node in self.topology().other_nodes() {
            self.domain
                .send(self.topology().leader(node), bytes.clone());
        }
    }

    fn send(&self, rank: u32, message: &Message) {
        let bytes = message.to_bytes();
        if rank == self.rank() {
            // From the agent to a rank of the same process.
            return self.handle(&bytes);
        }
        self.domain.send(rank, bytes);
    }

    /// Begins to take part in a controller: as a rank, and on the leader also as the node's agent. A region also has items, in
    /// memory of this node.
    pub(crate) fn join(
        self: &Arc<Self>,
        number: u64,
        home: u32,
        handovers: u32,
        agent: Option<Block>,
        items: Option<Arc<Mapping>>,
        annex: &Annex,
    ) -> Tier {
        let desk = Arc::new(Desk::default());
        let tier = |desk: &Arc<Desk>| Tier {
            hub: Arc::clone(self),
            number,
            desk: Arc::clone(desk),
            handovers,
            home,
        };
        lock(&self.desks).insert(number, Arc::clone(&desk));
        if let Some(block) = agent {
            if home == self.node() {
                // The queue begins here.
                let turn = Turn::default();
                let owner = Standing::Owner { turn, row: 0 };
                block.station().set_standing(&owner);
            }
            let mut agent = lock(&self.agent);
            let agent = agent.as_mut().expect("the leader has one");
            agent.take_on(number, block, tier(&Arc::default()), items, annex);
        }
        tier(&desk)
    }

    /// Lets go of the memory of a region that no rank uses any more; on the leader, for the node's agent has it too.
    #[cfg(feature = "region")]
    pub(crate) fn give_items_back(&self, number: u64) {
        if let Some(agent) = lock(&self.agent).as_mut() {
            agent.give_items_back(number);
        }
    }

    /// Has the agent of this node, whose leader this is, take part in a channel.
    pub(crate) fn join_channel(&self, number: u64, channel: Channel) {
        let mut agent = lock(&self.agent);
        let agent = agent.as_mut().expect("the leader has one");
        agent.take_on_channel(number, channel);
    }

    /// How often ranks of this node have called the agent.
    fn calls(&self) -> u32 {
        let call = self.domain.segment().call();
        call.word.load(Ordering::SeqCst)
    }

    /// Ends this rank's part in a controller.
    pub(crate) fn leave(&self, number: u64) {
        lock(&self.desks).remove(&number);
    }

    /// The rank of who asks: a writer, or the leader whose agent does.
    #[cfg(feature = "region")]
    pub(crate) fn rank_of(&self, asker: Asker) -> u32 {
        match asker {
            Asker::Writer(rank) => rank,
            Asker::Agent(node) => self.topology().leader(node),
        }
    }

    /// Whether this rank still runs, as far as is known.
    #[cfg(feature = "region")]
    pub(crate) fn is_alive(&self, rank: u32) -> bool {
        self.domain.rank_is_alive(rank as usize)
    }

    /// Sends a word to the leader of another node, and beside it the bytes in `place`.
    #[cfg(feature = "region")]
    pub(crate) fn send_piece(
        &self,
        node: u32,
        number: u64,
        word: Word,
        bytes: &CopyBytes,
        place: Range<usize>,
    ) -> Piece {
        let message = Message::On(number, word).to_bytes();
        let leader = self.topology().leader(node);
        self.domain.send_piece(leader, message, bytes, place)
    }

    /// Begins to receive the bytes beside a word that has come from `rank`.
    #[cfg(feature = "region")]
    pub(crate) fn receive_piece(&self, rank: u32, bytes: &CopyBytes, place: Range<usize>) -> Piece {
        self.domain.receive_piece(rank, bytes, place)
    }

    /// Handles the messages that have come; whether there were any.
    pub(crate) fn poll(&self) -> bool {
        self.domain.poll()
    }

    /// Whether a thread polls that waits for something.
    fn is_attended(&self) -> bool {
        self.domain.is_attended()
    }

    fn handle(&self, bytes: &[u8]) {
        let message = postcard::from_bytes(bytes).expect("as it was sent by the same program");
        match message {
            Message::On(number, word) => self.receive_word(number, word),
            Message::Notes { number, notes } => self.receive_notes(number, notes),
            Message::Dead { rank } => self.domain.note_death(rank),
        }
    }

    /// Posts notes in the order of the meetings: they may have been sent by different ranks of a node, and so arrive in
    /// any order.
    fn receive_notes(&self, number: u64, notes: Notes) {
        let mut early = lock(&self.early);
        early.push((number, notes));
        let is_next = |(number, notes): &(u64, Notes)| {
            let posted = |rank: u32| &self.domain.board(rank as usize).posted;
            let first = notes.first();
            first.is_none_or(|(rank, _)| posted(*rank).load(Ordering::Relaxed) + 1 == *number)
        };
        while let Some(index) = early.iter().position(is_next) {
            let (number, notes) = early.swap_remove(index);
            self.domain.post_far(number, &notes);
        }
    }

    fn receive_word(&self, number: u64, word: Word) {
        let desk = || lock(&self.desks).get(&number).cloned();
        match word {
            Word::Lock(LockWord::Drained {
                count,
                asker: Asker::Writer(_),
            }) => {
                if let Some(desk) = desk() {
                    self::count(&desk.answers, count);
                }
            }
            #[cfg(feature = "region")]
            Word::Changed {
                number,
                asker: Asker::Writer(_),
            } => {
                if let Some(desk) = desk() {
                    count(&desk.changes, number);
                }
            }
            Word::Round(RoundWord::Vote {
                rank,
                round,
                ballot,
            }) => {
                if let Some(desk) = desk() {
                    lock(&desk.votes).push((rank, round, ballot));
                }
            }
            Word::Reply { request, reply } => {
                if let Some(desk) = desk() {
                    lock(&desk.replies).push((request, reply));
                }
            }
            Word::Round(RoundWord::Missing {
                request,
                node,
                ranks,
            }) => {
                if let Some(desk) = desk() {
                    lock(&desk.missing).push((request, node, ranks));
                }
            }
            Word::Accepted { call } => {
                if let Some(desk) = desk() {
                    desk.accept(call);
                }
            }
            Word::Answer { call, reason } => {
                if let Some(desk) = desk() {
                    *lock(&desk.answer) = Some((call, reason));
                }
            }
            word => {
                if let Some(agent) = lock(&self.agent).as_mut() {
                    agent.handle(self, number, word);
                }
            }
        }
    }

    /// What the agent has to come back to, and now and then what nobody tells it of; whether there is more of it.
    pub(crate) fn go_on(&self) -> bool {
        let is_time = {
            let mut inspected = lock(&self.inspected);
            let is_time = inspected.elapsed() >= INSPECTION;
            if is_time {
                *inspected = Instant::now();
            }
            is_time
        };
        if is_time {
            self.inspect();
        }
        lock(&self.agent)
            .as_mut()
            .is_some_and(|agent| agent.tend(self))
    }

    /// Ranks that died, controllers that nobody uses any more.
    fn inspect(&self) {
        if let Some(agent) = lock(&self.agent).as_mut() {
            for rank in self.domain.newly_dead() {
                self.send_to_others(&Message::Dead { rank });
            }
            agent.inspect(self);
        }
    }
}

impl Handler for Arc<Hub> {
    fn receive(&self, bytes: &[u8]) {
        self.handle(bytes);
    }

    fn tend(&self) -> bool {
        self.go_on()
    }
}
