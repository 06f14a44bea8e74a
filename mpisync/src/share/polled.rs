//! Fenced calls as futures: the steps of a wait, each when the future is polled.

use crate::error::CollectiveError;
use crate::share::calls::FencedCall;
use crate::share::collector::Taken;
use crate::share::payload::Kind;
use crate::share::staging::Chunks;
use crate::share::stream::Sink;
use std::sync::atomic::Ordering;

/// A large value that is coming in.
pub(crate) struct Incoming<S> {
    chunks: Chunks,
    sink: S,
}

impl<S> Incoming<S> {
    /// The number of chunks that have come.
    pub(crate) fn progress(&self) -> u64 {
        self.chunks.taken()
    }
}

impl FencedCall<'_> {
    /// Takes the value that `writer` shares, if it is there. Of a large value, takes what has come so
    /// far. `open` makes the sink for a value of the given length.
    ///
    /// After a value or an error the caller [finishes](Self::finish) this rank's part.
    ///
    /// # Errors
    /// Those of [`collect`](Self::collect); if the writer is missing, only if it `inspects`.
    pub(crate) fn poll_collect<S: Sink>(
        &self,
        incoming: &mut Option<Incoming<S>>,
        writer: usize,
        kind: Kind,
        open: impl FnOnce(u64) -> Result<S, CollectiveError>,
        inspects: bool,
    ) -> Result<Option<S>, CollectiveError> {
        if incoming.is_none() {
            if !self.is_published() {
                if inspects {
                    self.inspect(writer)?;
                }
                return Ok(None);
            }
            match self.take(writer, Some(kind), open)? {
                Taken::Whole(sink) => return Ok(Some(sink)),
                Taken::Staged(sink, length) => {
                    let chunks = self.begin_chunks(writer, length);
                    *incoming = Some(Incoming { chunks, sink });
                }
            }
        }
        let Some(Incoming { chunks, sink }) = incoming else {
            return Ok(None);
        };
        while !chunks.are_all_taken() {
            if !self.is_staged(chunks) {
                if inspects {
                    self.check_present(writer)?;
                }
                return Ok(None);
            }
            self.take_chunk(chunks, sink);
        }
        Ok(incoming.take().map(|incoming| incoming.sink))
    }

    /// Whether `writer` has shared its value, or is found missing, for which this looks if it
    /// `inspects`: [`collect`](Self::collect) does not wait long then.
    pub(crate) fn may_collect(&self, writer: usize, inspects: bool) -> bool {
        self.is_published() || inspects && self.inspect(writer).is_err()
    }

    /// Whether [`make_room`](Self::make_room) does not wait. If it `inspects`, it looks whether the
    /// ranks are alive for which that waits.
    pub(crate) fn has_room(&self, inspects: bool) -> bool {
        let Some(before) = self.number.same_record_before() else {
            return true;
        };
        let domain = self.block.domain();
        if domain.host_loss().is_some() {
            return true;
        }
        let ranks = domain.topology().local_ranks();
        let is_done = |local_rank: usize| {
            let record = self.mailbox.rank_record(local_rank);
            let rank = ranks[local_rank] as usize;
            record.done.load(Ordering::Acquire) >= before.0
                || domain.is_known_dead(local_rank)
                || !domain.takes_part(rank)
                || inspects && domain.absentee(rank, self.absence(rank)).is_some()
        };
        let mut others = (0..ranks.len()).filter(|&local_rank| local_rank != self.block.me());
        others.all(is_done)
            && self
                .mailboxes
                .is_none_or(|mailboxes| mailboxes.is_accepted(self.block, before))
    }
}
