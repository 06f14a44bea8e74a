//! The channel: a queue of messages.

use crate::limit::timeout;
use crate::object::Own;
use mpisync_bindings::byte_channel::{Arguments, ByteChannel};
use mpisync_bindings::failure::Kind;
use mpisync_bindings::handle;
use mpisync_bindings::limit::Limit;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A bounded queue of messages of bytes, which any rank puts and any rank takes.
#[pyclass(frozen, module = "mpisync")]
pub struct Channel {
    own: Own<ByteChannel>,
}

/// What a take has found.
enum Taken {
    Message(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// Nothing any more.
    Over,
}

impl Channel {
    fn take_within(&self, py: Python<'_>, limit: Limit) -> PyResult<Taken> {
        self.own.wait(py, move |channel| match channel.take(limit) {
            Ok(Some(message)) => Ok(Taken::Message(message)),
            Ok(None) => Ok(Taken::Over),
            Err(failure) if failure.kind == Kind::Busy => Ok(Taken::Nothing),
            Err(failure) => Err(failure),
        })
    }

    fn put_within(&self, py: Python<'_>, message: &[u8], limit: Limit) -> PyResult<bool> {
        self.own
            .wait(py, move |channel| match channel.put(message, limit) {
                Ok(()) => Ok(true),
                Err(failure) if failure.kind == Kind::Busy => Ok(false),
                Err(failure) => Err(failure),
            })
    }
}

#[pymethods]
impl Channel {
    #[new]
    #[pyo3(signature = (comm, capacity, message_size, *, root, name))]
    fn new(
        comm: &Bound<'_, PyAny>,
        capacity: usize,
        message_size: usize,
        root: i32,
        name: String,
    ) -> PyResult<Self> {
        let own = Own::make(comm, Some(name), move |comm, name| {
            let arguments = Arguments {
                comm,
                name,
                root,
                capacity,
                message_size,
            };
            arguments.make()
        })?;
        Ok(Channel { own })
    }

    #[pyo3(signature = (message, timeout = None))]
    fn put(&self, py: Python<'_>, message: &[u8], timeout: Option<f64>) -> PyResult<bool> {
        self.put_within(py, message, self::timeout(py, timeout)?)
    }

    /// The message; None if there is none now, and False at the end of the stream.
    #[pyo3(signature = (timeout = None))]
    fn take<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self.take_within(py, self::timeout(py, timeout)?)? {
            Taken::Message(bytes) => PyBytes::new(py, &bytes).into_any(),
            Taken::Nothing => py.None().into_bound(py),
            Taken::Over => false.into_pyobject(py)?.to_owned().into_any(),
        })
    }

    fn claim(&self, py: Python<'_>, messages: u64) -> PyResult<()> {
        self.own.wait(py, move |channel| {
            channel.claim(messages);
            Ok(())
        })
    }

    /// Drops the channel on this rank.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let take = |channel| handle::remove::<ByteChannel>(channel, |_| Ok(()));
        self.own.close(py, take, |channel| {
            drop(channel);
            Ok(())
        })
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.own.check_running(py)?;
        self.own.wait(py, |channel| Ok(channel.len()))
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }
}
