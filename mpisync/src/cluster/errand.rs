//! What the agent has to do about what an object keeps behind its block.

use super::Hub;
use super::message::{Reply, Word};
use crate::ledger::Ledger;
use crate::ledger::question::LedgerWord;
use crate::lock::cluster::tier::Tier;
use crate::memory::annex::Annex;
use crate::memory::block::Block;
use crate::memory::ledger::Table;
use crate::rounds::RoundWord;
use crate::rounds::barrier::{Gathering, News};
use crate::rounds::turn::Turns;
use crate::waitlist::cluster::{Deputy, WaitWord};
use std::collections::BTreeSet;

/// What there is to do, by what the object is.
pub(super) enum Errand {
    Nothing,
    /// It stands in for ranks of other nodes.
    Waitlist(Deputy),
    Turn {
        turns: Turns,
        /// Whether the other nodes know that a rank died.
        told: bool,
    },
    Ledger(Ledger<Table>),
    Barrier {
        gathering: Gathering,
        /// The seats of those that died and of which the other nodes know.
        told: BTreeSet<usize>,
    },
}

impl Errand {
    /// Of an object with this annex, of which the agent has this view.
    pub(super) fn of(annex: &Annex, block: &Block, tier: &Tier) -> Self {
        match annex {
            Annex::Waitlist {
                inheritance, cargo, ..
            } if tier.home == tier.hub.node() => {
                Errand::Waitlist(Deputy::new(block, cargo.clone(), *inheritance))
            }
            Annex::Ledger { tasks, .. } if tier.home == tier.hub.node() => Errand::Ledger(Ledger {
                memory: Table::new(block, *tasks),
            }),
            Annex::None | Annex::Vote | Annex::Waitlist { .. } | Annex::Ledger { .. } => {
                Errand::Nothing
            }
            Annex::Turn => Errand::Turn {
                turns: Turns::new(block),
                told: false,
            },
            Annex::Barrier => Errand::Barrier {
                gathering: Gathering::new(block),
                told: BTreeSet::new(),
            },
        }
    }

    pub(super) fn handle_wait(&mut self, hub: &Hub, number: u64, word: WaitWord) {
        if let Errand::Waitlist(deputy) = self {
            deputy.handle(hub, number, word);
        }
    }

    pub(super) fn handle_ledger(&self, hub: &Hub, number: u64, word: LedgerWord) {
        let Errand::Ledger(ledger) = self else { return };
        let answer = ledger.answer(word.asker as usize, word.question);
        if let Some(request) = word.request {
            hub.reply(word.asker, number, request, Reply::Ledger(answer));
        }
    }

    pub(super) fn handle_round(&mut self, hub: &Hub, number: u64, word: RoundWord) {
        match (self, word) {
            (Errand::Turn { turns, .. }, RoundWord::Over { turns: over }) => turns.receive(over),
            (Errand::Turn { turns, told }, RoundWord::TurnLost { rank }) => {
                turns.lose(rank);
                *told = true;
            }
            (Errand::Barrier { gathering, .. }, RoundWord::Heard { round, time }) => {
                gathering.receive(round, time, |news| tell_news(hub, number, news));
            }
            (Errand::Barrier { gathering, .. }, RoundWord::Lost { rank, after }) => {
                gathering.lose(rank, after);
            }
            (
                Errand::Barrier { gathering, .. },
                RoundWord::AskMissing {
                    asker,
                    request,
                    time,
                },
            ) => {
                let word = RoundWord::Missing {
                    request,
                    node: hub.node(),
                    ranks: gathering.missing(time),
                };
                hub.tell_rank(asker, number, Word::Round(word));
            }
            _ => {}
        }
    }

    /// Whether a rank of this node has called the agent to it.
    pub(super) fn is_called(&self) -> bool {
        matches!(self, Errand::Waitlist(deputy) if deputy.is_called())
    }

    pub(super) fn go_on(&mut self, hub: &Hub, number: u64) {
        if let Errand::Waitlist(deputy) = self {
            deputy.go_on(hub, number);
        }
    }

    /// Looks after ranks that may have died.
    pub(super) fn inspect(&mut self, hub: &Hub, number: u64) {
        let tell_others = |word: &dyn Fn() -> RoundWord| {
            for node in hub.topology().other_nodes() {
                hub.tell(node, number, Word::Round(word()));
            }
        };
        match self {
            Errand::Nothing => {}
            Errand::Waitlist(deputy) => deputy.inspect(hub, number),
            Errand::Ledger(ledger) => {
                ledger.bury();
            }
            Errand::Turn { turns, told } => {
                turns.inspect();
                if let Some(rank) = turns.lost()
                    && !std::mem::replace(told, true)
                {
                    tell_others(&|| RoundWord::TurnLost { rank });
                }
            }
            Errand::Barrier { gathering, told } => {
                for (seat, after) in gathering.lost_here(u64::MAX) {
                    let rank = hub.topology().here()[seat];
                    if told.insert(seat) {
                        tell_others(&|| RoundWord::Lost { rank, after });
                        // It may have died when it was about to send something.
                        gathering.tell_again(|news| tell_news(hub, number, news));
                    }
                }
                gathering.go_on(|news| tell_news(hub, number, news));
            }
        }
    }
}

/// Sends what a node has heard of a barrier on its way.
pub(crate) fn tell_news(hub: &Hub, number: u64, news: News) {
    let News { to, round, time } = news;
    hub.tell(to, number, Word::Round(RoundWord::Heard { round, time }));
}
