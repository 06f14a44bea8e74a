//! Making what ranks share: the one place where they agree through MPI's own collectives.
//!
//! Rank 0 says what it was asked for, and the leader of each node where the memory lies; every rank compares, and the
//! ranks agree on the worst of their verdicts. All succeed or all fail.

#[cfg(feature = "region")]
mod announce;
mod controller;
mod domain;
mod slots;
mod terms;

use super::super::domain::Domain;
use super::super::limits::{self, Shortage};
use super::super::mapping::{Mapping, SharedName};
use super::attribute;
use super::comm::{OwnComm, check};
use crate::error::CreateError;
use crate::transport::Asked;
#[cfg(feature = "region")]
pub(crate) use announce::announce;
pub(crate) use controller::{Created, block};
use mpi::ffi;
use mpi::traits::Communicator;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
pub(crate) use slots::{CreatedSlots, slots};
use std::sync::Arc;
use terms::Said;
pub(crate) use terms::Terms;

/// What mpisync keeps for `comm`, made if need be; collective.
fn domain_of(
    comm: &impl Communicator,
    asked: &Result<Asked, CreateError>,
) -> Result<Arc<Domain>, CreateError> {
    match attribute::domain(comm.as_raw())? {
        Some(domain) => Ok(domain),
        None => domain::new(comm, asked),
    }
}

/// MPI must have been initialized, and not finalized; before anything else is asked of a communicator.
pub(crate) fn check_running() -> Result<(), CreateError> {
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

/// Sends rank 0's value to all; collective. It is small: a few hundred bytes.
fn broadcast<T: Serialize + DeserializeOwned>(comm: &OwnComm, value: T) -> Result<T, CreateError> {
    let mut buffer = [0; 2048];
    if comm.rank() == 0 {
        postcard::to_slice(&value, &mut buffer).expect("it fits");
    }
    comm.broadcast(&mut buffer)?;
    Ok(postcard::from_bytes(&buffer).expect("as it was sent"))
}

/// What rank 0 was asked for, and what the node's leader offers.
#[derive(Serialize, Deserialize)]
struct Offer {
    said: Said,
    /// Of a kind that depends on the object, so to be read only by who makes the same.
    body: Vec<u8>,
}

impl Offer {
    /// Lets every rank know what rank 0 was asked for, and what its node's leader offers, by `make`; collective. A leader
    /// that was asked for something else than rank 0 is told so: then nothing will be made.
    fn exchange<B: Serialize>(
        domain: &Domain,
        terms: &Terms<'_>,
        make: impl FnOnce(bool) -> B,
    ) -> Result<Self, CreateError> {
        let comms = domain.comms.as_ref().expect("a domain on a communicator");
        let mut offer = Offer {
            said: terms.said(),
            body: Vec::new(),
        };
        let node = match &comms.far {
            None => &comms.all,
            Some(far) => {
                offer = broadcast(&comms.all, offer)?;
                &far.node
            }
        };
        if domain.topology().is_leader() {
            let is_wanted = terms.judge(domain, &offer.said).is_ok();
            offer.body = postcard::to_stdvec(&make(is_wanted)).expect("an offer is plain data");
        }
        broadcast(node, offer)
    }

    fn body<B: DeserializeOwned>(&self) -> B {
        postcard::from_bytes(&self.body).expect("an offer of the same object")
    }
}

/// New shared memory that a leader offers to the ranks of its node, or why there is none.
#[derive(Serialize, Deserialize, Clone, Copy)]
struct NewMemory(Result<(u64, u64), Refusal>);

/// Why there is no memory.
#[derive(Serialize, Deserialize, Clone, Copy)]
enum Refusal {
    /// The operating system's error number.
    System(i32),
    Shortage(Shortage),
}

impl NewMemory {
    /// Creates it.
    fn create(length: usize, mine: &mut Option<Mapping>) -> Self {
        let room = limits::check(length, true).map_err(Refusal::Shortage);
        NewMemory(room.and_then(|()| {
            let created = Mapping::create_shared(length);
            let (mapping, name) = created.map_err(|error| Refusal::System(error.raw_os_error()))?;
            *mine = Some(mapping);
            Ok((name.bits(), length as u64))
        }))
    }

    /// Maps it, where that has not been done.
    fn map(self, rank: i32, mine: &mut Option<Mapping>) -> Result<(), Fault> {
        let (name, length) = self.0.map_err(|refusal| Fault::refused(rank, refusal))?;
        if mine.is_none() {
            let mapped = Mapping::open_shared(SharedName::from_bits(name), length as usize);
            *mine = Some(mapped.map_err(|error| Fault::memory(rank, error.raw_os_error()))?);
        }
        Ok(())
    }

    /// Removes the name, once all have mapped it or given up.
    fn remove_name(self) {
        if let Ok((name, _)) = self.0 {
            SharedName::from_bits(name).remove();
        }
    }
}

/// A fault that one rank has found: its kind, for the others, and its own words.
struct Fault {
    kind: Kind,
    error: CreateError,
}

/// What travels of a fault. Numbers from [`Kind::ARGUMENTS`] on are arguments that differ.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind(i32);

impl Kind {
    const INVALID: Kind = Kind(1);
    const OTHER_OBJECT: Kind = Kind(2);
    const MEMORY: Kind = Kind(3);
    const ENVIRONMENT: Kind = Kind(4);
    const CARRIER: Kind = Kind(5);
    const ARGUMENTS: i32 = 8;
    const ALL: i32 = 32;

    /// What it was, for a rank that did not find it; `arguments` are what the object is made with.
    fn explain(self, arguments: &Terms<'_>) -> String {
        match self {
            Kind::INVALID => "one of its arguments cannot be".to_owned(),
            Kind::OTHER_OBJECT => "it makes another kind of object".to_owned(),
            Kind::MEMORY => "it could not have the memory".to_owned(),
            Kind::ENVIRONMENT => {
                "an environment variable of mpisync there has no meaning".to_owned()
            }
            Kind::CARRIER => {
                "it asked for another transport, or progress thread, than the communicator has"
                    .to_owned()
            }
            Kind(number) => {
                let argument = arguments.argument((number - Kind::ARGUMENTS) as usize);
                format!("its {argument} is not that of rank 0")
            }
        }
    }
}

impl Fault {
    fn new(kind: Kind, error: CreateError) -> Self {
        Fault { kind, error }
    }

    fn refused(rank: i32, refusal: Refusal) -> Self {
        let error = match refusal {
            Refusal::System(errno) => return Fault::memory(rank, errno),
            Refusal::Shortage(short) => short.on(rank),
        };
        Fault::new(Kind::MEMORY, error)
    }

    fn memory(rank: i32, errno: i32) -> Self {
        let source = std::io::Error::from_raw_os_error(errno).into();
        Fault::new(Kind::MEMORY, CreateError::Memory { rank, source })
    }
}

/// The ranks agree: fine on all of them, or the fault of the lowest rank that found one. Collective.
fn agree(own: &OwnComm, terms: &Terms<'_>, verdict: &Result<(), Fault>) -> Result<(), CreateError> {
    let mine = match verdict {
        Ok(()) => i32::MAX,
        Err(fault) => own.rank() * Kind::ALL + fault.kind.0,
    };
    let first = own.minimum(mine)?;
    if first == i32::MAX {
        return Ok(());
    }
    match verdict {
        Err(fault) => Err(fault.error.clone()),
        Ok(()) => Err(CreateError::OtherRank {
            rank: first / Kind::ALL,
            found: Kind(first % Kind::ALL).explain(terms),
        }),
    }
}
