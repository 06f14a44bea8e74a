//! Making objects: the only code that uses MPI's collectives.
//!
//! Rank 0 sends its arguments, and the leader of each node the position of the memory. Every rank
//! compares, and the ranks agree: all succeed, or all fail.

mod announce;
mod arguments;
mod context;
mod creation;
mod launcher;
mod memory;
mod object;

use crate::error::CreateError;
use crate::rsmpi::attribute;
use crate::rsmpi::comm::OwnComm;
use crate::rsmpi::context::Context;
pub(crate) use crate::rsmpi::create::announce::announce;
pub(crate) use crate::rsmpi::create::arguments::CreationArguments;
pub(crate) use crate::rsmpi::create::creation::Creation;
pub(crate) use crate::rsmpi::create::memory::{CreatedMemory, Room, memory};
pub(crate) use crate::rsmpi::create::object::{Created, block};
use crate::shm::limits;
use crate::shm::limits::Shortage;
use crate::shm::mapping::{Mapping, SharedName};
use mpi::traits::Communicator;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The context of `comm`, made if there is none. Collective.
fn context_of(
    comm: &impl Communicator,
    arguments: &CreationArguments<'_>,
) -> Result<Arc<Context>, CreateError> {
    match attribute::context(comm.as_raw())? {
        Some(context) => Ok(context),
        None => context::new(comm, arguments),
    }
}

/// The number of bytes of the first broadcast: enough for nearly all values.
const FIRST_BYTES: usize = 2048;
/// The number of bytes of each further broadcast; MPI counts with 31 bits.
const NEXT_BYTES: usize = 1 << 30;

/// Sends rank 0's value to all ranks. Collective.
fn broadcast<T: Serialize + DeserializeOwned>(comm: &OwnComm, value: T) -> Result<T, CreateError> {
    broadcast_from(comm, 0, value)
}

/// Sends the value of `root` to all ranks, of any length. Collective. A value of more than 2 KiB
/// takes further broadcasts.
fn broadcast_from<T: Serialize + DeserializeOwned>(
    comm: &OwnComm,
    root: i32,
    value: T,
) -> Result<T, CreateError> {
    const LENGTH: usize = size_of::<u64>();
    let is_root = comm.rank() == root;
    let mut bytes = Vec::new();
    if is_root {
        bytes = postcard::to_stdvec(&value).expect("plain data");
    }
    let mut first = [0; FIRST_BYTES];
    first[..LENGTH].copy_from_slice(&(bytes.len() as u64).to_ne_bytes());
    let with_first = bytes.len().min(FIRST_BYTES - LENGTH);
    first[LENGTH..][..with_first].copy_from_slice(&bytes[..with_first]);
    comm.broadcast_from(root, &mut first)?;
    let (length, begin) = first.split_first_chunk().expect("it is longer");
    let length = u64::from_ne_bytes(*length) as usize;
    let with_first = length.min(begin.len());
    if !is_root {
        bytes.extend_from_slice(&begin[..with_first]);
        bytes.resize(length, 0);
    }
    for part in bytes[with_first..].chunks_mut(NEXT_BYTES) {
        comm.broadcast_from(root, part)?;
    }
    Ok(postcard::from_bytes(&bytes).expect("as it was sent"))
}

/// The version of mpisync, which determines the encoding of everything else.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The arguments of rank 0, and the proposal of the node's leader.
#[derive(Serialize, Deserialize)]
struct Proposal {
    version: String,
    /// The arguments, to be decoded by the same version only.
    said: Vec<u8>,
    /// The proposal of a leader whose arguments are those of rank 0. Its type depends on the
    /// object, so only ranks that make the same object can decode it.
    body: Vec<u8>,
}

impl Proposal {
    /// Sends the arguments of rank 0, and the proposal that `make` returns on the node's leader, to
    /// every rank. Collective. A leader with other arguments than rank 0 proposes nothing.
    fn exchange<B: Serialize>(
        context: &Context,
        arguments: &CreationArguments<'_>,
        make: impl FnOnce() -> B,
    ) -> Result<Self, CreateError> {
        let mut proposal = Proposal {
            version: VERSION.to_owned(),
            said: encode(&arguments.said()),
            body: Vec::new(),
        };
        let node = match context.remote() {
            None => context.all(),
            Some(remote) => {
                proposal = broadcast(context.all(), proposal)?;
                &remote.node
            }
        };
        if context.domain().topology().is_leader() {
            let is_wanted = proposal.judge(context, arguments).is_ok();
            proposal.body = encode(&is_wanted.then(make));
        }
        broadcast(node, proposal)
    }

    /// Compares the arguments of rank 0 with those of this rank.
    fn judge(
        &self,
        context: &Context,
        arguments: &CreationArguments<'_>,
    ) -> Result<(), CreateError> {
        if self.version != VERSION {
            return Err(CreateError::ArgumentsDiffer {
                argument: "version of mpisync",
                rank: context.all().rank(),
                rank_0: self.version.clone(),
                here: VERSION.to_owned(),
            });
        }
        let said = postcard::from_bytes(&self.said).expect("arguments of the same version");
        arguments.judge(context, &said)
    }

    /// The proposal of the leader; None if its arguments differ from those of rank 0. Called by a
    /// rank whose arguments do not.
    fn body<B: DeserializeOwned>(&self) -> Option<B> {
        postcard::from_bytes(&self.body).expect("a proposal of the same object")
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data")
}

/// Checks that the leader and this rank have computed the same length from the same arguments.
fn check_length(rank: i32, leader: usize, here: usize) -> Result<(), CreateError> {
    if leader == here {
        return Ok(());
    }
    Err(CreateError::LengthsDiffer { rank, leader, here })
}

/// New shared memory that a leader proposes to the ranks of its node: its name and length, or why
/// there is none.
#[derive(Serialize, Deserialize, Clone, Copy)]
struct NewMemory(Result<(u64, u64), Rejection>);

/// Why there is no memory.
#[derive(Serialize, Deserialize, Clone, Copy)]
enum Rejection {
    /// The operating system's error number.
    System(i32),
    Shortage(Shortage),
}

impl Rejection {
    fn on(self, rank: i32) -> CreateError {
        match self {
            Rejection::System(errno) => no_memory(rank, errno),
            Rejection::Shortage(short) => short.on(rank),
        }
    }
}

fn no_memory(rank: i32, errno: i32) -> CreateError {
    let source = std::io::Error::from_raw_os_error(errno).into();
    CreateError::Memory { rank, source }
}

impl NewMemory {
    /// Creates it.
    fn create(length: usize, mine: &mut Option<Mapping>) -> Self {
        let room = limits::check(length, true).map_err(Rejection::Shortage);
        NewMemory(room.and_then(|()| {
            let created = Mapping::create_shared(length);
            let (mapping, name) =
                created.map_err(|error| Rejection::System(error.raw_os_error()))?;
            *mine = Some(mapping);
            Ok((name.bits(), length as u64))
        }))
    }

    /// Its length.
    fn length(self, rank: i32) -> Result<usize, CreateError> {
        match self.0 {
            Ok((_, length)) => Ok(length as usize),
            Err(refusal) => Err(refusal.on(rank)),
        }
    }

    /// Maps it, unless this rank has mapped it before.
    fn map(self, rank: i32, mine: &mut Option<Mapping>) -> Result<(), CreateError> {
        let (name, length) = self.0.map_err(|refusal| refusal.on(rank))?;
        if mine.is_none() {
            let mapped = Mapping::open_shared(SharedName::from_bits(name), length as usize);
            *mine = Some(mapped.map_err(|error| no_memory(rank, error.raw_os_error()))?);
        }
        Ok(())
    }

    /// Removes the name, after all ranks have mapped the memory or failed.
    fn remove_name(self) {
        if let Ok((name, _)) = self.0 {
            SharedName::from_bits(name).remove();
        }
    }
}

/// Agrees on the outcome: success on all ranks, or an error on all, their own or that of the lowest
/// rank with an error. Collective.
fn agree(own: &OwnComm, verdict: &Result<(), CreateError>) -> Result<(), CreateError> {
    let mine = match verdict {
        Ok(()) => i32::MAX,
        Err(_) => own.rank(),
    };
    let rank = own.minimum(mine)?;
    if rank == i32::MAX {
        return Ok(());
    }
    let found = verdict.as_ref().err().map(CreateError::to_string);
    let found = broadcast_from(own, rank, found.unwrap_or_default())?;
    match verdict {
        Err(error) => Err(error.clone()),
        Ok(()) => Err(CreateError::OtherRank { rank, found }),
    }
}
