//! Objects as bytes, by the module `pickle`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The bytes of an object.
pub fn pickled(object: &Bound<'_, PyAny>) -> PyResult<Py<PyBytes>> {
    let pickle = object.py().import(intern!(object.py(), "pickle"))?;
    let bytes = pickle.call_method1(intern!(object.py(), "dumps"), (object, 5))?;
    Ok(bytes.cast_into::<PyBytes>()?.unbind())
}

/// The object that another rank has pickled.
pub fn unpickled(py: Python<'_>, bytes: &[u8]) -> PyResult<Py<PyAny>> {
    let pickle = py.import(intern!(py, "pickle"))?;
    let object = pickle.call_method1(intern!(py, "loads"), (PyBytes::new(py, bytes),))?;
    Ok(object.unbind())
}
