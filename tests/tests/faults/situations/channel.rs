//! A channel.

use anyhow::Result;
use mpisync::{ChannelError, RemoteChannel};

use crate::cell::{Cell, FOREVER, RANKS};

/// Only the victim takes, and the others put more than there is room for.
pub fn put(cell: &Cell) -> Result<()> {
    let (producer, consumer) = RemoteChannel::<i32>::new(&cell.world, 1)?.split();
    if cell.is_victim() {
        drop(producer);
        let consumer = cell.strike_with(consumer)?;
        while consumer.take().is_some() {}
        return Ok(());
    }
    drop(consumer);
    let put = || producer.put_timeout(cell.rank, FOREVER);
    let outcome = put().and_then(|()| put());
    drop(producer);
    cell.answer(outcome.map_err(ChannelError::from))
}

/// Only the victim puts, and has put nothing so far.
pub fn take(cell: &Cell) -> Result<()> {
    let (producer, consumer) = RemoteChannel::<i32>::new(&cell.world, RANKS)?.split();
    if cell.is_victim() {
        drop(consumer);
        let producer = cell.strike_with(producer)?;
        for message in 1..RANKS {
            producer.put(message as i32)?;
        }
        return Ok(());
    }
    drop(producer);
    cell.answer(consumer.take_timeout(FOREVER))
}

/// All others have put their messages, and take until the end.
pub fn take_to_the_end(cell: &Cell) -> Result<()> {
    let (producer, consumer) = RemoteChannel::<i32>::new(&cell.world, RANKS)?.split();
    if cell.is_victim() {
        drop(consumer);
        drop(cell.strike_with(producer)?);
        return Ok(());
    }
    producer.put(cell.rank)?;
    drop(producer);
    let outcome = loop {
        match consumer.take_timeout(FOREVER) {
            Ok(Some(_)) => {}
            outcome => break outcome,
        }
    };
    cell.answer(outcome)
}
