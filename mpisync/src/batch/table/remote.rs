//! A table for the ranks of other nodes: they ask the server of its node.

use crate::batch::table::TaskTable;
use crate::batch::table::memory::SharedTable;
use crate::batch::table::question::{Question, TableAnswer};
use crate::net::{Link, Port, Remote, Request, Service};
use crate::shm::block::Block;
use crate::shm::layout::Part;

/// A table on another node.
pub(crate) type TableClient = Remote<Question, TableAnswer>;

/// Acts in a table for the ranks of other nodes.
pub(crate) struct TableServer {
    port: Port,
    table: TaskTable<SharedTable>,
}

impl TableServer {
    /// Opens the port of an object's table of so many tasks, in the part of its memory that `part`
    /// finds; None on the node where that is.
    pub(crate) fn open(
        link: &Link,
        tasks: usize,
        part: impl FnOnce(&Block) -> Part<'_>,
    ) -> Option<TableClient> {
        Remote::open(link, |port, block| TableServer {
            port,
            table: TaskTable {
                memory: SharedTable::new(part(block), tasks),
            },
        })
    }
}

impl Service for TableServer {
    type Message = Request<Question>;

    fn receive(&mut self, from: u32, request: Request<Question>) {
        let answer = self.table.answer(from as usize, request.question);
        if let Some(number) = request.number {
            self.port.reply(from, number, answer);
        }
    }

    fn inspect(&mut self) {
        self.table.reclaim();
    }
}
