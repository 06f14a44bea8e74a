//! What an object is made with, compared between ranks.

use super::super::super::annex::Annex;
use super::super::super::domain::Domain;
use super::{Fault, Kind};
use crate::error::CreateError;
use crate::transport::Asked;
use serde::{Deserialize, Serialize};

/// The longest name of an object, in bytes.
const LONGEST_NAME: usize = 200;
/// How much of a long argument travels, in characters.
const LONGEST_VALUE: usize = 200;

/// What an object is made with. The same on all ranks, or none of them makes it.
#[derive(Clone, Debug)]
pub(crate) struct Terms<'a> {
    /// What it is called in messages: a controller, a channel.
    pub(crate) object: &'static str,
    pub(crate) name: &'a str,
    /// The other arguments: what they are called, and their values as text.
    pub(crate) arguments: Vec<(&'static str, String)>,
    /// An argument that cannot be, on whatever rank.
    pub(crate) invalid: Option<CreateError>,
    /// What lies behind the block.
    pub(crate) annex: Annex,
    /// How nodes are to reach each other; an error where the environment says something that means nothing.
    pub(crate) asked: Result<Asked, CreateError>,
}

/// The terms as they travel.
#[derive(Serialize, Deserialize)]
pub(super) struct Said {
    object: String,
    name: String,
    values: Vec<String>,
}

impl<'a> Terms<'a> {
    /// Those of an object of that name, without further arguments.
    pub(crate) fn of(object: &'static str, name: &'a str) -> Self {
        Terms {
            object,
            name,
            arguments: Vec::new(),
            invalid: None,
            annex: Annex::None,
            asked: Ok(Asked::default()),
        }
    }

    /// What rank 0 tells the others.
    pub(super) fn said(&self) -> Said {
        let cut = |text: &str, longest| text.chars().take(longest).collect();
        Said {
            object: self.object.to_owned(),
            name: cut(self.name, LONGEST_NAME),
            values: (self.arguments.iter())
                .map(|(_, value)| cut(value, LONGEST_VALUE))
                .collect(),
        }
    }

    /// What the argument with this number is called.
    pub(super) fn argument(&self, number: usize) -> &'static str {
        match number.checked_sub(1) {
            None => "name",
            Some(index) => self
                .arguments
                .get(index)
                .map_or("argument", |(what, _)| what),
        }
    }

    /// Compares with what rank 0 said, and with what the communicator has.
    pub(super) fn judge(&self, domain: &Domain, rank_0: &Said) -> Result<(), Fault> {
        self.judge_arguments(domain.topology().rank() as i32, rank_0)?;
        self.judge_carrier(domain)
    }

    fn judge_arguments(&self, rank: i32, rank_0: &Said) -> Result<(), Fault> {
        if let Some(error) = &self.invalid {
            return Err(Fault::new(Kind::INVALID, error.clone()));
        }
        if self.name.len() > LONGEST_NAME {
            let longest = LONGEST_NAME;
            return Err(Fault::new(
                Kind::INVALID,
                CreateError::NameTooLong { longest },
            ));
        }
        let differs = |kind, argument, rank_0: &str, here: &str| {
            let (rank_0, here) = (rank_0.to_owned(), here.to_owned());
            let error = CreateError::ArgumentsDiffer {
                argument,
                rank,
                rank_0,
                here,
            };
            Err(Fault::new(kind, error))
        };
        if self.object != rank_0.object {
            let kind = Kind::OTHER_OBJECT;
            return differs(kind, "kind of object", &rank_0.object, self.object);
        }
        let here = self.said();
        let theirs = [&rank_0.name].into_iter().chain(&rank_0.values);
        let mine = [&here.name].into_iter().chain(&here.values);
        for (number, (theirs, mine)) in theirs.zip(mine).enumerate() {
            if theirs != mine {
                let kind = Kind(Kind::ARGUMENTS + number as i32);
                return differs(kind, self.argument(number), theirs, mine);
            }
        }
        Ok(())
    }

    /// The ranks of one communicator reach each other in one way, whichever object asks for it.
    fn judge_carrier(&self, domain: &Domain) -> Result<(), Fault> {
        let asked =
            (self.asked.as_ref()).map_err(|error| Fault::new(Kind::ENVIRONMENT, error.clone()))?;
        if !domain.topology().spans_nodes() {
            return Ok(());
        }
        let (has, has_thread) = (domain.transport(), domain.has_progress_thread());
        let differs = |what, asked: String, has: String| {
            let error = CreateError::CarrierDiffers { what, asked, has };
            Err(Fault::new(Kind::CARRIER, error))
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
}
