//! The environment variables that the library reads.

use crate::error::CreateError;
use crate::span;
use std::env;
use std::ffi::OsString;
use std::sync::OnceLock;
use std::time::Duration;

/// Defines a constant for each variable, with its name, and the list of all.
macro_rules! variables {
    ($($(#[$doc:meta])* $name:ident)*) => {
        $(
            $(#[$doc])*
            pub(crate) const $name: &str = concat!("MPISYNC_", stringify!($name));
        )*

        /// All variables. The table in `guide/environment.md` has the same ones.
        const KNOWN: &[&str] = &[$($name),*];
    };
}

variables! {
    /// How long a rank waits for the others when it makes an object, unless the program says so.
    CREATE_TIMEOUT
    /// What is done about a deadlock, unless the program says so.
    DEADLOCK
    /// How long a rank that fails waits for the others to end.
    GRACE
    /// Which ranks share memory: those of a host, or none.
    NODE
    /// Whether leaders have a progress thread, unless the program says so.
    PROGRESS_THREAD
    /// After what time a host that does not answer is lost, unless the program says so.
    SILENCE
    /// `on` if a world of one process is intended, whatever the environment of a launcher says.
    SINGLETON
    /// The directory for trace files, if rank 0 has it.
    TRACE
    /// How large a trace file may be, in MiB; of rank 0.
    TRACE_SIZE
    /// The transport, unless the program sets it.
    TRANSPORT
    /// After what time a call that waits reports that, unless the program says so.
    WATCHDOG
}

/// The values of [`DEADLOCK`].
pub(crate) const ON_DEADLOCK: [&str; 3] = ["report", "error", "off"];

/// The beginning of the names of all variables.
const PREFIX: &str = "MPISYNC_";

/// The value of an environment variable; None if it is not set or empty.
pub(crate) fn value_of(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

/// What `parse` makes of an environment variable, whose value has to be one of `values`; None if it is not
/// set.
fn read_value<T>(
    variable: &'static str,
    values: impl FnOnce() -> Vec<&'static str>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, CreateError> {
    let Some(value) = value_of(variable) else {
        return Ok(None);
    };
    match value.to_str().and_then(parse) {
        Some(meaning) => Ok(Some(meaning)),
        None => Err(CreateError::Environment {
            variable,
            value: value.to_string_lossy().into_owned(),
            values: values(),
        }),
    }
}

/// The meaning of an environment variable with these values; None if it is not set.
pub(crate) fn read_variable<T: Copy>(
    variable: &'static str,
    values: &[(&'static str, Option<T>)],
) -> Result<Option<T>, CreateError> {
    let names = || values.iter().map(|(name, _)| *name).collect();
    let meaning = read_value(variable, names, |text| {
        let mut values = values.iter();
        let found = values.find(|(name, _)| text == *name);
        found.map(|(_, meaning)| *meaning)
    })?;
    Ok(meaning.flatten())
}

/// The number of seconds in an environment variable, 0 for no limit; None if it is not set.
pub(crate) fn read_seconds(variable: &'static str) -> Result<Option<Duration>, CreateError> {
    let values = || vec!["a number of seconds", "0 for no limit"];
    read_value(variable, values, |text| {
        Duration::try_from_secs_f64(text.parse().ok()?).ok()
    })
}

/// The number of MiB in an environment variable; None if it is not set.
#[cfg(all(feature = "mpi", feature = "trace"))]
pub(crate) fn read_mebibytes(variable: &'static str) -> Result<Option<u64>, CreateError> {
    let values = || vec!["a number of MiB from 1 on"];
    read_value(variable, values, |text| {
        let size = text.parse().ok();
        size.filter(|size| (1..1 << 20).contains(size))
    })
}

/// Why this process has no trace although the environment asks for one.
static NO_TRACE: OnceLock<CreateError> = OnceLock::new();

/// Notes why this process has no trace although the environment asks for one.
#[cfg(all(feature = "mpi", feature = "trace"))]
pub(crate) fn note_no_trace(reason: CreateError) {
    let _ = NO_TRACE.set(reason);
}

/// Returns an error if the environment asks for a trace and there is none. Called once it could have begun.
pub(crate) fn check_trace() -> Result<(), CreateError> {
    if let Some(reason) = NO_TRACE.get() {
        return Err(reason.clone());
    }
    if value_of(TRACE).is_none() || span::is_recorded() {
        return Ok(());
    }
    let reason = match cfg!(feature = "trace") {
        true => {
            "rank 0 of `MPI_COMM_WORLD` does not have the variable, or the program initializes MPI itself and its first \
             object is not on `MPI_COMM_WORLD`: make one there first, or begin the program with `mpisync::run`"
        }
        false => "mpisync was built without its feature `trace`",
    };
    Err(CreateError::NoTrace {
        reason: reason.to_owned(),
    })
}

/// Returns an error if the environment has a variable with the library's prefix that the library
/// does not read, or a value without a meaning that is not read where objects are made.
pub(crate) fn check() -> Result<(), CreateError> {
    /// Looking through all variables takes longer than making a counter.
    static NAMES: OnceLock<Result<(), CreateError>> = OnceLock::new();
    NAMES.get_or_init(check_names).clone()?;
    read_variable(DEADLOCK, &ON_DEADLOCK.map(|value| (value, Some(()))))?;
    read_seconds(WATCHDOG)?;
    Ok(())
}

fn check_names() -> Result<(), CreateError> {
    let set = env::vars_os().filter(|(_, value)| !value.is_empty());
    let names = set.map(|(name, _)| name.to_string_lossy().into_owned());
    // The environment has no order, and the error has to be the same each time.
    match names.filter(|name| is_unknown(name)).min() {
        None => Ok(()),
        Some(variable) => Err(CreateError::UnknownVariable {
            nearest: nearest(&variable),
            variable,
        }),
    }
}

fn is_unknown(name: &str) -> bool {
    name.starts_with(PREFIX) && !KNOWN.contains(&name)
}

/// The known variable that begins with this name, or whose name takes the fewest edits.
fn nearest(name: &str) -> &'static str {
    let name = name.to_uppercase();
    let distance = |known: &&&str| match known.starts_with(&name) {
        true => 0,
        false => edits(&name, known),
    };
    let nearest = KNOWN.iter().min_by_key(distance);
    nearest.expect("there are variables")
}

/// How many characters have to be inserted, removed or replaced (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    // The distances of the beginning of `from` to each beginning of `to`.
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (removed, from) in (1..).zip(from.chars()) {
        let mut diagonal = row[0];
        row[0] = removed;
        for (column, to) in (1..).zip(&to) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column];
            row[column] = replaced.min(row[column] + 1).min(row[column - 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("same", "same"), 0);
        assert_eq!(edits("ä", "a"), 1);
    }

    #[test]
    fn nearest_variable_is_named() {
        assert_eq!(nearest("MPISYNC_TRANSPROT"), TRANSPORT);
        assert_eq!(nearest("MPISYNC_PROGRESSTHREAD"), PROGRESS_THREAD);
        assert_eq!(nearest("MPISYNC_PROGRESS"), PROGRESS_THREAD);
        assert_eq!(nearest("MPISYNC_SINGLTON"), SINGLETON);
        assert_eq!(nearest("MPISYNC_transport"), TRANSPORT);
    }

    #[test]
    fn other_programs_may_have_any_variables() {
        for known in KNOWN {
            assert!(!is_unknown(known), "{known}");
        }
        for other in ["PATH", "MPISYNC", "MPISYNCS", "MY_MPISYNC_TRANSPORT"] {
            assert!(!is_unknown(other), "{other}");
        }
        assert!(is_unknown("MPISYNC_TRANSPORTS"));
        assert!(is_unknown("MPISYNC_"));
    }

    #[test]
    fn guide_has_all_variables() {
        let text = include_str!("guide/environment.md");
        let row = |line: &'static str| line.strip_prefix("| `")?.split('`').next();
        let documented: BTreeSet<&str> = text
            .lines()
            .filter_map(row)
            .filter(|name| name.starts_with(PREFIX))
            .collect();
        assert_eq!(documented, KNOWN.iter().copied().collect());
    }
}
