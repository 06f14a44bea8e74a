//! Telling all ranks the shape of an array that one of them has, before anything is made.

use super::{Fault, Kind, Terms, agree, domain_of};
use crate::error::CreateError;
use crate::transport::Asked;
use mpi::traits::Communicator;

/// The most dimensions that an array has.
const MOST: usize = 64;

/// Tells all ranks the shape that `root` passes; collective.
pub(crate) fn announce(
    comm: &impl Communicator,
    root: i32,
    mine: Option<&[usize]>,
) -> Result<Vec<usize>, CreateError> {
    let asked = Asked::default().or_environment();
    let domain = domain_of(comm, &asked)?;
    let comms = domain.comms.as_ref().expect("a domain on a communicator");
    let (size, here) = (comm.size(), comm.rank());
    let terms = Terms {
        arguments: vec![("root", root.to_string())],
        asked,
        ..Terms::of("region", "")
    };
    // No rank may wait for a root that does not know that it is one.
    let mut root_of_rank_0 = root.to_ne_bytes();
    comms.all.broadcast(&mut root_of_rank_0)?;
    let root_of_rank_0 = i32::from_ne_bytes(root_of_rank_0);
    let verdict = if root != root_of_rank_0 {
        Err(Fault::new(
            Kind(Kind::ARGUMENTS + 1),
            CreateError::ArgumentsDiffer {
                argument: "root",
                rank: here,
                rank_0: root_of_rank_0.to_string(),
                here: root.to_string(),
            },
        ))
    } else if !(0..size).contains(&root) {
        let error = CreateError::RootOutOfRange { root, size };
        Err(Fault::new(Kind::INVALID, error))
    } else if root == here && mine.is_none_or(|shape| shape.len() > MOST) {
        Err(Fault::new(Kind::INVALID, CreateError::NoArray { root }))
    } else {
        Ok(())
    };
    agree(&comms.all, &terms, &verdict)?;
    let mut words = [0u64; MOST + 1];
    if let Some(shape) = mine {
        words[0] = shape.len() as u64;
        for (word, &length) in words[1..].iter_mut().zip(shape) {
            *word = length as u64;
        }
    }
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    comms.all.broadcast_from(root, &mut bytes)?;
    let (words, _) = bytes.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_ne_bytes(*word) as usize);
    let dimensions = words.next().unwrap_or(0);
    Ok(words.take(dimensions).collect())
}
