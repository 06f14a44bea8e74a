//! The functions of mpisync that this job needs, written by hand.

use anyhow::anyhow;
use mpi::{collective::SystemOperation, topology::SimpleCommunicator, traits::*};
use serde::{Serialize, de::DeserializeOwned};

/// The rank that acts alone.
const ROOT: i32 = 0;
/// The tag of the token.
const TOKEN: i32 = 1;

/// Runs `make` on the root and returns its value on all ranks, or its error. The others get at
/// least the message of the error, because an error itself cannot be sent. Collective.
pub fn from_root<T: Serialize + DeserializeOwned>(
    world: &SimpleCommunicator,
    make: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let outcome = (world.rank() == ROOT).then(|| {
        let value = make()?;
        let json = serde_json::to_string(&value)?;
        anyhow::Ok((value, json))
    });
    let message = match &outcome {
        Some(Ok((_, json))) => format!("value {json}"),
        Some(Err(error)) => format!("error {error:#}"),
        None => String::new(),
    };
    let message = broadcast(world, ROOT, message);
    match outcome {
        Some(outcome) => Ok(outcome?.0),
        None => match message.split_once(' ') {
            Some(("value", json)) => Ok(serde_json::from_str(json)?),
            Some((_, error)) => Err(anyhow!(error.to_owned())),
            None => Err(anyhow!("the root sent no value")),
        },
    }
}

/// Makes an error of any rank an error of all: that of the lowest rank that has one. Collective.
pub fn agree<T>(world: &SimpleCommunicator, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
    let mine = if outcome.is_err() {
        world.rank()
    } else {
        world.size()
    };
    let mut first = world.size();
    world.all_reduce_into(&mine, &mut first, SystemOperation::min());
    if first == world.size() {
        return outcome;
    }
    let text = match &outcome {
        Err(error) if first == world.rank() => format!("rank {first}: {error:#}"),
        _ => String::new(),
    };
    Err(anyhow!(broadcast(world, first, text)))
}

/// Sends a text of one rank to all: its length first, so that the others can allocate memory.
/// Collective.
fn broadcast(world: &SimpleCommunicator, from: i32, text: String) -> String {
    let from = world.process_at_rank(from);
    let mut bytes = text.into_bytes();
    let mut len = bytes.len() as u64;
    from.broadcast_into(&mut len);
    bytes.resize(len as usize, 0);
    from.broadcast_into(&mut bytes[..]);
    String::from_utf8(bytes).expect("a text was sent")
}

/// A token that passes around all ranks a fixed number of times. The rank that has it may write.
pub struct Ring<'c> {
    world: &'c SimpleCommunicator,
    turns_left: u32,
    first: bool,
}

impl<'c> Ring<'c> {
    /// A ring in which each rank takes `turns` turns; all must take them all.
    pub fn new(world: &'c SimpleCommunicator, turns: u32) -> Self {
        Ring {
            world,
            turns_left: turns,
            first: true,
        }
    }

    /// Waits for the token, runs `write` and passes the token on.
    pub fn in_turn<T>(&mut self, write: impl FnOnce() -> T) -> T {
        let (rank, size) = (self.world.rank(), self.world.size());
        let starts_it = rank == 0 && self.first;
        if size > 1 && !starts_it {
            let before = self.world.process_at_rank((rank + size - 1) % size);
            let (_token, _status) = before.receive_with_tag::<u8>(TOKEN);
        }
        let outcome = write();
        self.first = false;
        self.turns_left -= 1;
        let ends_it = rank == size - 1 && self.turns_left == 0;
        if size > 1 && !ends_it {
            self.world
                .process_at_rank((rank + 1) % size)
                .send_with_tag(&0_u8, TOKEN);
        }
        outcome
    }
}
