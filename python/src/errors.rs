//! Exceptions.

use mpisync_bindings::failure::{Failure, Kind};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyModule, PyTuple};

/// The name of the exception for a kind of failure, in `mpisync/_errors.py`.
fn class_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Busy | Kind::Timeout => "TimedOut",
        Kind::Argument | Kind::Size => "InvalidArgument",
        Kind::Handle | Kind::Held | Kind::NotHeld => "Misuse",
        Kind::Finalized => "Finalized",
        Kind::Memory => "OutOfMemory",
        Kind::Create => "CreationError",
        Kind::Diverged => "Mismatch",
        Kind::RankDied => "RankDied",
        Kind::RankEnded => "RankEnded",
        Kind::Poisoned => "Poisoned",
        Kind::HostSilent => "HostSilent",
        Kind::Deadlock => "Deadlock",
        Kind::WriterFailed => "RankFailed",
        Kind::Closed => "Closed",
        Kind::UsedUp => "Exhausted",
        Kind::Task => "TaskError",
        Kind::End | Kind::Interrupted | Kind::Internal => "InternalError",
    }
}

/// The exception for a failure. `object` names the object of the call.
#[cold]
pub fn exception(py: Python<'_>, failure: Failure, object: Option<&str>) -> PyErr {
    build(py, failure, object).unwrap_or_else(|error| error)
}

fn build(py: Python<'_>, failure: Failure, object: Option<&str>) -> PyResult<PyErr> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || {
        Ok::<_, PyErr>(py.import("mpisync._errors")?.unbind())
    })?;
    let class = module.bind(py).getattr(class_of(failure.kind))?;
    let exception = class.call1((in_python(&failure.message),))?;
    exception.setattr(intern!(py, "rank"), failure.rank)?;
    exception.setattr(intern!(py, "object"), object)?;
    exception.setattr(intern!(py, "reason"), failure.reason)?;
    exception.setattr(intern!(py, "missing"), PyTuple::new(py, failure.missing)?)?;
    Ok(PyErr::from_value(exception))
}

/// A message for users of Python: without the places of calls in the sources of this module, as the names of the calls have those in
/// the program; and without what a rank does in Rust when it ends.
fn in_python(message: &str) -> String {
    const PLACE: &str = concat!(" at ", "python/src/");
    let message = message.replace(" (its universe was dropped)", "");
    let mut parts = message.split(PLACE);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // `mutex.rs:12` or `mutex.rs:12:5`
        let end = part.find(".rs:").map_or(0, |end| end + ".rs".len());
        let mut rest = &part[end..];
        while let Some(number) = rest.strip_prefix(':')
            && number.starts_with(|digit: char| digit.is_ascii_digit())
        {
            rest = number.trim_start_matches(|digit: char| digit.is_ascii_digit());
        }
        text.push_str(rest);
    }
    text
}

/// The exception for a call that is made in the wrong place.
#[cold]
pub fn misuse(py: Python<'_>, message: &str, object: Option<&str>) -> PyErr {
    exception(py, Failure::new(Kind::Held, message.to_owned()), object)
}

/// The text of an exception of the program, for other ranks.
pub fn text_of(exception: &Bound<'_, PyAny>) -> String {
    let name = exception.get_type().qualname();
    let name = name.and_then(|name| name.extract::<String>());
    let name = name.unwrap_or_else(|_| "exception".to_owned());
    match exception.str() {
        Ok(text) if text.len().unwrap_or(0) > 0 => {
            format!("{name}: {}", text.to_string_lossy())
        }
        _ => name,
    }
}
