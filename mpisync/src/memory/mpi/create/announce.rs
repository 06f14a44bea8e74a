//! Telling all ranks the shape of an array that one of them has, before anything is made.

use super::{Offer, Terms, agree, domain_of};
use crate::error::CreateError;
use crate::transport::Asked;
use mpi::traits::Communicator;

/// The most dimensions that an array has.
const MOST: usize = 64;

/// Tells all ranks the shape that `root` passes, of an array of items of so many bytes; collective.
pub(crate) fn announce(
    comm: &impl Communicator,
    root: i32,
    mine: Option<&[usize]>,
    item: usize,
) -> Result<Vec<usize>, CreateError> {
    let size = comm.size();
    let invalid = match mine {
        _ if !(0..size).contains(&root) => Some(CreateError::RootOutOfRange { root, size }),
        None if root == comm.rank() => Some(CreateError::NoArray { root }),
        Some(shape) if shape.len() > MOST => Some(CreateError::Shape {
            shape: shape.to_vec(),
            bytes: item,
        }),
        _ => None,
    };
    let terms = Terms {
        arguments: vec![("root", root.to_string())],
        invalid,
        asked: Asked::default().or_environment(),
        ..Terms::of("region from a root", "")
    };
    let domain = domain_of(comm, &terms.asked)?;
    let comms = domain.comms.as_ref().expect("a domain on a communicator");
    // No rank may wait for a root that does not know that it is one.
    let offer = Offer::exchange(&domain, &terms, |_| ())?;
    agree(&comms.all, &terms, &terms.judge(&domain, &offer.said))?;
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
