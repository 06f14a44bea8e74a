//! News of deadlocks over several hosts, which the leader of a node has for its ranks.
//!
//! The text is in the communicator's memory on the node, and the record of each rank that it concerns
//! names the wait that it is about. So a rank that has gone on meanwhile does not take it for its own.

use crate::shm::atomic::{AtomicU64, Ordering, fence};
use crate::shm::cells::Text;
use crate::shm::domain::Domain;
use crate::shm::mapping::Shareable;
use crate::shm::waiting::record::now;
use crate::shm::waiting::records::for_each_with_news;
use std::time::Duration;

/// How long the news take to reach all ranks that they concern. They look several times a second.
pub(crate) const SPREAD: Duration = Duration::from_millis(500);

/// The last news. Stored by the node's leader.
#[repr(C, align(128))]
pub(crate) struct NewsWords {
    /// Their number; 0 while they are written.
    number: AtomicU64,
    /// When all ranks will know them, in nanoseconds of the host's clock.
    known_at: AtomicU64,
    text: Text<512>,
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for NewsWords {}

/// The news about this rank's wait.
pub(super) struct News {
    pub(super) is_mine_to_report: bool,
    pub(super) known_at: u64,
    pub(super) text: String,
}

impl NewsWords {
    /// The time and the text, if these are still the news of this number.
    fn read(&self, number: u64) -> Option<(u64, String)> {
        let is_it = |order| self.number.load(order) == number;
        let is_there = is_it(Ordering::Acquire);
        let read = (self.known_at.load(Ordering::Relaxed), self.text.get());
        fence(Ordering::Acquire);
        (is_there && is_it(Ordering::Relaxed)).then_some(read)
    }

    /// Writes the next news. Returns their number.
    fn write(&self, text: &str) -> u64 {
        let number = self.number.load(Ordering::Relaxed) + 1;
        self.number.store(0, Ordering::Relaxed);
        // A reader that sees a part of what follows sees the 0.
        fence(Ordering::Release);
        let known_at = now() + SPREAD.as_nanos() as u64;
        self.known_at.store(known_at, Ordering::Relaxed);
        self.text.set(text);
        self.number.store(number, Ordering::Release);
        number
    }
}

/// As the node's leader: tells the ranks of this node among `members`, processes with the identities of
/// their waits, that these waits are a deadlock. `reporter` is the process that reports it.
pub(crate) fn publish(domain: &Domain, members: &[(u64, u64)], reporter: u64, text: &str) {
    let Some(words) = domain.segment().news() else {
        return;
    };
    let number = words.write(text);
    for local_rank in 0..domain.topology().local_ranks().len() {
        let record = &domain.segment().member(local_rank).wait;
        let process = record.process();
        if let Some((_, since)) = members.iter().find(|member| member.0 == process) {
            let mine = u64::from(process == reporter);
            record.news.store(number << 1 | mine, Ordering::Relaxed);
            // Release: the rank finds the rest.
            record.news_for.store(*since, Ordering::Release);
        }
    }
}

/// The news about the wait of this identity of this rank, in whichever communicator they are.
pub(super) fn news_for(since: u64) -> Option<News> {
    let mut found = None;
    for_each_with_news(|record, words| {
        if since == 0 || record.news_for.load(Ordering::Acquire) != since {
            return;
        }
        let news = record.news.load(Ordering::Relaxed);
        // Without a text if the next news came before this rank has looked.
        let (known_at, text) = words.read(news >> 1).unwrap_or_default();
        found = Some(News {
            is_mine_to_report: news & 1 != 0,
            known_at,
            text,
        });
    });
    found
}
