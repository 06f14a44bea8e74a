//! How nodes reach each other.

pub(crate) use asked::{TransportOptions, read_variable};

/// How the ranks of a communicator reach each other; see
/// [`Builder::transport`](crate::Builder::transport).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// By memory that all of them share: they are on one node.
    SharedMemory,
    /// By messages of MPI between the nodes, and shared memory on each.
    Messages,
    /// Through a window of MPI between the nodes, by one-sided calls, and shared memory on each.
    Windows,
}

mod asked {
    use super::Transport;
    use crate::error::CreateError;
    use std::env;

    /// What was asked for, by the program or the environment; the program comes first.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub(crate) struct TransportOptions {
        pub(crate) transport: Option<Transport>,
        pub(crate) progress_thread: Option<bool>,
    }

    /// Which transport, where the program does not say.
    const TRANSPORT: &str = "MPISYNC_TRANSPORT";
    /// Whether there is a progress thread, where the program does not say.
    const PROGRESS_THREAD: &str = "MPISYNC_PROGRESS_THREAD";

    impl TransportOptions {
        /// With the environment, where something was left open.
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
            })
        }
    }

    /// The meaning of an environment variable, of which these are the values; none where it is not
    /// set.
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
}
