//! Sending changes to other nodes, those of leaked guards too.

use crate::error::LockError;
use crate::plain::Plain;
use crate::region::Region;
use crate::region::remote::{self, Replicas};
use crate::shm::copy::CopyBytes;
use ndarray::Dimension;
use std::ops::Range;

impl<T: Plain, D: Dimension> Region<T, D> {
    /// Releases the lock if guards that were leaked (`mem::forget`) still hold it: no guard is
    /// alive while the region is borrowed mutably. Publishes all items first if a write guard was
    /// leaked, because the record of its changes is lost.
    #[inline]
    pub(super) fn forget_leaked_guards(&mut self) {
        if self.lock.lock().writes() {
            self.publish_leaked();
        }
        self.lock.lock().forget_leaked_guards();
        self.end_leaked_part();
    }

    /// Gives back the part of a guard that was leaked, and publishes all items of it before: no
    /// guard of a part is alive while anything else borrows the region.
    #[inline]
    pub(super) fn end_leaked_part(&self) {
        if let Some(items) = self.parts.held() {
            self.give_back_leaked(items);
        }
    }

    #[cold]
    fn give_back_leaked(&self, items: Range<u64>) {
        self.publish_unrecorded(items.start as usize..items.end as usize);
        self.parts.leave(self.lock.lock());
    }

    #[cold]
    fn publish_leaked(&self) {
        self.publish_unrecorded(0..self.len());
    }

    /// Publishes items of which any may have changed.
    fn publish_unrecorded(&self, items: Range<usize>) {
        if self.spans_nodes() && !items.is_empty() {
            // Fails only if MPI is finalized; then the other nodes are gone, too.
            let _ = self.publish(std::slice::from_ref(&items));
        }
    }

    /// Sends the items in these ranges from this node's copy to the others, and waits until they have them. The caller holds
    /// the write lock, or a part that contains them, and keeps it for good if a host is lost.
    pub(super) fn publish(&self, changed: &[Range<usize>]) -> Result<(), LockError> {
        match self.changed_bytes(changed)? {
            Some(change) => self.send(&change),
            None => Ok(()),
        }
    }

    /// [`publish`](Self::publish) for a writer whose guard is dropped. If the change is small, it does not wait: the lock
    /// does in its place. The caller leaves the lock and then calls [`send_held_back`](Self::send_held_back).
    pub(super) fn leave_behind(&self, changed: &[Range<usize>]) -> Result<(), LockError> {
        let Some(change) = self.changed_bytes(changed)? else {
            return Ok(());
        };
        let ChangedBytes {
            replicas,
            bytes,
            places,
        } = &change;
        let leave = |version| remote::send(replicas, bytes, places, version);
        if remote::is_small(places) && self.lock.lock().leave_behind(leave) {
            return Ok(());
        }
        self.send(&change)
    }

    /// Sends the changes with which a writer has left and that the lock had no message for.
    pub(super) fn send_held_back(&self) {
        if let Some(replicas) = &self.replicas {
            replicas.send_held_back();
        }
    }

    fn send(&self, change: &ChangedBytes<'_>) -> Result<(), LockError> {
        let ChangedBytes {
            replicas,
            bytes,
            places,
        } = change;
        remote::publish(replicas, self.lock.block(), bytes, places).map_err(|lost| {
            self.lock.lock().keep();
            lost.into()
        })
    }

    /// The bytes of these items, if other nodes have to know them.
    fn changed_bytes(
        &self,
        changed: &[Range<usize>],
    ) -> Result<Option<ChangedBytes<'_>>, LockError> {
        if changed.is_empty() {
            return Ok(None);
        }
        self.lock.check_usable()?;
        let Some(replicas) = &self.replicas else {
            return Ok(None);
        };
        let memory = self.memory.clone().expect("items that have changed");
        let place = |number: usize| number * size_of::<T>();
        let places = changed.iter();
        Ok(Some(ChangedBytes {
            replicas,
            // SAFETY: only the guard that lends these items for writing calls this, and it is borrowed
            // in the meantime.
            bytes: unsafe { CopyBytes::new(memory) },
            places: places
                .map(|items| place(items.start)..place(items.end))
                .collect(),
        }))
    }
}

/// What a writer has changed.
struct ChangedBytes<'a> {
    replicas: &'a Replicas,
    /// This node's copy.
    bytes: CopyBytes,
    places: Vec<Range<usize>>,
}
