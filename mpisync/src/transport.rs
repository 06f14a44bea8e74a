//! How nodes communicate.

use crate::error::CreateError;
use std::env;
use std::time::Duration;

/// How the ranks of a communicator communicate; see
/// [`Builder::transport`](crate::Builder::transport).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// By shared memory: all ranks are on one node.
    SharedMemory,
    /// By MPI messages between the nodes, and shared memory on each node.
    Messages,
    /// By one-sided communication through an MPI window between the nodes, and shared memory on
    /// each node.
    Windows,
}

/// The options that the program or the environment sets; the program takes precedence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct TransportOptions {
    pub(crate) transport: Option<Transport>,
    pub(crate) progress_thread: Option<bool>,
    pub(crate) create_timeout: Option<Duration>,
}

/// The transport, unless the program sets it.
const TRANSPORT: &str = "MPISYNC_TRANSPORT";
/// Whether there is a progress thread, unless the program says so.
const PROGRESS_THREAD: &str = "MPISYNC_PROGRESS_THREAD";
/// How long a rank waits for the others when it makes an object, in seconds, unless the program says
/// so.
const CREATE_TIMEOUT: &str = "MPISYNC_CREATE_TIMEOUT";
/// The same if the environment does not say so either.
const DEFAULT_CREATE_TIMEOUT: Duration = Duration::from_secs(300);

impl TransportOptions {
    /// Takes the options that are not set from the environment.
    pub(crate) fn or_environment(self) -> Result<Self, CreateError> {
        let transports = [
            ("messages", Some(Transport::Messages)),
            ("windows", Some(Transport::Windows)),
            ("auto", None),
        ];
        let switch = [("on", Some(true)), ("off", Some(false))];
        Ok(Self {
            transport: match self.transport {
                None => read_variable(TRANSPORT, &transports)?,
                said => said,
            },
            progress_thread: match self.progress_thread {
                None => read_variable(PROGRESS_THREAD, &switch)?,
                said => said,
            },
            create_timeout: match self.create_timeout {
                None => read_seconds(CREATE_TIMEOUT)?,
                said => said,
            },
        })
    }

    /// How long a rank waits for the others when it makes an object; None if for ever.
    #[cfg(feature = "mpi")]
    pub(crate) fn create_limit(self) -> Option<Duration> {
        let limit = self.create_timeout.unwrap_or(DEFAULT_CREATE_TIMEOUT);
        Some(limit).filter(|limit| !limit.is_zero())
    }
}

/// The number of seconds in an environment variable; None if it is not set.
fn read_seconds(variable: &'static str) -> Result<Option<Duration>, CreateError> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let seconds = value.to_str().and_then(|value| value.parse().ok());
    match seconds {
        Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
        None => Err(CreateError::Environment {
            variable,
            value: value.to_string_lossy().into_owned(),
            values: vec!["a number of seconds", "0 for no limit"],
        }),
    }
}

/// The meaning of an environment variable with these values; None if it is not set.
pub(crate) fn read_variable<T: Copy>(
    variable: &'static str,
    values: &[(&'static str, Option<T>)],
) -> Result<Option<T>, CreateError> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match values.iter().find(|(name, _)| value == *name) {
        Some((_, meaning)) => Ok(*meaning),
        None => Err(CreateError::Environment {
            variable,
            value: value.to_string_lossy().into_owned(),
            values: values.iter().map(|(name, _)| *name).collect(),
        }),
    }
}
