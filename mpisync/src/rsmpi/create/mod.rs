//! Making objects: the only code that uses MPI's collectives.
//!
//! Rank 0 sends its arguments, and the leader of each node the position of the memory. Every rank
//! compares, and the ranks agree: all succeed, or all fail. If a rank has died or does not come, the
//! others give up, and make no further object on the communicator.

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
use crate::shm::mapping::{Handle, Mapping, SharedFile};
use mpi::traits::Communicator;
use rustix::fd::OwnedFd;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::sync::Arc;

/// The context of `comm`, made if there is none. Collective.
fn context_of(
    comm: &impl Communicator,
    arguments: &CreationArguments<'_>,
) -> Result<Arc<Context>, CreateError> {
    let context = match attribute::kept(comm.as_raw())? {
        Some(kept) => kept?,
        None => context::new(comm, arguments)?,
    };
    context.all().waiting().begin(arguments.create_limit())?;
    Ok(context)
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
    if comm.size() == 1 {
        return Ok(value);
    }
    // The length, then the value.
    let mut first = Vec::with_capacity(FIRST_BYTES);
    first.resize(LENGTH, 0);
    let mut rest = Vec::new();
    if comm.rank() == root {
        first = postcard::to_extend(&value, first).expect("plain data");
        let length = (first.len() - LENGTH) as u64;
        first[..LENGTH].copy_from_slice(&length.to_ne_bytes());
        rest = first.split_off(first.len().min(FIRST_BYTES));
    }
    first.resize(FIRST_BYTES, 0);
    let mut bytes = comm.broadcast_from(root, first)?;
    let length = *bytes.first_chunk().expect("it is longer");
    let end = LENGTH + u64::from_ne_bytes(length) as usize;
    rest.resize(end.saturating_sub(FIRST_BYTES), 0);
    for part in rest.chunks(NEXT_BYTES) {
        bytes.extend(comm.broadcast_from(root, part.to_vec())?);
    }
    Ok(postcard::from_bytes(&bytes[LENGTH..end]).expect("as it was sent"))
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
                here_object: arguments.to_string().into(),
                rank_0_object: None,
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
fn check_length(
    object: &dyn Display,
    rank: i32,
    leader: usize,
    here: usize,
) -> Result<(), CreateError> {
    if leader == here {
        return Ok(());
    }
    Err(CreateError::LengthsDiffer {
        rank,
        object: object.to_string().into(),
        leader,
        here,
    })
}

/// New shared memory that a leader proposes to the ranks of its node: how to find it and its length,
/// or why there is none.
#[derive(Serialize, Deserialize, Clone, Copy)]
struct NewMemory(Result<(Handle, u64), Rejection>);

/// New shared memory, as a rank of the node has it.
#[derive(Default)]
struct Mine {
    mapping: Option<Mapping>,
    /// On the leader, kept until all ranks have mapped the memory or failed.
    file: Option<SharedFile>,
    /// On the other ranks.
    opened: Option<OwnedFd>,
}

impl Mine {
    /// The mapping, and its file if it can be had, once all ranks have mapped the memory.
    fn into_parts(self) -> (Mapping, Option<OwnedFd>) {
        let created = self.file.and_then(|file| file.descriptor().ok());
        let mapping = self.mapping.expect("mapped, since all agreed");
        (mapping, created.or(self.opened))
    }
}

/// Why there is no memory.
#[derive(Serialize, Deserialize, Clone, Copy)]
enum Rejection {
    /// The operating system's error number.
    System(i32),
    Shortage(Shortage),
}

impl Rejection {
    fn of(error: rustix::io::Errno) -> Self {
        Rejection::System(error.raw_os_error())
    }

    fn on(self, rank: i32) -> CreateError {
        match self {
            Rejection::System(errno) => no_memory(rank, errno),
            Rejection::Shortage(short) => short.on(rank),
        }
    }
}

fn no_memory(rank: i32, errno: i32) -> CreateError {
    let error = std::io::Error::from_raw_os_error(errno).into();
    CreateError::Memory { rank, error }
}

impl NewMemory {
    /// Creates it, all of it allocated.
    fn create(length: usize, mine: &mut Mine) -> Self {
        Self::create_partly(length, length, mine)
    }

    /// Creates it; the first `reserved` bytes are allocated.
    fn create_partly(length: usize, reserved: usize, mine: &mut Mine) -> Self {
        let room = limits::check_shared(length, reserved).map_err(Rejection::Shortage);
        NewMemory(room.and_then(|()| {
            let created = Mapping::create_shared(length, reserved);
            let (mapping, file) = created.map_err(Rejection::of)?;
            let handle = file.handle();
            *mine = Mine {
                mapping: Some(mapping),
                file: Some(file),
                opened: None,
            };
            Ok((handle, length as u64))
        }))
    }

    /// As the leader: gives the memory a name, for ranks that cannot open the descriptor.
    fn give_name(&mut self, mine: &mut Mine) {
        if let (Ok((handle, _)), Some(file)) = (&mut self.0, &mut mine.file) {
            match file.give_name() {
                Ok(()) => *handle = file.handle(),
                Err(error) => self.0 = Err(Rejection::of(error)),
            }
        }
    }

    /// Whether there is memory.
    fn exists(self) -> bool {
        self.0.is_ok()
    }

    /// Whether there is memory without a name.
    fn is_unnamed(self) -> bool {
        self.0.is_ok_and(|(handle, _)| !handle.is_named())
    }

    /// Its length.
    fn length(self, rank: i32) -> Result<usize, CreateError> {
        match self.0 {
            Ok((_, length)) => Ok(length as usize),
            Err(refusal) => Err(refusal.on(rank)),
        }
    }

    /// Maps it, unless this rank has mapped it before.
    fn map(self, rank: i32, mine: &mut Mine) -> Result<(), CreateError> {
        let (handle, length) = self.0.map_err(|refusal| refusal.on(rank))?;
        if mine.mapping.is_none() {
            let mapped = Mapping::open_shared(handle, length as usize);
            let (mapping, file) = mapped.map_err(|error| Rejection::of(error).on(rank))?;
            (mine.mapping, mine.opened) = (Some(mapping), Some(file));
        }
        Ok(())
    }
}

/// Agrees on the outcome: success on all ranks, or an error on all, their own or that of the lowest
/// rank with an error. Collective; called once a creation.
fn agree(own: &OwnComm, verdict: &Result<(), CreateError>) -> Result<(), CreateError> {
    let mine = match verdict {
        Ok(()) => i32::MAX,
        Err(_) => own.rank(),
    };
    let rank = match own.waiting().smallest_verdict(mine) {
        Some(smallest) => smallest?,
        None => own.minimum(mine)?,
    };
    if rank == i32::MAX {
        return Ok(());
    }
    // What a rank misses may be the memory of a dead one. A rank that has ended has done its part: it may know the
    // outcome already.
    if let Some(death) = own.waiting().death() {
        return Err(death);
    }
    let found = verdict.as_ref().err().map(CreateError::to_string);
    let found = broadcast_from(own, rank, found.unwrap_or_default())?;
    match verdict {
        Err(error) => Err(error.clone()),
        Ok(()) => Err(CreateError::OtherRank { rank, found }),
    }
}
