//! The place of a call in the Python program.

use pyo3::intern;
use pyo3::prelude::*;
use std::collections::HashSet;
use std::sync::Mutex;

/// File and line of the Python code that called into this module, such as `step.py:12`. The file without its
/// directory, which may differ between nodes.
pub fn caller(py: Python<'_>) -> PyResult<String> {
    let frame = py.import(intern!(py, "sys"))?;
    let frame = frame.call_method1(intern!(py, "_getframe"), (0,))?;
    let line: u32 = frame
        .getattr(intern!(py, "f_lineno"))?
        .extract()
        .unwrap_or(0);
    let code = frame.getattr(intern!(py, "f_code"))?;
    let file: String = code.getattr(intern!(py, "co_filename"))?.extract()?;
    let file = file.rsplit('/').next().unwrap_or(&file);
    Ok(format!("{file}:{line}"))
}

/// The same text for the rest of the program. A program has few names of calls, and repeats them.
pub fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(name);
    name
}
