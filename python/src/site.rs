//! The place of a call in the Python program.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::HashSet;
use std::sync::Mutex;

/// Modules between the program and this one: the package itself, and what runs its context managers and threads.
const BETWEEN: [&str; 3] = ["mpisync", "contextlib", "threading"];

/// File and line of the Python code that called into this module, such as `step.py:12`. The file without its
/// directory, which may differ between nodes.
pub fn caller(py: Python<'_>) -> PyResult<String> {
    let (file, line) = place(&innermost(py)?)?;
    Ok(format!("{file}:{line}"))
}

/// File and line of the program's code that this thread runs. None if it runs none of the program.
///
/// For reports of waits: the thread waits, without the interpreter lock.
pub fn of_program() -> Option<(&'static str, u32)> {
    Python::try_attach(|py| {
        let mut frame = innermost(py).ok()?;
        while is_between(&frame).ok()? {
            frame = frame.getattr(intern!(py, "f_back")).ok()?;
        }
        let (file, line) = place(&frame).ok()?;
        Some((interned(&file), line))
    })?
}

/// The frame of the Python code that called into this module.
fn innermost(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let sys = py.import(intern!(py, "sys"))?;
    sys.call_method1(intern!(py, "_getframe"), (0,))
}

/// Whether a frame is code of a module between the program and this one. An error at the outermost frame's end.
fn is_between(frame: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = frame.py();
    let globals = frame.getattr(intern!(py, "f_globals"))?;
    let name = globals
        .cast::<PyDict>()?
        .get_item(intern!(py, "__name__"))?;
    let name: String = name
        .map(|name| name.extract())
        .transpose()?
        .unwrap_or_default();
    let package = name.split('.').next().unwrap_or_default();
    Ok(BETWEEN.contains(&package))
}

fn place(frame: &Bound<'_, PyAny>) -> PyResult<(String, u32)> {
    let py = frame.py();
    let line = frame.getattr(intern!(py, "f_lineno"))?.extract();
    let code = frame.getattr(intern!(py, "f_code"))?;
    let file: String = code.getattr(intern!(py, "co_filename"))?.extract()?;
    let file = file.rsplit('/').next().unwrap_or(&file);
    Ok((file.to_owned(), line.unwrap_or(0)))
}

/// The same text for the rest of the program. A program has few names of calls and files, and repeats them.
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
