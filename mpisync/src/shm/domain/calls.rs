//! Where the ranks of a communicator are in collective calls.

use crate::shm::arrival::{AnnouncementData, ArrivalSlot, EXIT};
use crate::shm::atomic::Ordering;
use crate::shm::domain::Domain;
use crate::shm::event::ALL;
use crate::shm::lock;
use crate::shm::survivors::Position;
use crate::shm::topology::RankLocation;
use std::thread;

/// As one rank sees itself.
impl Domain {
    /// How many nested `#[collective]` calls this rank is in.
    pub(crate) fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    pub(crate) fn set_depth(&self, depth: u32) {
        *lock(&self.caller) = (depth > 0).then(|| thread::current().id());
        self.depth.store(depth, Ordering::Relaxed);
    }

    /// Whether this rank has left its last rendezvous without reading the others' announcements.
    /// Resets the flag.
    pub(crate) fn take_left_meeting(&self) -> bool {
        self.left_meeting.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn set_left_meeting(&self) {
        self.left_meeting.store(true, Ordering::Relaxed);
    }

    /// The epoch in which fences are counted.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Begins a new epoch; called on all ranks together.
    pub(crate) fn advance_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// Where this process is in collective calls.
    pub(crate) fn my_arrival_slot(&self) -> &ArrivalSlot {
        &self.segment.member(self.segment.me()).arrival_slot
    }
}

/// As one rank sees the others.
impl Domain {
    /// Where this rank, of any node, is in collective calls.
    pub(crate) fn arrival_slot(&self, rank: usize) -> &ArrivalSlot {
        match self.topology.location(rank) {
            RankLocation::Local(local_rank) => &self.segment.member(local_rank).arrival_slot,
            RankLocation::Remote(index) => &self.segment.remote_member(index).arrival_slot,
        }
    }

    /// Whether a rank has left a `#[collective]` call that this thread is still in.
    pub(crate) fn has_left_call(&self, rank: usize) -> bool {
        if self.depth() == 0 || *lock(&self.caller) != Some(thread::current().id()) {
            return false;
        }
        let mine = self.my_arrival_slot().posted.load(Ordering::Relaxed);
        let slot = self.arrival_slot(rank);
        // It is at most one rendezvous ahead, so the announcement stays as it is.
        let announcement = &slot.announcements[((mine + 1) % 2) as usize];
        slot.posted.load(Ordering::Acquire) > mine
            && announcement.step.load(Ordering::Relaxed) == EXIT
            && announcement.depth.load(Ordering::Relaxed) < self.depth()
    }
}

/// When ranks that are left have agreed on who they are.
impl Domain {
    /// The attempts at an agreement on the ranks that are left that this rank has finished.
    pub(crate) fn agreements(&self) -> u64 {
        self.agreements.load(Ordering::Relaxed)
    }

    pub(in crate::shm) fn count_agreement(&self) {
        self.agreements.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the ranks that are left have agreed that some ranks are not among them.
    #[inline]
    pub(in crate::shm) fn has_excluded(&self) -> bool {
        self.has_excluded.load(Ordering::Relaxed)
    }

    /// Where this rank is in collective calls.
    pub(in crate::shm) fn position(&self) -> Position {
        Position {
            meetings: self.my_arrival_slot().posted.load(Ordering::Relaxed),
            epoch: self.epoch(),
        }
    }

    /// Goes on at the position that the last decision names, without the ranks that it excludes. No
    /// rank that is left is in a collective call, or begins one before all have done this.
    pub(in crate::shm) fn resume(&self) {
        let Position { meetings, epoch } = self.segment.resumed();
        let slot = self.my_arrival_slot();
        slot.posted.store(meetings, Ordering::Release);
        self.epoch.store(epoch, Ordering::Relaxed);
        self.left_meeting.store(false, Ordering::Relaxed);
        self.has_excluded
            .store(self.is_any_excluded(), Ordering::Relaxed);
    }

    /// Called once on each of several nodes before its ranks [`resume`](Self::resume).
    pub(crate) fn resume_node(&self, meetings: u64) {
        self.segment.reset_posts();
        for index in 0..self.segment.shape().remote {
            let slot = &self.segment.remote_member(index).arrival_slot;
            slot.posted.store(meetings, Ordering::Release);
        }
    }
}

/// For a communicator that spans nodes.
impl Domain {
    /// Sends the announcements that all ranks of this node have posted for the rendezvous of this
    /// number to the other nodes.
    pub(crate) fn announce(&self, meeting: u64) {
        if let Some(outside) = self.outside.get() {
            outside.announce(meeting);
        }
    }

    /// The announcements of this node's ranks for the rendezvous of this number.
    pub(crate) fn announcements(&self, meeting: u64) -> Vec<(u32, AnnouncementData<'static>)> {
        let announcement = |(_, rank): (usize, u32)| {
            let arrival_slot = self.arrival_slot(rank as usize);
            (
                rank,
                arrival_slot.announcements[(meeting % 2) as usize].get(),
            )
        };
        self.local_participants().map(announcement).collect()
    }

    /// Writes announcements of other nodes' ranks to their arrival slots on this node.
    pub(crate) fn post_remote(
        &self,
        meeting: u64,
        announcements: &[(u32, AnnouncementData<'static>)],
    ) {
        for (rank, announcement) in announcements {
            let arrival_slot = self.arrival_slot(*rank as usize);
            arrival_slot.announcements[(meeting % 2) as usize].set(announcement);
            // An exchange, so that the check for sleepers comes after it.
            arrival_slot.posted.swap(meeting, Ordering::SeqCst);
        }
        self.segment.arrival().notify(ALL);
    }
}
