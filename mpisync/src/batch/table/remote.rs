//! A ledger for the ranks of other nodes: they ask the server of its node.

use crate::batch::table::Ledger;
use crate::batch::table::memory::Table;
use crate::batch::table::question::{LedgerAnswer, Question};
use crate::net::{Link, Port, Remote, Request, Service};
use crate::shm::block::Block;
use crate::shm::layout::Part;

/// A ledger on another node.
pub(crate) type LedgerClient = Remote<Question, LedgerAnswer>;

/// Acts in a ledger for the ranks of other nodes.
pub(crate) struct LedgerServer {
    port: Port,
    ledger: Ledger<Table>,
}

impl LedgerServer {
    /// Opens the port of an object's ledger of so many tasks, in the part of its memory that `part` finds; None on the
    /// node where that is.
    pub(crate) fn open(
        link: &Link,
        tasks: usize,
        part: impl FnOnce(&Block) -> Part<'_>,
    ) -> Option<LedgerClient> {
        Remote::open(link, |port, block| LedgerServer {
            port,
            ledger: Ledger {
                memory: Table::new(part(block), tasks),
            },
        })
    }
}

impl Service for LedgerServer {
    type Message = Request<Question>;

    fn receive(&mut self, from: u32, request: Request<Question>) {
        let answer = self.ledger.answer(from as usize, request.question);
        if let Some(number) = request.number {
            self.port.reply(from, number, answer);
        }
    }

    fn inspect(&mut self) {
        self.ledger.bury();
    }
}
