//! The channel: a queue of messages of bytes.

use crate::argument::{Buffer, Out, bytes, count};
use crate::comm::{Creation, creation};
use crate::handle::{self, Object};
use crate::status::{call, mpisync_status};
use mpi::ffi::MPI_Comm;
use mpisync_bindings::byte_channel::{Arguments, ByteChannel};
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::limit::{Limit, limit};
use std::ffi::{c_char, c_double, c_int, c_void};
use std::time::Duration;

/// A bounded queue of messages, which any rank puts and any rank takes.
pub struct mpisync_channel {
    _opaque: [u8; 0],
}

impl Object for ByteChannel {
    type Opaque = mpisync_channel;
}

/// Makes a channel on `comm` that holds `capacity` messages of at most `message_size` bytes each.
/// Collective. `name` is for messages, and may be NULL. `root` is the rank on whose node the messages
/// lie. All are the same on all ranks.
///
/// The memory has room for `capacity` messages of `message_size` bytes and 16 more each. Between hosts only
/// the bytes of a message are sent.
///
/// Errors: those of mpisync_controller_new().
///
/// # Safety
/// As for mpisync_controller_new().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_channel_new(
    comm: MPI_Comm,
    name: *const c_char,
    root: c_int,
    capacity: usize,
    message_size: usize,
    channel: *mut *mut mpisync_channel,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        let Creation { comm, name, place } =
            unsafe { creation::<ByteChannel>(comm, name, channel) }?;
        let arguments = Arguments {
            comm: Some(&comm),
            name,
            root,
            capacity,
            message_size,
        };
        handle::store(place, arguments.make()?)
    })
}

/// How many bytes a message may have. Local.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT.
///
/// # Safety
/// `size` is NULL or points to a variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_channel_message_size(
    channel: *mut mpisync_channel,
    size: *mut usize,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what `Out` needs.
        let size = unsafe { Out::new(size, "size") }?;
        size.set(handle::with::<ByteChannel, _>(channel, |channel| {
            Ok(channel.room())
        })?);
        Ok(())
    })
}

/// # Safety
/// As for [`mpisync_channel_put`].
unsafe fn put(
    channel: *mut mpisync_channel,
    wait: Limit,
    message: *const c_void,
    size: usize,
) -> Result<(), Failure> {
    // SAFETY: the caller promises what `bytes` needs.
    let message = unsafe { bytes(message, size, "message") }?;
    handle::with::<ByteChannel, _>(channel, |channel| channel.put(message, wait))
}

/// Puts a message of `size` bytes; waits while the channel is full. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_SIZE if the message is too large,
/// MPISYNC_ERR_CLOSED, MPISYNC_ERR_DEADLOCK, MPISYNC_ERR_RANK_DIED, MPISYNC_ERR_FINALIZED.
///
/// # Safety
/// `message` is NULL or points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_channel_put(
    channel: *mut mpisync_channel,
    message: *const c_void,
    size: usize,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { put(channel, Limit::For(Duration::MAX), message, size) }
    })
}

/// Puts a message if the channel is not full. Not collective. Does not wait, except for a round trip over
/// several hosts.
///
/// Errors: MPISYNC_BUSY if it is full, and those of mpisync_channel_put().
///
/// # Safety
/// As for mpisync_channel_put().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_channel_try_put(
    channel: *mut mpisync_channel,
    message: *const c_void,
    size: usize,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { put(channel, Limit::Try, message, size) }
    })
}

/// Puts a message; waits for at most `seconds`, which may be INFINITY. Not collective.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_channel_put().
///
/// # Safety
/// As for mpisync_channel_put().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_channel_put_timeout(
    channel: *mut mpisync_channel,
    seconds: c_double,
    message: *const c_void,
    size: usize,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { put(channel, Limit::For(limit(seconds)?), message, size) }
    })
}

/// # Safety
/// As for [`mpisync_channel_take`].
unsafe fn take(
    channel: *mut mpisync_channel,
    wait: Limit,
    buffer: *mut c_void,
    capacity: usize,
    size: *mut usize,
) -> Result<(), Failure> {
    // SAFETY: the caller promises what these need.
    let (buffer, size) = unsafe {
        (
            Buffer::new(buffer, capacity, "buffer")?,
            Out::new(size, "size")?,
        )
    };
    handle::with::<ByteChannel, _>(channel, |channel| {
        let (needed, has) = (channel.room(), buffer.size());
        if has < needed {
            return Err(Failure::new(
                Kind::Size,
                format!(
                    "the buffer has {has} bytes, and a message may have {needed}; pass a buffer of \
                     `mpisync_channel_message_size`"
                ),
            ));
        }
        let Some(message) = channel.take(wait)? else {
            let message = "the stream has ended: no rank puts messages any more".to_owned();
            return Err(Failure::new(Kind::End, message));
        };
        buffer.fill(&message);
        size.set(message.len());
        Ok(())
    })
}

/// Takes the next message; waits while the channel is empty. Not collective. `capacity` is the size of
/// the buffer, which has room for any message of the channel; `size` receives the size of the message.
///
/// A rank may put a message unless it has freed the channel, has ended, or waits in this function. If that
/// does not tell when the stream ends, promise the messages by mpisync_channel_claim().
///
/// Errors: MPISYNC_END if all claimed messages were taken, or no rank is left that could put one;
/// MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_SIZE if the buffer is smaller than
/// mpisync_channel_message_size(), MPISYNC_ERR_RANK_ENDED if claimed messages were never put,
/// MPISYNC_ERR_RANK_DIED, MPISYNC_ERR_DEADLOCK, MPISYNC_ERR_FINALIZED.
///
/// # Safety
/// `buffer` is NULL or points to `capacity` bytes; `size` is NULL or points to a variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_channel_take(
    channel: *mut mpisync_channel,
    buffer: *mut c_void,
    capacity: usize,
    size: *mut usize,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { take(channel, Limit::For(Duration::MAX), buffer, capacity, size) }
    })
}

/// Takes the next message if there is one. Not collective. Does not wait, except for a round trip over
/// several hosts.
///
/// A rank that calls this may still put a message, unless it has freed the channel. So ranks that all call
/// this, or the function with a time limit, get MPISYNC_BUSY or MPISYNC_TIMEOUT when all messages are
/// taken, and MPISYNC_END only if the messages were promised by mpisync_channel_claim().
///
/// Errors: MPISYNC_BUSY if the channel is empty, and those of mpisync_channel_take().
///
/// # Safety
/// As for mpisync_channel_take().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_channel_try_take(
    channel: *mut mpisync_channel,
    buffer: *mut c_void,
    capacity: usize,
    size: *mut usize,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { take(channel, Limit::Try, buffer, capacity, size) }
    })
}

/// Takes the next message; waits for at most `seconds`, which may be INFINITY. Not collective. As for
/// mpisync_channel_try_take(), the stream ends only after promises, while other ranks do not wait in
/// mpisync_channel_take() and have not freed the channel.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_channel_take().
///
/// # Safety
/// As for mpisync_channel_take().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_channel_take_timeout(
    channel: *mut mpisync_channel,
    seconds: c_double,
    buffer: *mut c_void,
    capacity: usize,
    size: *mut usize,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { take(channel, Limit::For(limit(seconds)?), buffer, capacity, size) }
    })
}

/// Promises that this rank or another one will put `messages` more messages. Not collective: the
/// promises of several ranks add up. Once all promised messages were taken, a take is MPISYNC_END, also
/// one with "try" in its name or a time limit.
///
/// Each rank promises the messages that it will put, or one rank promises those of all. Then comes a
/// barrier, and only after it does any rank begin to take.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_channel_claim(
    channel: *mut mpisync_channel,
    messages: i64,
) -> mpisync_status {
    call(|| {
        let messages = count(messages, "messages")?;
        handle::with::<ByteChannel, _>(channel, |channel| {
            channel.claim(messages);
            Ok(())
        })
    })
}

/// Drops the channel on this rank, which puts and takes no more messages. Local. The others may go on;
/// a take is MPISYNC_END when the channel is empty and no other rank is left that could put. The memory
/// is freed when all ranks have dropped it. A channel has no collective close. NULL is no error.
///
/// Errors: MPISYNC_ERR_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_channel_free(channel: *mut mpisync_channel) -> mpisync_status {
    call(|| handle::free::<ByteChannel>(channel))
}
