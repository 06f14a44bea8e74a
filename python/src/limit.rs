//! Time limits.

use crate::errors::exception;
use mpisync_bindings::limit::{Limit, limit};
use pyo3::prelude::*;

/// The limit for a `timeout` of Python: seconds, or `None` for as long as it takes.
pub fn timeout(py: Python<'_>, seconds: Option<f64>) -> PyResult<Limit> {
    match seconds {
        None => Ok(Limit::NEVER),
        Some(0.0) => Ok(Limit::Try),
        Some(seconds) => {
            let limit = limit(seconds).map_err(|failure| exception(py, failure, None))?;
            Ok(Limit::For(limit))
        }
    }
}
