//! Requests to an object's home node, and the replies.

use crate::net::{Client, Link, Message, Port, Service};
use crate::shm::absence::HostLoss;
use crate::shm::atomic::{AtomicU32, Ordering};
use crate::shm::block::Block;
use crate::shm::lock;
use crate::shm::wait::{Deadline, Stop, Surroundings, wait_for_answer};
use crate::shm::waiting::{Awaited, Call};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

/// A request from a rank to the service on an object's home node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request<Q> {
    /// None if no reply is expected.
    pub(crate) number: Option<u32>,
    pub(crate) question: Q,
}

#[derive(Debug, Serialize, Deserialize)]
struct Reply<A> {
    /// The number of the request.
    number: u32,
    answer: A,
}

impl<Q: Message> Message for Request<Q> {
    fn size(&self) -> usize {
        self.question.size()
    }
}

impl<A: Message> Message for Reply<A> {
    fn size(&self) -> usize {
        self.answer.size()
    }
}

impl Port {
    /// As a service: replies to a request of `rank`. Does not wait.
    pub(crate) fn reply(&self, rank: u32, number: u32, answer: impl Message) {
        self.send_to_rank(rank, &Reply { number, answer });
    }
}

/// The service on an object's home node, which answers questions `Q` with `A`.
pub(crate) struct Remote<Q, A> {
    port: Port,
    home: u32,
    pending: Arc<Pending<A>>,
    /// The request whose reply is kept for [`take_kept`](Self::take_kept).
    kept: Cell<Option<u32>>,
    question: PhantomData<Q>,
}

/// The request that a rank waits for.
struct Pending<A> {
    /// Its number.
    last: AtomicU32,
    replies: Mutex<Vec<Reply<A>>>,
}

impl<A: DeserializeOwned + Send + 'static> Client for Pending<A> {
    type Message = Reply<A>;

    fn receive(&self, _from: u32, reply: Reply<A>) {
        lock(&self.replies).push(reply);
    }
}

impl<Q: Message, A: DeserializeOwned + Send + 'static> Remote<Q, A> {
    /// Opens the next port of an object with a home node. None on that node, whose leader starts
    /// the service that `serve` makes.
    pub(crate) fn open<S: Service>(
        link: &Link,
        serve: impl FnOnce(Port, &Arc<Block>) -> S,
    ) -> Option<Self> {
        let port = link.port();
        if link.is_home() {
            if let Some(block) = link.leader() {
                port.serve(serve(port.clone(), block));
            }
            return None;
        }
        Some(Self::ask_home(link, port))
    }

    /// Opens the next port of an object whose ranks all ask its home node, those of that node too.
    /// Each leader starts the service that `serve` makes.
    pub(crate) fn open_on_all<S: Service>(
        link: &Link,
        serve: impl FnOnce(Port, &Arc<Block>) -> S,
    ) -> Self {
        let port = link.port();
        if let Some(block) = link.leader() {
            port.serve(serve(port.clone(), block));
        }
        Self::ask_home(link, port)
    }

    fn ask_home(link: &Link, port: Port) -> Self {
        let pending = Arc::new(Pending {
            last: AtomicU32::new(0),
            replies: Mutex::default(),
        });
        port.listen(&pending);
        Remote {
            port,
            home: link.home(),
            pending,
            kept: Cell::new(None),
            question: PhantomData,
        }
    }

    /// As the leader of a node other than the object's home: begins a service of this node's own words.
    pub(crate) fn serve(&self, service: impl Service) {
        self.port.serve(service);
    }

    /// Sends a request and returns its number. Does not wait.
    pub(crate) fn request(&self, question: Q) -> u32 {
        let number = (self.pending.last.fetch_add(1, Ordering::Relaxed)).wrapping_add(1);
        self.send(Some(number), question);
        number
    }

    /// [`request`](Self::request) whose reply is kept while this rank waits for others. It has one such
    /// request at a time.
    pub(crate) fn request_and_keep(&self, question: Q) {
        self.kept.set(Some(self.request(question)));
    }

    /// Sends a request without a reply. Does not wait.
    pub(crate) fn notify(&self, question: Q) {
        self.send(None, question);
    }

    fn send(&self, number: Option<u32>, question: Q) {
        self.port.send(self.home, &Request { number, question });
    }

    /// The reply that is kept, if it is there.
    pub(crate) fn take_kept(&self) -> Option<A> {
        self.take_reply_to(self.kept.get()?)
    }

    /// Keeps no reply any more. Returns the number of the request, if there was one.
    pub(crate) fn discard_kept(&self) -> Option<u32> {
        self.kept.take()
    }

    /// The next reply to a request, if it is there. Discards replies to earlier requests.
    fn take_reply_to(&self, number: u32) -> Option<A> {
        let mut replies = lock(&self.pending.replies);
        replies.retain(|reply| reply.number == number || Some(reply.number) == self.kept.get());
        let index = replies.iter().position(|reply| reply.number == number)?;
        Some(replies.remove(index).answer)
    }

    /// Waits for the next reply to a request. Discards replies to earlier requests.
    pub(crate) fn reply(
        &self,
        surroundings: &impl Surroundings,
        number: u32,
        deadline: Deadline<'_>,
    ) -> Result<A, Stop> {
        wait_for_answer(surroundings, deadline, || self.take_reply_to(number))
    }

    /// Asks a question and waits for the answer.
    ///
    /// # Errors
    /// If a host is lost.
    pub(crate) fn ask(&self, block: &Block, question: Q) -> Result<A, HostLoss> {
        let number = self.request(question);
        let home = || Awaited::all([self.port.net().topology().leader(self.home)], "answers");
        let leader = block.awaits(home);
        let deadline = Deadline::NEVER.of(Call::internal(&leader, "the answer of the root's node"));
        self.reply(block, number, deadline)
            .map_err(Stop::expect_host_loss)
    }
}
