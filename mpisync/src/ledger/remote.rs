//! A ledger for the ranks of other nodes: they ask the server of its node.

use super::Ledger;
use super::question::{LedgerAnswer, Question};
use crate::memory::ledger::Table;
use crate::net::{Link, Port, Remote, Request, Service};

/// A ledger on another node.
pub(crate) type LedgerClient = Remote<Question, LedgerAnswer>;

/// Opens the port of an object's ledger of so many tasks; None on the node where that is.
pub(crate) fn open(link: &Link, tasks: usize) -> Option<LedgerClient> {
    Remote::open(link, |port, block| LedgerServer {
        port,
        ledger: Ledger {
            memory: Table::new(block, tasks),
        },
    })
}

/// Acts in a ledger for the ranks of other nodes.
struct LedgerServer {
    port: Port,
    ledger: Ledger<Table>,
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
