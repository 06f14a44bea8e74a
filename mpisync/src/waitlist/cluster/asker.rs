//! The side of a rank of another node.

use super::{Answer, Manner, WaitWord};
use crate::cluster::{Reply, Word};
use crate::lock::cluster::tier::Tier;
use crate::memory::block::Block;
use crate::wait::{Deadline, Stop};

/// A rank that asks the list's node.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) tier: &'a Tier,
    pub(crate) block: &'a Block,
}

/// What a rank has got.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) ticket: Option<u64>,
    pub(crate) cargo: Option<Vec<u8>>,
}

impl Asker<'_> {
    /// Takes so many permits; waits until they are granted.
    pub(crate) fn acquire(self, count: u32, deadline: Deadline) -> Result<Granted, Stop> {
        let request = self.join(count, Manner::Wait);
        self.wait_for_grant(request, deadline)
    }

    /// Takes so many permits if they are there.
    pub(crate) fn try_acquire(self, count: u32) -> Result<Option<Granted>, Stop> {
        let request = self.join(count, Manner::Try);
        match self.answer(request, Deadline::Never)? {
            Answer::Granted { ticket, cargo } => Ok(Some(Granted { ticket, cargo })),
            Answer::Broken { rank } => Err(Stop::RankDied(rank)),
            _ => Ok(None),
        }
    }

    /// Asks to stand in the line; the request's number.
    pub(crate) fn join(self, count: u32, manner: Manner) -> u32 {
        self.ask(|asker, request| WaitWord::Join {
            asker,
            request,
            count,
            manner,
        })
    }

    /// Waits until it is known that this rank stands in the line.
    pub(crate) fn wait_until_joined(self, request: u32) -> Result<(), Stop> {
        match self.answer(request, Deadline::Never)? {
            Answer::Broken { rank } => Err(Stop::RankDied(rank)),
            _ => Ok(()),
        }
    }

    /// Waits until what was asked for is granted; leaves the line if that takes too long.
    pub(crate) fn wait_for_grant(self, request: u32, deadline: Deadline) -> Result<Granted, Stop> {
        let mut deadline = deadline;
        loop {
            match self.answer(request, deadline) {
                Ok(Answer::Granted { ticket, cargo }) => return Ok(Granted { ticket, cargo }),
                Ok(Answer::Broken { rank }) => return Err(Stop::RankDied(rank)),
                Ok(Answer::Left) => return Err(Stop::Timeout),
                Ok(_) => {}
                Err(_) => {
                    let asker = self.tier.hub.rank();
                    self.tell(WaitWord::Leave { asker, request });
                    // It may have been served meanwhile; either answer comes.
                    deadline = Deadline::Never;
                }
            }
        }
    }

    /// Gives permits back; does not wait.
    pub(crate) fn release(self, count: u32, cargo: Option<Vec<u8>>) {
        let asker = self.tier.hub.rank();
        self.tell(WaitWord::Release {
            asker,
            count,
            cargo,
        });
    }

    /// Keeps permits for good.
    pub(crate) fn keep(self, count: u32) {
        let request = self.ask(|asker, request| WaitWord::Keep {
            asker,
            request,
            count,
        });
        self.count(request);
    }

    /// Puts bytes beside the only permit and gives that back.
    pub(crate) fn fill(self, cargo: Vec<u8>) {
        let request = self.ask(|asker, request| WaitWord::Fill {
            asker,
            request,
            cargo,
        });
        self.count(request);
    }

    /// Puts permits into the stock; whether there was room.
    pub(crate) fn supply(self, count: u32, most: u32) -> bool {
        let request = self.ask(|asker, request| WaitWord::Supply {
            asker,
            request,
            count,
            most,
        });
        self.count(request) > 0
    }

    /// Wakes so many; how many there were.
    pub(crate) fn wake(self, most: u32) -> u32 {
        let request = self.ask(|asker, request| WaitWord::Wake {
            asker,
            request,
            most,
        });
        self.count(request)
    }

    /// How many permits are free.
    pub(crate) fn free(self) -> u32 {
        let request = self.ask(|asker, request| WaitWord::AskFree { asker, request });
        self.count(request)
    }

    /// What goes with the permit.
    pub(crate) fn look(self) -> Option<Vec<u8>> {
        let request = self.ask(|asker, request| WaitWord::Look { asker, request });
        match self.answer(request, Deadline::Never) {
            Ok(Answer::Cargo(cargo)) => cargo,
            _ => None,
        }
    }

    fn count(self, request: u32) -> u32 {
        match self.answer(request, Deadline::Never) {
            Ok(Answer::Done(count)) => count,
            _ => 0,
        }
    }

    fn ask(self, word: impl FnOnce(u32, u32) -> WaitWord) -> u32 {
        self.tier
            .ask_home(|asker, request| Word::Wait(word(asker, request)))
    }

    fn tell(self, word: WaitWord) {
        self.tier.tell_home(Word::Wait(word));
    }

    fn answer(self, request: u32, deadline: Deadline) -> Result<Answer, Stop> {
        match self.tier.wait_for_reply(self.block, request, deadline)? {
            Reply::Wait(answer) => Ok(answer),
            reply => unreachable!("a waiting list's reply: {reply:?}"),
        }
    }
}
