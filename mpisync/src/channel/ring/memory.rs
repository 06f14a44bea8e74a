//! The memory of a channel: the words of its queue, and slots for one message each.
//!
//! A message lies behind the stamp of its slot. One whose length varies begins with its number of items.

use crate::channel::ring::layout::{QueueWords, RankState, Relay, Shape};
use crate::shm::atomic::AtomicU64;
use crate::shm::domain::{Domain, Urgency};
use crate::shm::line::Line;
use crate::shm::mapping::{ALIGN, Mapping, Shareable};
use crate::shm::wait::{Stop, Surroundings};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// The words of one queue, as one of its ranks sees them.
pub(crate) trait QueueMemory: Surroundings {
    /// The words that all ranks share.
    fn words(&self) -> &QueueWords;

    /// The words of the rank with this index on the node.
    fn rank_state(&self, rank: usize) -> &RankState;

    /// The number of slots.
    fn shape(&self) -> Shape;

    /// The stamp of the slot with this index.
    fn stamp(&self, index: usize) -> &AtomicU64;

    /// The number of ranks that share the words.
    fn ranks(&self) -> usize;

    /// The index of this rank.
    fn me(&self) -> usize;

    /// The words shared with the node's server, if it carries messages between this queue and other
    /// nodes.
    fn relay(&self) -> Option<&Relay> {
        None
    }

    /// The state of the communicator, if there is one.
    fn known_domain(&self) -> Option<&Domain> {
        None
    }

    /// Calls the server, if there is one, to serve the queue.
    fn call_server(&self, _urgency: Urgency) {}
}

// SAFETY: only atomics, for all of which zero is valid.
unsafe impl Shareable for QueueWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<RankState> {}
// SAFETY: as above.
unsafe impl Shareable for Relay {}

const RANK_STATES_AT: usize = size_of::<QueueWords>();

/// How a message lies in its slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageLayout {
    /// Its alignment, which is at most [`ALIGN`].
    align: usize,
    /// Its length in bytes, or the most that it may have.
    bytes: usize,
    /// If the number of items varies: the length of an item in bytes, and the most items.
    items: Option<(usize, usize)>,
}

impl MessageLayout {
    /// The layout of one `T`.
    pub(crate) const fn of<T>() -> Self {
        MessageLayout {
            align: align_of::<T>(),
            bytes: size_of::<T>(),
            items: None,
        }
    }

    /// The layout of up to `most` items. None if they do not fit into the address space.
    pub(crate) fn of_slices<T>(most: usize) -> Option<Self> {
        let items = size_of::<T>().checked_mul(most)?;
        Some(MessageLayout {
            align: max(align_of::<u64>(), align_of::<T>()),
            bytes: items.checked_add(items_at::<T>())?,
            items: Some((size_of::<T>(), most)),
        })
    }

    /// The most bytes that a message has.
    pub(crate) fn bytes(self) -> usize {
        self.bytes
    }

    /// The offset of the message in its slot, behind the stamp.
    const fn offset(self) -> usize {
        max(size_of::<AtomicU64>(), self.align)
    }

    /// The distance between slots in bytes. Small slots share a cache line, which is then
    /// transferred once for all of them; large slots have cache lines of their own.
    pub(in crate::channel) fn stride(self) -> Option<usize> {
        const LINE: usize = 64;
        match self.offset().checked_add(self.bytes)? {
            bytes @ ..=LINE => Some(bytes.next_power_of_two()),
            bytes => bytes.checked_next_multiple_of(LINE.max(self.align)),
        }
    }
}

/// The offset of the items in a message, behind their number.
const fn items_at<T>() -> usize {
    max(size_of::<u64>(), align_of::<T>())
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// The layout of a queue's memory: its words, the words of its ranks, and its slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    shape: Shape,
    members: usize,
    stride: usize,
    message: MessageLayout,
    length: usize,
}

impl Layout {
    /// The layout for `capacity` messages and this number of members. None if it does not fit into
    /// the address space.
    pub(crate) fn of(message: MessageLayout, capacity: usize, members: usize) -> Option<Self> {
        assert!(message.align <= ALIGN, "as the compiler has checked");
        let stride = message.stride()?;
        let shape = u64::try_from(capacity).ok()?;
        if !(1..=Shape::MOST).contains(&shape) {
            return None;
        }
        let slots = capacity.checked_mul(stride)?;
        let length = slots.checked_add(Self::slots_at(members))?;
        isize::try_from(length).ok()?;
        Some(Layout {
            shape: Shape::new(shape),
            members,
            stride,
            message,
            length,
        })
    }

    /// The number of messages that fit.
    pub(crate) fn capacity(self) -> u64 {
        self.shape.capacity()
    }

    fn slots_at(members: usize) -> usize {
        RANK_STATES_AT + members * size_of::<Line<RankState>>()
    }

    /// The length in bytes.
    pub(crate) fn length(self) -> usize {
        self.length
    }
}

/// The memory of a queue of `T`, as one of its ranks sees it.
pub(crate) struct Slots<T: ?Sized> {
    words: NonNull<QueueWords>,
    rank_states: NonNull<Line<RankState>>,
    slots: NonNull<u8>,
    layout: Layout,
    me: usize,
    relay: Option<NonNull<Relay>>,
    domain: Arc<Domain>,
    _mapping: Arc<Mapping>,
    messages: PhantomData<T>,
}

impl<T: ?Sized> Slots<T> {
    /// This rank's view of `mapping`, which is initially zero and has the length of the layout.
    pub(crate) fn new(domain: Arc<Domain>, layout: Layout, mapping: Mapping) -> Self {
        let me = domain.segment().me();
        Self::at_local_rank(domain, layout, &Arc::new(mapping), 0, me)
    }

    fn at_local_rank(
        domain: Arc<Domain>,
        layout: Layout,
        mapping: &Arc<Mapping>,
        start: usize,
        me: usize,
    ) -> Self {
        let rank_states: &[Line<RankState>] = mapping.slice(start + RANK_STATES_AT, layout.members);
        let slots_at = Layout::slots_at(layout.members);
        let words = (layout.length - slots_at) / size_of::<u64>();
        let slots: &[AtomicU64] = mapping.slice(start + slots_at, words);
        Slots {
            words: NonNull::from(mapping.get(start)),
            rank_states: NonNull::from(rank_states).cast(),
            slots: NonNull::from(slots).cast(),
            layout,
            me,
            relay: None,
            domain,
            _mapping: Arc::clone(mapping),
            messages: PhantomData,
        }
    }

    #[inline]
    fn slot(&self, index: usize) -> NonNull<u8> {
        debug_assert!((index as u64) < self.layout.shape.capacity());
        // SAFETY: there are `capacity` slots of `stride` bytes from here on, and the index of a
        // position is smaller than `capacity`.
        unsafe { self.slots.add(index * self.layout.stride) }
    }

    pub(crate) fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }
}

impl<T> Slots<T> {
    /// The message of the slot with this index: aligned, inside the mapping, and initialized (with
    /// zeros at first).
    #[inline]
    pub(crate) fn message(&self, index: usize) -> NonNull<T> {
        let offset = const { MessageLayout::of::<T>().offset() };
        // SAFETY: the slot lies inside the mapping, and the message inside the slot.
        unsafe { self.slot(index).add(offset).cast() }
    }
}

impl<T> Slots<[T]> {
    /// The number of items of the message in the slot with this index, and the items: as many as a
    /// message may have. Both are aligned, inside the mapping, and initialized (with zeros at first).
    pub(crate) fn items(&self, index: usize) -> (NonNull<u64>, NonNull<[T]>) {
        // SAFETY: the slot lies inside the mapping, and the message inside the slot.
        let message = unsafe { self.slot(index).add(self.layout.message.offset()) };
        // SAFETY: a message begins with the number, and the items are inside it.
        let items = unsafe { message.add(items_at::<T>()).cast() };
        (
            message.cast(),
            NonNull::slice_from_raw_parts(items, self.most_items()),
        )
    }

    /// The most items of a message.
    pub(crate) fn most_items(&self) -> usize {
        let (_, most) = self.layout.message.items.expect("the number varies");
        most
    }
}

/// The layout of a node's memory in a channel that spans nodes: the words shared with the server,
/// then two queues of one layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayLayout(pub(crate) Layout);

impl RelayLayout {
    const TAKES_AT: usize = size_of::<Relay>();

    fn puts_at(self) -> usize {
        Self::TAKES_AT + self.0.length.next_multiple_of(align_of::<Relay>())
    }

    /// The length in bytes.
    pub(crate) fn length(self) -> usize {
        self.puts_at() + self.0.length
    }
}

/// The two queues of a node in a channel that spans nodes, as one local rank or the server sees
/// them.
pub(crate) struct RelaySlots<T: ?Sized> {
    /// The queue that ranks take from.
    pub(crate) takes: Slots<T>,
    /// The queue that ranks put into.
    pub(crate) puts: Slots<T>,
}

impl<T: ?Sized> RelaySlots<T> {
    pub(crate) fn at_local_rank(
        domain: &Arc<Domain>,
        layout: RelayLayout,
        mapping: &Arc<Mapping>,
        me: usize,
    ) -> Self {
        let slots = |start| {
            let slots = Slots::at_local_rank(Arc::clone(domain), layout.0, mapping, start, me);
            let relay = Some(NonNull::from(mapping.get::<Relay>(0)));
            Slots { relay, ..slots }
        };
        RelaySlots {
            takes: slots(RelayLayout::TAKES_AT),
            puts: slots(layout.puts_at()),
        }
    }

    /// The queues as this rank sees them.
    pub(crate) fn new(domain: &Arc<Domain>, layout: RelayLayout, mapping: &Arc<Mapping>) -> Self {
        Self::at_local_rank(domain, layout, mapping, domain.segment().me())
    }
}

/// A message whose type the server does not know.
pub(crate) struct Opaque;

impl RelaySlots<Opaque> {
    /// The queues as the node's server sees them.
    pub(crate) fn for_server(
        domain: &Arc<Domain>,
        layout: RelayLayout,
        mapping: &Arc<Mapping>,
    ) -> Self {
        let local_rank = domain.segment().shape().local_rank_of_server();
        Self::at_local_rank(domain, layout, mapping, local_rank)
    }
}

impl Slots<Opaque> {
    fn bytes(&self, index: usize) -> NonNull<u8> {
        // SAFETY: the message lies inside the slot.
        unsafe { self.slot(index).add(self.layout.message.offset()) }
    }

    /// The message of a slot.
    ///
    /// # Safety
    /// The slot is full, and no rank frees it while the result is in use.
    pub(crate) unsafe fn bytes_of(&self, index: usize) -> &[u8] {
        let MessageLayout {
            align,
            bytes,
            items,
        } = self.layout.message;
        // SAFETY: a message whose length varies begins with its number of items, and no rank changes
        // it, as the caller promises.
        let number = || unsafe { self.bytes(index).cast::<u64>().read() };
        let length = items.map_or(bytes, |(size, most)| {
            // The items are behind the number, at a multiple of their alignment.
            align + size * (number().min(most as u64) as usize)
        });
        // SAFETY: the message has at least this many bytes, and no rank changes them, as the caller
        // promises.
        unsafe { std::slice::from_raw_parts(self.bytes(index).as_ptr(), length) }
    }

    /// Stores the message of a slot.
    ///
    /// # Safety
    /// The slot is reserved for the caller.
    pub(crate) unsafe fn copy_from(&self, index: usize, message: &[u8]) {
        let MessageLayout { bytes, items, .. } = self.layout.message;
        let fits = message.len() == bytes || items.is_some() && message.len() < bytes;
        assert!(fits, "a message of the type");
        // SAFETY: the slot has room for this many bytes, and no other rank accesses them, as the
        // caller promises.
        unsafe {
            self.bytes(index)
                .copy_from_nonoverlapping(NonNull::from(message).cast(), message.len());
        }
    }
}

// SAFETY: the pointers point into the mapping, which any thread may use. The words are atomics, and
// only the rank that has reserved a slot uses it.
unsafe impl Send for Slots<Opaque> {}

impl<T: ?Sized> Slots<T> {
    /// Out of line, so that a channel on one node is not slowed down.
    #[cold]
    fn call_relaying_server(&self, urgency: Urgency) {
        // The server does not call itself.
        if let Some(relay) = self.relay()
            && self.me != self.domain.segment().shape().local_rank_of_server()
        {
            self.domain.call_server(&relay.called, urgency);
        }
    }
}

impl<T: ?Sized> Surroundings for Slots<T> {
    fn progress(&self) {
        self.domain.progress();
    }

    fn poll_actively(&self, begins: bool) {
        self.domain.poll_actively(begins);
    }

    fn spin_budget(&self) -> Option<Duration> {
        self.domain.spin_budget()
    }

    fn longest_sleep(&self) -> Duration {
        self.domain.longest_sleep()
    }

    fn check_hosts(&self) -> Result<(), Stop> {
        self.domain.check_hosts()
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.domain.is_alive(rank)
    }
}

impl<T: ?Sized> QueueMemory for Slots<T> {
    #[inline]
    fn words(&self) -> &QueueWords {
        // SAFETY: taken from a reference into the mapping, which `self` keeps.
        unsafe { self.words.as_ref() }
    }

    #[inline]
    fn rank_state(&self, rank: usize) -> &RankState {
        assert!(rank < self.layout.members, "a local rank of this node");
        // SAFETY: taken from a slice of `members` values in the mapping, which `self` keeps.
        unsafe { &self.rank_states.add(rank).as_ref().0 }
    }

    #[inline]
    fn shape(&self) -> Shape {
        self.layout.shape
    }

    #[inline]
    fn stamp(&self, index: usize) -> &AtomicU64 {
        // SAFETY: a slot begins with its stamp, which is aligned because slots are, and only atomic
        // operations change it.
        unsafe { self.slot(index).cast().as_ref() }
    }

    #[inline]
    fn ranks(&self) -> usize {
        self.layout.members
    }

    #[inline]
    fn me(&self) -> usize {
        self.me
    }

    fn known_domain(&self) -> Option<&Domain> {
        Some(&self.domain)
    }

    #[inline]
    fn relay(&self) -> Option<&Relay> {
        // SAFETY: taken from a reference into the mapping, which `self` keeps.
        self.relay.map(|relay| unsafe { relay.as_ref() })
    }

    #[inline]
    fn call_server(&self, urgency: Urgency) {
        if self.relay.is_some() {
            self.call_relaying_server(urgency);
        }
    }
}
