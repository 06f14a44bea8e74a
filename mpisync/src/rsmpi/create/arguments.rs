//! The arguments of a creation, compared between ranks.

use crate::environment::check_trace;
use crate::error::CreateError;
use crate::rsmpi::context::Context;
use crate::shm::cells::beginning;
use crate::transport::TransportOptions;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// The longest name of an object, in bytes.
const LONGEST_NAME: usize = 200;
/// The most characters of an argument that an error shows, and how many of them come before the
/// first difference.
const LONGEST_EXCERPT: usize = 200;
const BEFORE_DIFFERENCE: usize = 40;

/// The arguments of a creation. If they differ between ranks, the creation fails on all ranks.
#[derive(Clone, Debug)]
pub(crate) struct CreationArguments<'a> {
    /// The kind of object, for messages.
    pub(crate) object: &'static str,
    pub(crate) name: &'a str,
    /// The place of the call in the program.
    pub(crate) place: &'static Location<'static>,
    /// Whether the other ranks may call from other places.
    pub(crate) anywhere: bool,
    /// The names of the other arguments, and their values as text.
    pub(crate) arguments: Vec<(&'static str, String)>,
    /// The error of an invalid argument.
    pub(crate) invalid: Option<CreateError>,
    /// The requested transport; an error if an environment variable is invalid.
    pub(crate) asked: Result<TransportOptions, CreateError>,
}

/// The arguments as they are sent.
#[derive(Serialize, Deserialize)]
pub(super) struct Said {
    object: String,
    name: String,
    file: String,
    line: u32,
    column: u32,
    anywhere: bool,
    values: Vec<String>,
}

/// The object and the place of the call.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Said {
            object,
            name,
            file,
            line,
            column,
            ..
        } = self;
        write!(f, "{object} {name:?} at {file}:{line}:{column}")
    }
}

impl fmt::Display for CreationArguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.said().fmt(f)
    }
}

impl<'a> CreationArguments<'a> {
    pub(super) fn of(
        object: &'static str,
        name: &'a str,
        place: &'static Location<'static>,
    ) -> Self {
        CreationArguments {
            object,
            name,
            place,
            anywhere: false,
            arguments: Vec::new(),
            invalid: None,
            asked: Ok(TransportOptions::default()),
        }
    }

    /// How long a rank waits for the others; None if for ever.
    pub(super) fn create_limit(&self) -> Option<Duration> {
        let asked = self.asked.as_ref().copied().unwrap_or_default();
        asked.create_limit()
    }

    /// The arguments that rank 0 sends, in full: they may differ in the last character.
    pub(super) fn said(&self) -> Said {
        Said {
            object: self.object.to_owned(),
            // A longer name is invalid anyway.
            name: beginning(self.name, LONGEST_NAME).to_owned(),
            file: self.place.file().to_owned(),
            line: self.place.line(),
            column: self.place.column(),
            anywhere: self.anywhere,
            values: self
                .arguments
                .iter()
                .map(|(_, value)| value.clone())
                .collect(),
        }
    }

    /// Compares the arguments with those of rank 0, and the transport with that of the
    /// communicator.
    pub(super) fn judge(&self, context: &Context, rank_0: &Said) -> Result<(), CreateError> {
        self.judge_arguments(context.all().rank(), rank_0)?;
        self.judge_carrier(context)
    }

    fn judge_arguments(&self, rank: i32, rank_0: &Said) -> Result<(), CreateError> {
        if let Some(error) = &self.invalid {
            return Err(error.clone());
        }
        if self.name.len() > LONGEST_NAME {
            let longest = LONGEST_NAME;
            return Err(CreateError::NameTooLong { longest });
        }
        let here = self.said();
        if !here.is_same_call(rank_0) {
            let (here, rank_0) = (here.to_string(), rank_0.to_string());
            return Err(CreateError::Diverged { rank, here, rank_0 });
        }
        let theirs = [&rank_0.name].into_iter().chain(&rank_0.values);
        let mine = [&here.name].into_iter().chain(&here.values);
        let names = ["name"]
            .into_iter()
            .chain(self.arguments.iter().map(|(name, _)| *name));
        for ((theirs, mine), argument) in theirs.zip(mine).zip(names) {
            if theirs != mine {
                return Err(CreateError::ArgumentsDiffer {
                    here_object: here.to_string().into(),
                    rank_0_object: Some(rank_0.to_string().into()),
                    argument,
                    rank,
                    rank_0: excerpt(theirs, mine),
                    here: excerpt(mine, theirs),
                });
            }
        }
        Ok(())
    }

    /// Checks the transport, of which a communicator has one for all objects, and the environment.
    fn judge_carrier(&self, context: &Context) -> Result<(), CreateError> {
        let asked = self.asked.clone()?;
        check_trace()?;
        let Some(carrier) = context.carrier() else {
            return Ok(());
        };
        let (has, has_thread) = (carrier.transport(), carrier.has_thread);
        let differs = |what, asked: String, has: String| {
            Err(CreateError::CarrierDiffers { what, asked, has })
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

impl Said {
    /// Whether both are the same call of the program: the same kind of object at the same place.
    fn is_same_call(&self, other: &Said) -> bool {
        let place = |said: &Said| (said.line, said.column);
        let is_same_place = place(self) == place(other) && self.file == other.file;
        self.object == other.object && (is_same_place || (self.anywhere && other.anywhere))
    }
}

/// The part of a text that differs from another text.
fn excerpt(text: &str, other: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST_EXCERPT {
        return text.to_owned();
    }
    let same = text.chars().zip(other.chars());
    let same = same.take_while(|(one, other)| one == other).count();
    let start = same
        .saturating_sub(BEFORE_DIFFERENCE)
        .min(length - LONGEST_EXCERPT);
    let shown: String = text.chars().skip(start).take(LONGEST_EXCERPT).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + LONGEST_EXCERPT < length {
        "…"
    } else {
        ""
    };
    format!("{before}{shown}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &Location<'static> = Location::caller();

    fn arguments(value: &str) -> CreationArguments<'_> {
        CreationArguments {
            arguments: vec![("shape", value.to_owned())],
            ..CreationArguments::of("region", "region", HERE)
        }
    }

    #[test]
    fn arguments_are_compared_to_their_last_character() {
        let (a, b) = ("ä".repeat(100_000) + "a", "ä".repeat(100_000) + "b");
        assert!(
            arguments(&a)
                .judge_arguments(1, &arguments(&a).said())
                .is_ok()
        );
        let error = arguments(&b)
            .judge_arguments(1, &arguments(&a).said())
            .unwrap_err();
        let CreateError::ArgumentsDiffer { rank_0, here, .. } = error else {
            panic!("{error:?}")
        };
        assert!(rank_0.starts_with('…') && rank_0.ends_with('a'), "{rank_0}");
        assert!(here.starts_with('…') && here.ends_with('b'), "{here}");
        assert_eq!(here.chars().count(), LONGEST_EXCERPT + 1);
    }

    #[test]
    fn excerpts_show_the_difference() {
        let text = |middle: &str| "x".repeat(500) + middle + &"x".repeat(500);
        let shown = excerpt(&text("here"), &text("there"));
        assert!(shown.contains("xhere"), "{shown}");
        assert_eq!(excerpt("short", &text("")), "short");
        let shown = excerpt(&text(""), "short");
        assert!(shown.starts_with('x') && shown.ends_with("x…"), "{shown}");
    }

    #[test]
    fn place_is_compared_unless_both_say_anywhere() {
        // On the same line.
        let [elsewhere, other] = [Location::caller(), Location::caller()];
        let at = |place| CreationArguments::of("mutex", "mutex", place);
        let error = at(elsewhere).judge_arguments(1, &at(other).said());
        assert!(matches!(error, Err(CreateError::Diverged { rank: 1, .. })));
        let there = |anywhere| CreationArguments {
            anywhere,
            ..CreationArguments::of("mutex", "mutex", elsewhere)
        };
        let here = |anywhere| CreationArguments {
            anywhere,
            ..CreationArguments::of("mutex", "mutex", HERE)
        };
        let judged = |mine: CreationArguments<'_>, theirs: CreationArguments<'_>| {
            mine.judge_arguments(1, &theirs.said())
        };
        assert!(judged(here(false), here(false)).is_ok());
        assert!(judged(here(true), there(true)).is_ok());
        for (mine, theirs) in [(false, false), (true, false), (false, true)] {
            let error = judged(here(mine), there(theirs)).unwrap_err();
            let text = error.to_string();
            for place in [HERE, elsewhere] {
                assert!(text.contains(&place.to_string()), "{text}");
            }
        }
    }

    #[test]
    fn a_name_of_many_bytes_is_cut_at_a_character() {
        let name = "aä".repeat(100);
        assert!(
            CreationArguments::of("mutex", &name, HERE)
                .said()
                .name
                .len()
                <= LONGEST_NAME
        );
    }
}
