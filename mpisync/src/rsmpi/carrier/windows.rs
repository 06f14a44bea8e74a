//! Transport by one-sided communication through an MPI window: each receiver has a lane, a ring of
//! words, for each sender.
//!
//! A word of a lane has four bytes of messages and the number of the lap in which they were
//! written, so the receiver recognizes new words by a load, in any order of arrival. The
//! sender writes by `MPI_Raccumulate` with `MPI_SUM`: it knows the old word and adds the
//! difference, and MPI updates each element atomically (MPI 4.1, 12.7.1). A receiver adds the
//! number of words that it has read to a counter of the sender.

use crate::error::CreateError;
use crate::rsmpi::carrier::pending::{PATIENCE, Pending, Sends};
use crate::rsmpi::carrier::{Handle, OwnComm, Unsent};
use crate::rsmpi::comm::check;
use crate::shm::lock;
use crate::shm::topology::Topology;
use mpi::ffi;
use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// The number of words of a lane.
const LANE: usize = 128;
/// A receiver acknowledges this many words at a time.
const RECEIPT: u64 = LANE as u64 / 4;

/// A communicator's window, as one rank sees it.
pub(super) struct Windows {
    window: ffi::MPI_Win,
    /// This rank's part of the window: for each rank a counter of the words that it has read, then
    /// the lanes.
    mine: NonNull<AtomicU64>,
    me: usize,
    shape: Shape,
    outbox: Mutex<Outbox>,
    inbox: Mutex<Vec<Incoming>>,
    freed: AtomicBool,
}

/// The lanes of the ranks.
struct Shape {
    /// Whether each rank leads its node. A leader has a lane for every rank, another rank one for
    /// the leader of each node.
    leads: Vec<bool>,
    node_of: Vec<u32>,
    nodes: usize,
}

struct Outbox {
    /// By receiver; made at the first message.
    lanes: Vec<Option<Box<Outgoing>>>,
    /// The requests whose words MPI still reads.
    requests: Sends<Vec<u64>>,
}

/// The sender's end of a lane.
struct Outgoing {
    /// The contents of the lane after all requests are complete.
    words: [u64; LANE],
    sent: u64,
    /// The data that the lane has no space for yet.
    waiting: VecDeque<u32>,
    /// Whether MPI has failed to write to it. Later messages are dropped, because the receiver
    /// could not read them.
    is_broken: bool,
}

/// The receiver's end of a lane.
#[derive(Default)]
struct Incoming {
    read: u64,
    /// How many of these have been acknowledged.
    told: u64,
    /// The length of an incomplete message in bytes, and the bytes received so far.
    length: Option<usize>,
    bytes: Vec<u8>,
}

// SAFETY: the window is a handle, which with MPI_THREAD_MULTIPLE any thread may use, and without it
// only the thread of MPI polls and sends; the memory lives as long as the window and holds atomics
// only; requests are behind a mutex.
unsafe impl Send for Windows {}
// SAFETY: as above.
unsafe impl Sync for Windows {}

impl Shape {
    fn of(topology: &Topology) -> Self {
        let ranks = 0..topology.size() as u32;
        let node_of: Vec<u32> = ranks.clone().map(|rank| topology.node_of(rank)).collect();
        let leads = ranks.map(|rank| topology.leader(node_of[rank as usize]) == rank);
        Shape {
            leads: leads.collect(),
            nodes: topology.nodes() as usize,
            node_of,
        }
    }

    fn ranks(&self) -> usize {
        self.leads.len()
    }

    fn lanes(&self, rank: usize) -> usize {
        if self.leads[rank] {
            self.ranks()
        } else {
            self.nodes
        }
    }

    /// The lane of `to` that `from` writes to.
    fn lane(&self, from: usize, to: usize) -> usize {
        if self.leads[to] {
            return from;
        }
        debug_assert!(self.leads[from], "only leaders write to all ranks");
        self.node_of[from] as usize
    }

    /// The rank that writes to this lane of `to`.
    fn sender(&self, lane: usize, to: usize) -> usize {
        if self.leads[to] {
            return lane;
        }
        let leads = |&rank: &usize| self.leads[rank] && self.node_of[rank] as usize == lane;
        (0..self.ranks())
            .find(leads)
            .expect("each node has a leader")
    }

    /// The offset of a lane in words.
    fn start(&self, lane: usize) -> usize {
        self.ranks() + lane * LANE
    }

    /// The number of words of `rank`.
    fn words(&self, rank: usize) -> usize {
        self.start(self.lanes(rank))
    }
}

/// The word at this position of the stream.
fn word(position: u64, data: u32) -> u64 {
    // The first lap is 1, so that the initial zeros are not valid words.
    let lap = (position / LANE as u64 + 1) as u32;
    u64::from(lap) << 32 | u64::from(data)
}

impl Windows {
    /// Makes the window; collective. All ranks succeed or all fail.
    pub(super) fn new(comm: &OwnComm, topology: &Topology) -> Result<Self, CreateError> {
        let shape = Shape::of(topology);
        let me = topology.rank() as usize;
        let length = shape.words(me);
        let made = allocate(comm, length);
        // If one rank fails, all ranks fail.
        let all_made = comm.minimum(made.is_ok().into())? == 1;
        let (window, mine) = match made {
            Ok(made) if all_made => made,
            Ok((window, _)) => {
                // The others have no window, so it cannot be freed, which is collective.
                let _ = window;
                return Err(no_windows("another rank could not"));
            }
            Err(error) => return Err(no_windows(&error.to_string())),
        };
        let locked = unsafe {
            // SAFETY: the window has just been made and has `length` words here; nobody writes to
            // it before the reduction below.
            mine.as_ptr().cast::<u64>().write_bytes(0, length);
            ffi::MPI_Win_lock_all(0, window)
        };
        let locked = check("MPI_Win_lock_all", locked);
        if comm.minimum(locked.is_ok().into())? == 0 {
            return Err(no_windows("MPI_Win_lock_all failed"));
        }
        let lanes = shape.lanes(me);
        Ok(Windows {
            window,
            mine,
            me,
            outbox: Mutex::new(Outbox {
                lanes: (0..shape.ranks()).map(|_| None).collect(),
                requests: Sends::default(),
            }),
            inbox: Mutex::new((0..lanes).map(|_| Incoming::default()).collect()),
            freed: AtomicBool::new(false),
            shape,
        })
    }

    /// A word of this rank's part.
    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.shape.words(self.me));
        // SAFETY: inside the window's memory of this rank, which lives until `free`, after which
        // nobody polls or sends.
        unsafe { self.mine.add(index).as_ref() }
    }

    /// If no thread of this process can continue the send later, waits until it is complete.
    pub(super) fn send(
        &self,
        comm: &OwnComm,
        rank: u32,
        bytes: &[u8],
        give_up: &dyn Fn() -> bool,
    ) -> Result<(), Unsent> {
        let to = rank as usize;
        self.put_by(to, bytes)?;
        if self.shape.leads[self.me] {
            return Ok(());
        }
        let start = Instant::now();
        let is_over = || start.elapsed() >= PATIENCE || give_up();
        while self.has_waiting(to) && !is_over() {
            std::thread::yield_now();
            self.make_progress(comm);
            self.push_what_waits()?;
        }
        if !is_over() {
            // SAFETY: a live window, with an epoch from its beginning to its end.
            let code = unsafe { ffi::MPI_Win_flush(rank as c_int, self.window) };
            check("MPI_Win_flush", code).map_err(|error| Unsent { rank, error })?;
        }
        Ok(())
    }

    fn has_waiting(&self, to: usize) -> bool {
        let outbox = lock(&self.outbox);
        let lane = outbox.lanes[to].as_ref();
        lane.is_some_and(|lane| !lane.waiting.is_empty())
    }

    /// Queues a message for `to`, and writes as much as there is space for.
    fn put_by(&self, to: usize, bytes: &[u8]) -> Result<(), Unsent> {
        let mut outbox = lock(&self.outbox);
        let lane = outbox.lanes[to].get_or_insert_with(|| {
            Box::new(Outgoing {
                words: [0; LANE],
                sent: 0,
                waiting: VecDeque::new(),
                is_broken: false,
            })
        });
        let length = u32::try_from(bytes.len()).expect("a message of less than 4 GiB");
        lane.waiting.push_back(length);
        lane.waiting.extend(bytes.chunks(4).map(|chunk| {
            let mut four = [0; 4];
            four[..chunk.len()].copy_from_slice(chunk);
            u32::from_le_bytes(four)
        }));
        let pushed = self.push(&mut outbox, to);
        outbox.requests.forget_sent();
        pushed
    }

    /// Writes as much to `to` as there is space for.
    fn push(&self, outbox: &mut Outbox, to: usize) -> Result<(), Unsent> {
        let Outbox { lanes, requests } = outbox;
        let Some(lane) = &mut lanes[to] else {
            return Ok(());
        };
        if lane.is_broken {
            lane.waiting.clear();
        }
        let read = self.word(to).load(Ordering::Acquire);
        while !lane.waiting.is_empty() {
            let free = LANE - (lane.sent - read) as usize;
            let at = (lane.sent % LANE as u64) as usize;
            let count = lane.waiting.len().min(free).min(LANE - at);
            if count == 0 {
                return Ok(());
            }
            let differences: Vec<u64> = lane
                .waiting
                .drain(..count)
                .enumerate()
                .map(|(index, data)| {
                    let new = word(lane.sent + index as u64, data);
                    let old = std::mem::replace(&mut lane.words[at + index], new);
                    new.wrapping_sub(old)
                })
                .collect();
            lane.sent += count as u64;
            let start = self.shape.start(self.shape.lane(self.me, to)) + at;
            let added = self.add(requests, to, start, differences);
            if added.is_err() {
                lane.is_broken = true;
                lane.waiting.clear();
                return added;
            }
        }
        Ok(())
    }

    /// Adds to words of `to`, from `start` on. Does not wait.
    fn add(
        &self,
        requests: &mut Sends<Vec<u64>>,
        to: usize,
        start: usize,
        differences: Vec<u64>,
    ) -> Result<(), Unsent> {
        let count = differences.len() as c_int;
        let add = |differences: &mut Vec<u64>, request| {
            // SAFETY: the words lie inside the window of `to`; the differences are kept with the
            // request, where they do not move on the heap, until it is complete.
            unsafe {
                ffi::MPI_Raccumulate(
                    differences.as_ptr().cast::<c_void>(),
                    count,
                    ffi::RSMPI_UINT64_T,
                    to as c_int,
                    start as ffi::MPI_Aint,
                    count,
                    ffi::RSMPI_UINT64_T,
                    ffi::RSMPI_SUM,
                    self.window,
                    request,
                )
            }
        };
        let adding = Pending::begin("MPI_Raccumulate", differences, add).map_err(|error| {
            let rank = to as u32;
            Unsent { rank, error }
        })?;
        requests.add(to as u32, adding);
        Ok(())
    }

    pub(super) fn unsent(&self, counts: &dyn Fn(u32) -> bool) -> usize {
        let mut outbox = lock(&self.outbox);
        outbox.requests.forget_sent();
        let lanes = (0..).zip(&outbox.lanes);
        let waiting = lanes.filter(|&(to, _)| counts(to));
        let waiting = waiting.filter_map(|(_, lane)| Some(lane.as_ref()?.waiting.len()));
        outbox.requests.count(counts) + waiting.map(|words| words.div_ceil(LANE)).sum::<usize>()
    }

    /// Passes the messages that have arrived to `handle`, even if this rank cannot send.
    pub(super) fn poll(&self, comm: &OwnComm, handle: Handle<'_>) -> Result<(), Unsent> {
        if self.freed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.make_progress(comm);
        let mut sent = self.push_what_waits();
        let mut inbox = lock(&self.inbox);
        for lane in 0..inbox.len() {
            while let Some(mut message) = self.take(&mut inbox[lane], lane, &mut sent) {
                handle(&mut message);
            }
        }
        sent
    }

    fn make_progress(&self, comm: &OwnComm) {
        // An MPI that implements windows in software makes progress in calls only.
        comm.probe();
        // SAFETY: a live window.
        unsafe { ffi::MPI_Win_sync(self.window) };
    }

    fn push_what_waits(&self) -> Result<(), Unsent> {
        let Ok(mut outbox) = self.outbox.try_lock() else {
            return Ok(());
        };
        let mut pushed = Ok(());
        outbox.requests.forget_sent();
        for to in 0..self.shape.ranks() {
            let waits = |lane: &Option<Box<Outgoing>>| {
                lane.as_ref().is_some_and(|lane| !lane.waiting.is_empty())
            };
            if waits(&outbox.lanes[to]) {
                pushed = pushed.and(self.push(&mut outbox, to));
            }
        }
        pushed
    }

    /// The next message of a lane, if it is complete. A failed acknowledgement is recorded in
    /// `sent`.
    fn take(
        &self,
        incoming: &mut Incoming,
        lane: usize,
        sent: &mut Result<(), Unsent>,
    ) -> Option<Vec<u8>> {
        let start = self.shape.start(lane);
        loop {
            if incoming
                .length
                .is_some_and(|length| incoming.bytes.len() >= length)
            {
                let length = incoming.length.take().expect("just looked at");
                let mut message = std::mem::take(&mut incoming.bytes);
                message.truncate(length);
                return Some(message);
            }
            let position = incoming.read;
            let at = start + (position % LANE as u64) as usize;
            let found = self.word(at).load(Ordering::Acquire);
            let data = found as u32;
            if found != word(position, data) {
                return None;
            }
            incoming.read += 1;
            match incoming.length {
                None => incoming.length = Some(data as usize),
                Some(_) => incoming.bytes.extend(data.to_le_bytes()),
            }
            if incoming.read - incoming.told >= RECEIPT {
                let more = incoming.read - incoming.told;
                incoming.told = incoming.read;
                let sender = self.shape.sender(lane, self.me);
                let mut outbox = lock(&self.outbox);
                let told = self.add(&mut outbox.requests, sender, self.me, vec![more]);
                if sent.is_ok() {
                    *sent = told;
                }
            }
        }
    }

    /// Frees the window. Collective.
    pub(super) fn free(&self) {
        if self.freed.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut window = self.window;
        // SAFETY: the epoch was opened once, and the window is freed once; from here on nobody
        // sends or polls. The end of the epoch completes what was under way, so that the requests
        // can be completed after it.
        unsafe {
            ffi::MPI_Win_flush_all(window);
            lock(&self.outbox).requests.wait();
            ffi::MPI_Win_unlock_all(window);
            ffi::MPI_Win_free(&mut window);
        }
    }
}

/// Allocates the memory of a window; collective.
fn allocate(
    comm: &OwnComm,
    words: usize,
) -> Result<(ffi::MPI_Win, NonNull<AtomicU64>), CreateError> {
    let mut base: *mut c_void = std::ptr::null_mut();
    // SAFETY: a constant of MPI.
    let mut window = unsafe { ffi::RSMPI_WIN_NULL };
    // SAFETY: results go to live variables.
    let code = unsafe {
        ffi::MPI_Win_allocate(
            (words * size_of::<u64>()) as ffi::MPI_Aint,
            size_of::<u64>() as c_int,
            ffi::RSMPI_INFO_NULL,
            comm.raw(),
            (&raw mut base).cast(),
            &mut window,
        )
    };
    check("MPI_Win_allocate", code)?;
    // A window does not inherit the communicator's error handler; its own would end the job (MPI
    // 4.1, 9.3). SAFETY: the window was just made; the handler is a predefined one.
    let code = unsafe { ffi::MPI_Win_set_errhandler(window, ffi::RSMPI_ERRORS_RETURN) };
    check("MPI_Win_set_errhandler", code)?;
    let base = NonNull::new(base.cast()).ok_or_else(|| CreateError::Mpi {
        function: "MPI_Win_allocate",
        message: "it gave no memory".to_owned(),
    })?;
    Ok((window, base))
}

fn no_windows(why: &str) -> CreateError {
    CreateError::NoWindows {
        message: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_lap_is_another_word() {
        let position = 5;
        let next_lap = position + LANE as u64;
        assert_ne!(word(position, 7), word(next_lap, 7));
        assert_ne!(word(0, 0), 0, "the zeros of the beginning are no words");
    }

    #[test]
    fn every_lane_has_one_sender() {
        // Ranks dealt round-robin over two nodes.
        for me in 0..5 {
            let topology = Topology::new(me, &[0, 1, 0, 1, 0]);
            let shape = Shape::of(&topology);
            let to = me as usize;
            for lane in 0..shape.lanes(to) {
                let sender = shape.sender(lane, to);
                assert_eq!(shape.lane(sender, to), lane, "{sender} to {to}");
            }
        }
    }
}
