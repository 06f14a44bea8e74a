//! Making a controller's block: the one place where ranks agree through MPI's own collectives.

use super::super::block::Block;
use super::super::domain::Domain;
use super::super::mapping::{Mapping, SharedName};
use super::super::segment::{Extent, Segment, Shape};
use super::super::topology::Topology;
use super::attribute;
use super::carrier::Carrier;
use super::comm::{OwnComm, check};
use crate::error::CreateError;
use crate::memory::words::lock::MAX_RANKS;
use crate::transport::{Asked, Transport};
use mpi::ffi;
use mpi::traits::Communicator;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The longest name of a controller, in bytes.
const LONGEST_NAME: usize = 200;

/// A new controller's memory on this node.
pub(crate) struct Created {
    pub(crate) block: Block,
    /// Where the communicator spans nodes.
    pub(crate) far: Option<CreatedFar>,
}

/// What a controller on several nodes has beside.
pub(crate) struct CreatedFar {
    /// Its number in the communicator, the same on all ranks.
    pub(crate) number: u64,
    /// On the leader, the seat of the node's agent.
    pub(crate) agent: Option<Block>,
}

/// Makes the memory of a new controller on `comm`; collective. All ranks succeed or all fail, once `join` has been
/// called with it on all ranks.
///
/// The leader, rank 0, says what it was asked for and where the block will lie; every rank compares, and the ranks
/// agree on the worst of their verdicts. That is one broadcast and one reduction a controller. Where there are several
/// nodes, each leader says where the block lies on its node, which is one broadcast more.
pub(crate) fn block<T>(
    comm: &impl Communicator,
    arguments: &Arguments<'_>,
    join: impl FnOnce(Created) -> T,
) -> Result<T, CreateError> {
    check_running()?;
    let domain = match attribute::domain(comm.as_raw())? {
        Some(domain) => domain,
        None => new_domain(comm, &arguments.asked)?,
    };
    let comms = domain.comms.as_ref().expect("a domain on a communicator");
    let mut fresh = None;
    let offer = offer(&domain, arguments, &mut fresh)?;
    let verdict = judge(&offer, &comms.all, arguments, &mut fresh)
        .and_then(|()| judge_carrier(&domain, &arguments.asked));
    let agreed = agree(&comms.all, &verdict);
    let leads = domain.topology().is_leader();
    if leads {
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
        if leads {
            let length = domain.segment().shape().block_length();
            let first = domain.segment().begin_chunk(length);
            debug_assert_eq!(Some(first), offer.extent, "as it was offered");
        }
    }
    let extent = offer.extent.expect("agreed upon");
    let far = comms.far.as_ref().map(|far| {
        let number = far.controllers.fetch_add(1, Ordering::Relaxed);
        CreatedFar {
            number,
            agent: leads.then(|| Block::for_agent(Arc::clone(&domain), extent, number)),
        }
    });
    let number = far.as_ref().map(|far| far.number);
    let joined = join(Created {
        block: Block::new(Arc::clone(&domain), extent, number),
        far,
    });
    if comms.far.is_some() {
        // No node is asked for anything before its agent knows of the controller.
        comms.all.minimum(0)?;
    }
    Ok(joined)
}

/// What a controller is made with; the same on all ranks.
#[derive(Clone, Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) master: i32,
    pub(crate) name: Cow<'a, str>,
    pub(crate) handovers: u32,
    /// How nodes are to reach each other; an error where the environment says something that means nothing.
    pub(crate) asked: Result<Asked, CreateError>,
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

/// What rank 0 was asked for, and where the block will lie.
#[derive(Serialize, Deserialize)]
struct Offer {
    master: i32,
    name: String,
    handovers: u32,
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
    fn of(arguments: &Arguments<'_>) -> Self {
        Offer {
            master: arguments.master,
            name: arguments.name.chars().take(LONGEST_NAME).collect(),
            handovers: arguments.handovers,
            chunk: None,
            extent: None,
            errno: 0,
        }
    }

    /// Adds where a block will lie. A chunk that the leader has to add for it is left in `fresh`.
    fn add_block(&mut self, segment: &Segment, fresh: &mut Option<Mapping>) {
        let length = segment.shape().block_length();
        match segment.allocate(length) {
            Ok(extent) => self.extent = Some(extent),
            Err(room) => {
                let at = Extent {
                    chunk: segment.chunks(),
                    offset: 0,
                    length: length as u32,
                };
                self.add_chunk(room, at, fresh);
            }
        }
    }

    /// Adds a new chunk of that length, in which `extent` lies.
    fn add_chunk(&mut self, length: usize, extent: Extent, fresh: &mut Option<Mapping>) {
        match Mapping::create_shared(length) {
            Ok((mapping, name)) => {
                *fresh = Some(mapping);
                self.extent = Some(extent);
                self.chunk = Some(NewChunk {
                    name: name.bits(),
                    length: length as u64,
                });
            }
            Err(error) => self.errno = error.raw_os_error(),
        }
    }
}

/// Lets every rank know what rank 0 was asked for, and what its node's leader offers.
fn offer(
    domain: &Domain,
    arguments: &Arguments<'_>,
    fresh: &mut Option<Mapping>,
) -> Result<Offer, CreateError> {
    let comms = domain.comms.as_ref().expect("a domain on a communicator");
    let mut offer = Offer::of(arguments);
    let node = match &comms.far {
        None => &comms.all,
        Some(far) => {
            offer = broadcast(&comms.all, offer)?;
            &far.node
        }
    };
    if domain.topology().is_leader() {
        offer.add_block(domain.segment(), fresh);
    }
    broadcast(node, offer)
}

/// Sends rank 0's offer to all.
fn broadcast(comm: &OwnComm, offer: Offer) -> Result<Offer, CreateError> {
    // A name takes up to four bytes a character.
    let mut buffer = [0; 4 * LONGEST_NAME + 64];
    if comm.rank() == 0 {
        postcard::to_slice(&offer, &mut buffer).expect("an offer fits");
    }
    comm.broadcast(&mut buffer)?;
    Ok(postcard::from_bytes(&buffer).expect("as it was sent"))
}

/// What one rank finds wrong, if anything; the numbers travel.
fn judge(
    offer: &Offer,
    own: &OwnComm,
    arguments: &Arguments<'_>,
    fresh: &mut Option<Mapping>,
) -> Result<(), Fault> {
    let (master, name) = (arguments.master, &*arguments.name);
    if name.len() > LONGEST_NAME {
        let longest = LONGEST_NAME;
        return Err(Fault::new(1, CreateError::NameTooLong { longest }));
    }
    if !(0..own.size()).contains(&master) {
        let size = own.size();
        let error = CreateError::MasterOutOfRange { master, size };
        return Err(Fault::new(2, error));
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
    let (theirs, mine) = (offer.handovers, arguments.handovers);
    if theirs != mine {
        let error = differ("limit of hand-overs", theirs.to_string(), mine.to_string());
        return Err(Fault::new(6, error));
    }
    if offer.extent.is_none() {
        return Err(Fault::memory(own.rank(), offer.errno));
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

/// The ranks of one communicator reach each other in one way, whichever controller asks for it.
fn judge_carrier(domain: &Domain, asked: &Result<Asked, CreateError>) -> Result<(), Fault> {
    let asked = asked
        .as_ref()
        .map_err(|error| Fault::new(7, error.clone()))?;
    if !domain.topology().spans_nodes() {
        return Ok(());
    }
    let (has, has_thread) = (domain.transport(), domain.has_progress_thread());
    let differs = |what, asked: String, has: String| {
        Err(Fault::new(
            8,
            CreateError::CarrierDiffers { what, asked, has },
        ))
    };
    match (asked.transport, asked.progress_thread) {
        (Some(asked), _) if asked != has => {
            differs("transport", format!("{asked:?}"), format!("{has:?}"))
        }
        (_, Some(asked)) if asked != has_thread => {
            differs("progress_thread", asked.to_string(), has_thread.to_string())
        }
        _ => Ok(()),
    }
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
    const KINDS: i32 = 16;
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
                7 => "an environment variable of mpisync there has no meaning",
                8 => {
                    "it asked for another transport, or progress thread, than the communicator has"
                }
                6 => "its limit of hand-overs is not that of rank 0",
                _ => "it could not map the shared memory",
            },
        }),
    }
}

/// Makes the domain of `comm` and hangs it on `comm`; collective.
fn new_domain(
    comm: &impl Communicator,
    asked: &Result<Asked, CreateError>,
) -> Result<Arc<Domain>, CreateError> {
    let all = OwnComm::duplicate(comm)?;
    let node = all.node()?;
    let made = Topology::gather(&all, &node).and_then(|topology| {
        let wanted = Wanted::of_rank_0(&all, asked)?;
        if topology.spans_nodes() && wanted.progress_thread {
            check_threads(&all)?;
        }
        let first = first_chunk(&all, &node, &topology)?;
        let carrier = topology
            .spans_nodes()
            .then(|| wanted.carrier(&all, &topology))
            .transpose()?;
        Ok((topology, first, carrier))
    });
    let domain = match made {
        Ok((topology, first, Some(carrier))) => {
            Domain::on(all, Some((node, carrier)), topology, first)
        }
        Ok((topology, first, None)) => {
            node.retire();
            Domain::on(all, None, topology, first)
        }
        Err(error) => {
            all.retire();
            node.retire();
            return Err(error);
        }
    };
    let domain = Arc::new(domain);
    // All have stored who they are before anybody looks.
    let comms = domain.comms.as_ref().expect("just given");
    comms.all.minimum(0)?;
    domain.watch();
    attribute::set_domain(comm.as_raw(), &domain)?;
    Ok(domain)
}

impl Topology {
    /// Asks MPI which ranks share memory; collective.
    fn gather(all: &OwnComm, node: &OwnComm) -> Result<Self, CreateError> {
        let rank = all.rank() as u32;
        // Ranks have their order on the node too, so its rank 0 is the lowest.
        let mut leader = rank.to_ne_bytes();
        node.broadcast(&mut leader)?;
        let leader_of = all.gather_all(u32::from_ne_bytes(leader))?;
        Ok(Topology::new(rank, &leader_of))
    }
}

/// Makes and maps the first chunk of shared memory, one on each node; collective.
fn first_chunk(all: &OwnComm, node: &OwnComm, topology: &Topology) -> Result<Mapping, CreateError> {
    let size = all.size();
    if all.minimum((MAX_RANKS - topology.here().len().min(MAX_RANKS)) as i32)? == 0 {
        let most = MAX_RANKS as i32 - 1;
        return Err(CreateError::TooManyRanks { size, most });
    }
    let arguments = Arguments {
        master: 0,
        name: Cow::Borrowed(""),
        handovers: 0,
        asked: Ok(Asked::default()),
    };
    let mut fresh = None;
    let mut offer = Offer::of(&arguments);
    if node.rank() == 0 {
        let length = Segment::first_length(Shape::of(topology));
        offer.add_chunk(length, Extent::default(), &mut fresh);
    }
    let offer = broadcast(node, offer)?;
    let agreed = agree(all, &judge(&offer, all, &arguments, &mut fresh));
    if node.rank() == 0
        && let Some(chunk) = offer.chunk
    {
        SharedName::from_bits(chunk.name).remove();
    }
    agreed.map(|()| fresh.expect("mapped, since all agreed"))
}

/// How nodes are to reach each other.
struct Wanted {
    windows: bool,
    progress_thread: bool,
}

impl Wanted {
    /// What rank 0 wants; the others find out later whether they agree. Collective.
    fn of_rank_0(all: &OwnComm, asked: &Result<Asked, CreateError>) -> Result<Self, CreateError> {
        let asked = asked.as_ref().copied().unwrap_or_default();
        // Messages where nobody says: they work with every MPI, and take less time wherever that was measured.
        let mut words = [
            u8::from(asked.transport == Some(Transport::Windows)),
            u8::from(asked.progress_thread.unwrap_or(true)),
        ];
        all.broadcast(&mut words)?;
        Ok(Wanted {
            windows: words[0] == 1,
            progress_thread: words[1] == 1,
        })
    }

    /// Collective.
    fn carrier(&self, all: &OwnComm, topology: &Topology) -> Result<Carrier, CreateError> {
        if self.windows {
            Carrier::by_windows(all, topology, self.progress_thread)
        } else {
            Ok(Carrier::by_messages(topology, self.progress_thread))
        }
    }
}

/// The nodes' agents call MPI from threads of their own; collective.
fn check_threads(all: &OwnComm) -> Result<(), CreateError> {
    let provided = mpi::environment::threading_support();
    let enough = provided == mpi::Threading::Multiple;
    if all.minimum(enough.into())? == 1 {
        return Ok(());
    }
    Err(CreateError::Threads {
        provided: format!("{provided:?}"),
    })
}
