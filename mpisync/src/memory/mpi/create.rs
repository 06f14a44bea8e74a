//! Making a controller's block: the one place where ranks agree through MPI's own collectives.

use super::super::block::Block;
use super::super::domain::Domain;
use super::super::mapping::{Mapping, SharedName};
use super::super::segment::{Extent, Segment};
use super::attribute;
use super::comm::{OwnComm, check};
use crate::error::CreateError;
use crate::memory::words::lock::{DoorKind, MAX_RANKS};
use mpi::ffi;
use mpi::traits::Communicator;
use rustix::io;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest name of a controller, in bytes.
const LONGEST_NAME: usize = 200;

/// Makes the block of a new controller on `comm`; collective. All ranks succeed or all fail.
///
/// The leader, rank 0, says what it was asked for and where the block will lie; every rank compares, and the ranks
/// agree on the worst of their verdicts. That is one broadcast and one reduction a controller.
pub(crate) fn block(
    comm: &impl Communicator,
    master: i32,
    name: &str,
) -> Result<Block, CreateError> {
    check_running()?;
    let domain = match attribute::domain(comm.as_raw())? {
        Some(domain) => domain,
        None => new_domain(comm)?,
    };
    let own = domain
        .comm
        .as_ref()
        .expect("a domain made on a communicator");
    let mut fresh = None;
    let offer = share_offer(own, || {
        Offer::make(domain.segment(), master, name, &mut fresh)
    })?;
    let verdict = judge(&offer, own, master, name, &mut fresh);
    let agreed = agree(own, &verdict);
    if own.rank() == 0 {
        if let Some(chunk) = offer.chunk {
            SharedName::from_bits(chunk.name).remove();
        } else if agreed.is_err()
            && let Some(extent) = offer.extent
        {
            domain.segment().take_back(extent);
        }
    }
    agreed?;
    if let Some(chunk) = fresh {
        domain.segment().add_chunk(chunk);
        if own.rank() == 0 {
            let length = Block::length(domain.segment().ranks());
            let first = domain.segment().begin_chunk(length);
            debug_assert_eq!(Some(first), offer.extent, "as it was offered");
        }
    }
    let extent = offer.extent.expect("agreed upon");
    Ok(Block::new(domain, extent, DoorKind::Turn))
}

/// MPI must have been initialized, and not finalized.
fn check_running() -> Result<(), CreateError> {
    let (mut initialized, mut finalized) = (0, 0);
    // SAFETY: these two may be called at any time (MPI 4.1, 11.4.1 and 11.2.2).
    unsafe {
        check("MPI_Initialized", ffi::MPI_Initialized(&mut initialized))?;
        check("MPI_Finalized", ffi::MPI_Finalized(&mut finalized))?;
    }
    if initialized == 0 {
        return Err(CreateError::NotInitialized);
    }
    if finalized != 0 {
        return Err(CreateError::Finalized);
    }
    Ok(())
}

/// What the leader was asked for, and where the block will lie.
#[derive(Serialize, Deserialize)]
struct Offer {
    master: i32,
    name: String,
    /// A new chunk of shared memory that all have to map first.
    chunk: Option<NewChunk>,
    /// None when the leader could not get memory.
    extent: Option<Extent>,
    /// The error number, in that case.
    errno: i32,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct NewChunk {
    name: u64,
    length: u64,
}

impl Offer {
    /// The leader's part. A chunk that it has to add is left in `fresh`.
    fn make(segment: &Segment, master: i32, name: &str, fresh: &mut Option<Mapping>) -> Self {
        let mut offer = Offer {
            master,
            name: name.chars().take(LONGEST_NAME).collect(),
            chunk: None,
            extent: None,
            errno: 0,
        };
        let length = Block::length(segment.ranks());
        match segment.allocate(length) {
            Ok(extent) => offer.extent = Some(extent),
            Err(room) => match new_chunk(room, fresh) {
                Ok(chunk) => {
                    offer.chunk = Some(chunk);
                    offer.extent = Some(Extent {
                        chunk: segment.chunks(),
                        offset: 0,
                        length: length as u32,
                    });
                }
                Err(error) => offer.errno = error.raw_os_error(),
            },
        }
        offer
    }
}

fn new_chunk(length: usize, fresh: &mut Option<Mapping>) -> io::Result<NewChunk> {
    let (mapping, name) = Mapping::create_shared(length)?;
    *fresh = Some(mapping);
    Ok(NewChunk {
        name: name.bits(),
        length: length as u64,
    })
}

/// Sends the leader's offer to all.
fn share_offer(own: &OwnComm, make: impl FnOnce() -> Offer) -> Result<Offer, CreateError> {
    // A name takes up to four bytes a character.
    let mut buffer = [0; 4 * LONGEST_NAME + 64];
    if own.rank() == 0 {
        postcard::to_slice(&make(), &mut buffer).expect("an offer fits");
    }
    own.broadcast(&mut buffer)?;
    Ok(postcard::from_bytes(&buffer).expect("as it was sent"))
}

/// What one rank finds wrong, if anything; the numbers travel.
fn judge(
    offer: &Offer,
    own: &OwnComm,
    master: i32,
    name: &str,
    fresh: &mut Option<Mapping>,
) -> Result<(), Fault> {
    if name.len() > LONGEST_NAME {
        return Err(Fault::new(
            1,
            CreateError::NameTooLong {
                longest: LONGEST_NAME,
            },
        ));
    }
    if !(0..own.size()).contains(&master) {
        let size = own.size();
        return Err(Fault::new(
            2,
            CreateError::MasterOutOfRange { master, size },
        ));
    }
    let differ = |argument, rank_0: String, here: String| CreateError::ArgumentsDiffer {
        argument,
        rank: own.rank(),
        rank_0,
        here,
    };
    if master != offer.master {
        let error = differ("master", offer.master.to_string(), master.to_string());
        return Err(Fault::new(3, error));
    }
    if name != offer.name {
        return Err(Fault::new(
            4,
            differ("name", offer.name.clone(), name.to_owned()),
        ));
    }
    if offer.extent.is_none() {
        return Err(Fault::memory(0, offer.errno));
    }
    if let Some(chunk) = offer.chunk
        && fresh.is_none()
    {
        let name = SharedName::from_bits(chunk.name);
        let mapped = Mapping::open_shared(name, chunk.length as usize);
        *fresh = Some(mapped.map_err(|error| Fault::memory(own.rank(), error.raw_os_error()))?);
    }
    Ok(())
}

/// A fault that one rank has found: its number, for the others, and its own words.
struct Fault {
    kind: i32,
    error: CreateError,
}

impl Fault {
    fn new(kind: i32, error: CreateError) -> Self {
        Fault { kind, error }
    }

    fn memory(rank: i32, errno: i32) -> Self {
        let source = std::io::Error::from_raw_os_error(errno);
        Fault::new(
            5,
            CreateError::Memory {
                rank,
                source: source.into(),
            },
        )
    }
}

/// The ranks agree: fine on all of them, or the fault of the lowest rank that found one.
fn agree(own: &OwnComm, verdict: &Result<(), Fault>) -> Result<(), CreateError> {
    const KINDS: i32 = 8;
    let mine = match verdict {
        Ok(()) => i32::MAX,
        Err(fault) => own.rank() * KINDS + fault.kind,
    };
    let first = own.minimum(mine)?;
    if first == i32::MAX {
        return Ok(());
    }
    match verdict {
        Err(fault) => Err(fault.error.clone()),
        Ok(()) => Err(CreateError::OtherRank {
            rank: first / KINDS,
            found: match first % KINDS {
                1 => "its name for the controller is too long",
                2 => "its master is not a rank of the communicator",
                3 => "its master is not that of rank 0",
                4 => "its name for the controller is not that of rank 0",
                _ => "it could not map the shared memory",
            },
        }),
    }
}

/// Makes the domain of `comm` and hangs it on `comm`; collective.
fn new_domain(comm: &impl Communicator) -> Result<Arc<Domain>, CreateError> {
    let own = OwnComm::duplicate(comm)?;
    let (rank, size) = (own.rank(), own.size());
    let made = first_chunk(&own);
    let domain = match made {
        Ok(first) => Domain::on(own, first),
        Err(error) => {
            own.retire();
            return Err(error);
        }
    };
    let own = domain.comm.as_ref().expect("just given");
    // All have stored who they are before anybody looks.
    own.minimum(rank)?;
    domain.watch();
    debug_assert_eq!(domain.segment().ranks(), size as usize);
    let domain = Arc::new(domain);
    attribute::set_domain(comm.as_raw(), &domain)?;
    Ok(domain)
}

/// Makes and maps the first chunk of shared memory; collective.
fn first_chunk(own: &OwnComm) -> Result<Mapping, CreateError> {
    let size = own.size();
    if size as usize > MAX_RANKS {
        let most = MAX_RANKS as i32;
        return Err(CreateError::TooManyRanks { size, most });
    }
    if own.minimum(own.node_size()?)? < size {
        return Err(CreateError::SpansNodes { size });
    }
    let mut fresh = None;
    let offer = share_offer(own, || {
        let chunk = new_chunk(Segment::first_length(size as usize), &mut fresh);
        Offer {
            master: 0,
            name: String::new(),
            chunk: chunk.as_ref().ok().copied(),
            extent: chunk.is_ok().then(Extent::default),
            errno: chunk.err().map_or(0, io::Errno::raw_os_error),
        }
    })?;
    let agreed = agree(own, &judge(&offer, own, 0, "", &mut fresh));
    if own.rank() == 0
        && let Some(chunk) = offer.chunk
    {
        SharedName::from_bits(chunk.name).remove();
    }
    agreed.map(|()| fresh.expect("mapped, since all agreed"))
}
