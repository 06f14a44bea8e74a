//! How nodes communicate.

use crate::environment;
use crate::environment::{CREATE_TIMEOUT, NODE, PROGRESS_THREAD, SILENCE, TRANSPORT};
use crate::environment::{read_seconds, read_variable};
use crate::error::CreateError;
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
    pub(crate) silence: Option<Duration>,
    /// Whether each rank is a node of its own. Set by the environment only.
    pub(crate) each_rank_is_a_node: Option<bool>,
}

/// How long a rank waits for the others when it makes an object, if neither the program nor the
/// environment says so.
const DEFAULT_CREATE_TIMEOUT: Duration = Duration::from_secs(300);

/// After what time a host that does not answer is lost, if neither the program nor the environment
/// says so. A process that runs shows so several times a second.
#[cfg(feature = "mpi")]
const DEFAULT_SILENCE: Duration = Duration::from_secs(10);

impl TransportOptions {
    /// Takes the options that are not set from the environment.
    pub(crate) fn or_environment(self) -> Result<Self, CreateError> {
        environment::check()?;
        let transports = [
            ("messages", Some(Transport::Messages)),
            ("windows", Some(Transport::Windows)),
            ("auto", None),
        ];
        let nodes = [("host", Some(false)), ("rank", Some(true))];
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
            silence: match self.silence {
                None => read_seconds(SILENCE)?,
                said => said,
            },
            each_rank_is_a_node: read_variable(NODE, &nodes)?,
        })
    }

    /// How long a rank waits for the others when it makes an object; None if for ever.
    #[cfg(feature = "mpi")]
    pub(crate) fn create_limit(self) -> Option<Duration> {
        let limit = self.create_timeout.unwrap_or(DEFAULT_CREATE_TIMEOUT);
        Some(limit).filter(|limit| !limit.is_zero())
    }

    /// After what time a host that does not answer is lost; zero for never.
    #[cfg(feature = "mpi")]
    pub(crate) fn silence_limit(self) -> Duration {
        self.silence.unwrap_or(DEFAULT_SILENCE)
    }
}
