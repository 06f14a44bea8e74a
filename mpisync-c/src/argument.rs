//! Arguments that C programs pass: checked once, before they are used.

use mpisync_bindings::failure::Failure;
use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::slice;

fn is_null(name: &str) -> Failure {
    Failure::argument(format!("`{name}` is NULL; pass a pointer to a variable"))
}

/// A place for a result.
pub struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// Checks that the pointer is not null.
    ///
    /// # Safety
    /// The pointer is null, or may be written to as long as the value lives.
    pub unsafe fn new(pointer: *mut T, name: &str) -> Result<Self, Failure> {
        NonNull::new(pointer).map(Self).ok_or_else(|| is_null(name))
    }

    /// Stores the result.
    pub fn set(self, value: T) {
        // SAFETY: may be written to, as `new` requires; what lies there needs no destructor, because
        // C put it there.
        unsafe { self.0.write(value) };
    }
}

/// Memory for bytes that a function returns.
pub struct Buffer {
    start: *mut c_void,
    size: usize,
}

impl Buffer {
    /// Checks that the pointer is not null, unless the size is 0.
    ///
    /// # Safety
    /// `start` is null, or `size` bytes may be written to it as long as the value lives.
    pub unsafe fn new(start: *mut c_void, size: usize, name: &str) -> Result<Self, Failure> {
        check_bytes(start, size, name)?;
        Ok(Buffer { start, size })
    }

    /// How many bytes there is room for.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Copies `bytes` to its beginning.
    ///
    /// # Panics
    /// If there is no room for them.
    pub fn fill(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.size, "there is room for them");
        if !bytes.is_empty() {
            // SAFETY: there is room for as many bytes, as `new` requires, and the bytes are a copy
            // of this library's.
            unsafe {
                self.start
                    .cast::<u8>()
                    .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
    }

    /// Its bytes, to be read.
    ///
    /// # Safety
    /// All of them are initialized, and stay as they are while they are borrowed.
    pub unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: the caller promises it, and `new` has checked the rest.
        unsafe { checked_bytes(self.start, self.size) }
    }
}

fn check_bytes(start: *const c_void, size: usize, name: &str) -> Result<(), Failure> {
    if start.is_null() && size > 0 {
        return Err(is_null(name));
    }
    if isize::try_from(size).is_err() {
        return Err(Failure::argument(format!(
            "`{name}` has {size} bytes, which no memory has; pass its real size"
        )));
    }
    Ok(())
}

/// Bytes that a function reads.
///
/// # Safety
/// `start` is null, or points to `size` initialized bytes that stay as they are for `'a`.
pub unsafe fn bytes<'a>(
    start: *const c_void,
    size: usize,
    name: &str,
) -> Result<&'a [u8], Failure> {
    check_bytes(start, size, name)?;
    // SAFETY: checked; the rest is the caller's promise.
    Ok(unsafe { checked_bytes(start, size) })
}

/// Bytes that [`check_bytes`] has checked.
///
/// # Safety
/// As for [`bytes`].
unsafe fn checked_bytes<'a>(start: *const c_void, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    // SAFETY: not null, not larger than an object may be; the rest is the caller's promise.
    unsafe { slice::from_raw_parts(start.cast(), size) }
}

/// A text, or `None` for a null pointer.
///
/// # Safety
/// `text` is null, or points to bytes that end with 0 and stay as they are for `'a`.
pub unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not null; the rest is the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    match text.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(Failure::argument(format!("`{name}` is not UTF-8: {error}"))),
    }
}

/// A reason, for messages; `None` for a null pointer. What is not UTF-8 is replaced, so that the call
/// which takes the reason does what it is for.
///
/// # Safety
/// As for [`text`].
pub unsafe fn reason<'a>(reason: *const c_char) -> Option<Cow<'a, str>> {
    if reason.is_null() {
        return None;
    }
    // SAFETY: not null; the rest is the caller's promise.
    Some(unsafe { CStr::from_ptr(reason) }.to_string_lossy())
}

/// A number that is not negative.
pub fn count<T: TryFrom<i64>>(number: i64, name: &str) -> Result<T, Failure> {
    T::try_from(number).map_err(|_| {
        Failure::argument(format!(
            "`{name}` is {number}, which is negative or too large"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn null_is_an_error_or_nothing() {
        // SAFETY: null pointers, and bytes of this test.
        unsafe {
            assert!(Out::<i32>::new(ptr::null_mut(), "value").is_err());
            assert!(Buffer::new(ptr::null_mut(), 1, "buffer").is_err());
            assert!(Buffer::new(ptr::null_mut(), 0, "buffer").is_ok());
            assert_eq!(bytes(ptr::null(), 0, "bytes").ok(), Some(&[][..]));
            assert!(bytes(ptr::null(), 1, "bytes").is_err());
            assert!(bytes([0u8].as_ptr().cast(), usize::MAX, "bytes").is_err());
            assert_eq!(text(ptr::null(), "name").ok(), Some(None));
            assert_eq!(text(c"lock".as_ptr(), "name").ok(), Some(Some("lock")));
            assert!(text(c"\xff".as_ptr(), "name").is_err());
            assert_eq!(reason(ptr::null()), None);
            assert_eq!(reason(c"full".as_ptr()).as_deref(), Some("full"));
            assert_eq!(reason(c"\xff!".as_ptr()).as_deref(), Some("\u{fffd}!"));
        }
    }
}
