//! Handles: numbers that name the objects of a thread.
//!
//! A handle looks like a pointer to C and is never dereferenced. Its number is used once in a
//! process, so a handle that was closed, or that another thread made, names nothing.

use crate::argument::Out;
use crate::comm;
use crate::status::{Failure, mpisync_status};
use std::any::Any;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An object that has handles.
pub trait Object: Any {
    /// The type that C sees.
    type Opaque;
    /// The name of the object in messages.
    const KIND: &'static str;
}

/// The low bits of a handle are the object's place in the table, the others a serial number.
const PLACE_BITS: u32 = 20;
const MOST_OBJECTS: usize = 1 << PLACE_BITS;

/// The next serial number; none is 0, so no handle is a null pointer.
static SERIAL: AtomicUsize = AtomicUsize::new(1);

struct Slot {
    handle: usize,
    object: Rc<dyn Any>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
}

/// The objects of one thread.
#[derive(Default)]
struct Objects(ManuallyDrop<RefCell<Table>>);

thread_local! {
    static TABLE: Objects = Objects::default();
}

impl Drop for Objects {
    /// At the end of the thread: drops what it has not freed, so that other ranks do not wait for the
    /// locks that it holds.
    ///
    /// The objects of the main thread are left as they are: at the end of the process MPI may be
    /// finalized, and the library's own variables may be gone. Ranks that wait for them learn that this
    /// rank has ended.
    fn drop(&mut self) {
        if is_main_thread() || comm::check_running().is_err() {
            return;
        }
        for slot in self.0.take().slots.into_iter().flatten() {
            // A panic that leaves a destructor of a thread ends the process.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
        }
    }
}

/// Whether this is the thread in which the process has begun.
fn is_main_thread() -> bool {
    // SAFETY: the two calls have no conditions. The first is a system call because glibc has no function
    // for it before version 2.30.
    unsafe { libc::syscall(libc::SYS_gettid) == libc::c_long::from(libc::getpid()) }
}

/// Adds an object and returns its handle.
pub fn add<T: Object>(object: T) -> Result<*mut T::Opaque, Failure> {
    let added = TABLE.try_with(|objects| {
        let mut table = objects.0.borrow_mut();
        let place = match table.free.pop() {
            Some(place) => place,
            None if table.slots.len() == MOST_OBJECTS => {
                return Err(Failure::new(
                    mpisync_status::MPISYNC_ERR_MEMORY,
                    format!("a thread has at most {MOST_OBJECTS} objects; close some"),
                ));
            }
            None => {
                table.slots.push(None);
                table.slots.len() - 1
            }
        };
        let handle = SERIAL.fetch_add(1, Ordering::Relaxed) << PLACE_BITS | place;
        let object = Rc::new(RefCell::new(object));
        table.slots[place] = Some(Slot { handle, object });
        Ok(ptr::without_provenance_mut(handle))
    });
    added.unwrap_or_else(|_| {
        let message = "this thread is about to end; make objects before".to_owned();
        Err(Failure::new(mpisync_status::MPISYNC_ERR_CREATE, message))
    })
}

/// Adds an object and stores its handle where the C program wants it.
pub fn store<T: Object>(place: Out<*mut T::Opaque>, object: T) -> Result<(), Failure> {
    place.set(add(object)?);
    Ok(())
}

/// Calls `act` with the object of a handle.
pub fn with<T: Object, R>(
    handle: *mut T::Opaque,
    act: impl FnOnce(&mut T) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let object = find::<T>(handle.addr())?;
    let mut object = object.try_borrow_mut().map_err(|_| in_use::<T>())?;
    act(&mut object)
}

/// Removes an object from the table, unless `check` fails.
pub fn remove<T: Object>(
    handle: *mut T::Opaque,
    check: impl FnOnce(&mut T) -> Result<(), Failure>,
) -> Result<T, Failure> {
    with(handle, check)?;
    let handle = handle.addr();
    let object = find::<T>(handle)?;
    let place = handle % MOST_OBJECTS;
    TABLE.with(|objects| {
        let mut table = objects.0.borrow_mut();
        table.slots[place] = None;
        table.free.push(place);
    });
    let object = Rc::into_inner(object).ok_or_else(in_use::<T>)?;
    Ok(object.into_inner())
}

/// Removes an object from the table and drops it. A null pointer is no error.
pub fn free<T: Object>(handle: *mut T::Opaque) -> Result<(), Failure> {
    if handle.is_null() {
        return Ok(());
    }
    remove::<T>(handle, |_| Ok(())).map(drop)
}

fn find<T: Object>(handle: usize) -> Result<Rc<RefCell<T>>, Failure> {
    let object = TABLE.try_with(|objects| {
        let table = objects.0.borrow();
        let slot = table.slots.get(handle % MOST_OBJECTS)?.as_ref()?;
        (slot.handle == handle).then(|| Rc::clone(&slot.object))
    });
    // At the end of a thread the table may be gone.
    let object = object.ok().flatten();
    let object = object.and_then(|object| object.downcast().ok());
    object.ok_or_else(|| unknown::<T>(handle))
}

#[cold]
fn unknown<T: Object>(handle: usize) -> Failure {
    let kind = T::KIND;
    let message = if handle == 0 {
        format!("the handle of the {kind} is NULL; pass the one that `mpisync_{kind}_new` returned")
    } else {
        format!(
            "the handle is not that of a {kind} of this thread; it was closed or freed, or another thread made it"
        )
    };
    Failure::new(mpisync_status::MPISYNC_ERR_HANDLE, message)
}

#[cold]
fn in_use<T: Object>() -> Failure {
    let message = format!(
        "the {} is in use by a call that has not returned; call it after that",
        T::KIND
    );
    Failure::new(mpisync_status::MPISYNC_ERR_HANDLE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing;

    struct Number(i32);

    impl Object for Number {
        type Opaque = Thing;
        const KIND: &'static str = "number";
    }

    struct Other;

    impl Object for Other {
        type Opaque = Thing;
        const KIND: &'static str = "other";
    }

    fn status<R>(outcome: Result<R, Failure>) -> mpisync_status {
        outcome.map_or_else(|failure| failure.status(), |_| mpisync_status::MPISYNC_OK)
    }

    #[test]
    fn a_handle_names_its_object_until_it_is_removed() {
        let (first, second) = (add(Number(1)).unwrap(), add(Number(2)).unwrap());
        with::<Number, _>(first, |number| {
            number.0 += 10;
            Ok(())
        })
        .unwrap();
        assert_eq!(remove::<Number>(first, |_| Ok(())).unwrap().0, 11);
        let third = add(Number(3)).unwrap();
        assert_ne!(first, third, "the place is used again, the handle is not");
        let gone = with::<Number, _>(first, |_| Ok(()));
        assert_eq!(status(gone), mpisync_status::MPISYNC_ERR_HANDLE);
        assert_eq!(with::<Number, _>(second, |number| Ok(number.0)).unwrap(), 2);
        assert_eq!(with::<Number, _>(third, |number| Ok(number.0)).unwrap(), 3);
    }

    #[test]
    fn null_invented_handles_and_other_types_are_errors() {
        let handle = add(Number(1)).unwrap();
        let invented = ptr::without_provenance_mut(7);
        for wrong in [ptr::null_mut(), invented, handle.wrapping_byte_add(1)] {
            let found = with::<Number, _>(wrong, |_| Ok(()));
            assert_eq!(status(found), mpisync_status::MPISYNC_ERR_HANDLE);
        }
        let other = with::<Other, _>(handle, |_| Ok(()));
        assert_eq!(status(other), mpisync_status::MPISYNC_ERR_HANDLE);
        assert_eq!(
            status(free::<Number>(ptr::null_mut())),
            mpisync_status::MPISYNC_OK
        );
    }

    #[test]
    fn another_thread_has_other_handles() {
        let handle = add(Number(1)).unwrap().addr();
        let found = std::thread::spawn(move || {
            let _own = add(Number(2)).unwrap();
            status(with::<Number, _>(
                ptr::without_provenance_mut(handle),
                |_| Ok(()),
            ))
        });
        assert_eq!(found.join().unwrap(), mpisync_status::MPISYNC_ERR_HANDLE);
    }

    #[test]
    fn the_main_thread_is_the_one_in_which_the_process_began() {
        // A test runs in a thread of its own.
        assert!(!is_main_thread());
    }

    #[test]
    fn an_object_is_not_used_inside_its_own_use() {
        let handle = add(Number(1)).unwrap();
        let inner = with::<Number, _>(handle, |_| {
            Ok(status(with::<Number, _>(handle, |_| Ok(()))))
        });
        assert_eq!(inner.unwrap(), mpisync_status::MPISYNC_ERR_HANDLE);
    }

    #[test]
    fn a_failed_check_keeps_the_object() {
        let handle = add(Number(1)).unwrap();
        let refuse = |_: &mut Number| {
            Err(Failure::new(
                mpisync_status::MPISYNC_ERR_HELD,
                String::new(),
            ))
        };
        assert_eq!(
            status(remove::<Number>(handle, refuse)),
            mpisync_status::MPISYNC_ERR_HELD
        );
        assert_eq!(with::<Number, _>(handle, |number| Ok(number.0)).unwrap(), 1);
    }
}
