//! Handles: numbers that name the objects of a thread.
//!
//! A handle's number is used once in a process, so a handle that was closed, or that another thread
//! made, names nothing. It is a plain number, which any thread may have; the object and its guards never
//! leave the table of the thread that made them.

use crate::comm;
use crate::failure::{Failure, Kind};
use std::any::Any;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number that names an object of a thread. It is never 0.
pub type Handle = usize;

/// An object that has handles.
pub trait Object: Any {
    /// The name of the object in messages.
    const KIND: &'static str;
}

/// The low bits of a handle are the object's place in the table, the others a serial number.
const PLACE_BITS: u32 = 20;
const MOST_OBJECTS: usize = 1 << PLACE_BITS;

/// The next serial number; none is 0, so no handle is 0.
static SERIAL: AtomicUsize = AtomicUsize::new(1);

struct Slot {
    handle: Handle,
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
        if is_main_thread() || comm::is_finalized() {
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
///
/// # Errors
/// [`Kind::Memory`], [`Kind::Create`] at the end of a thread.
pub fn add<T: Object>(object: T) -> Result<Handle, Failure> {
    let added = TABLE.try_with(|objects| {
        let mut table = objects.0.borrow_mut();
        let place = match table.free.pop() {
            Some(place) => place,
            None if table.slots.len() == MOST_OBJECTS => {
                return Err(Failure::new(
                    Kind::Memory,
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
        Ok(handle)
    });
    added.unwrap_or_else(|_| {
        let message = "this thread is about to end; make objects before".to_owned();
        Err(Failure::new(Kind::Create, message))
    })
}

/// Calls `act` with the object of a handle.
///
/// # Errors
/// [`Kind::Handle`] if it names no object of this type and thread, or one that is in use by a call that
/// has not returned; that of `act`.
pub fn with<T: Object, R>(
    handle: Handle,
    act: impl FnOnce(&mut T) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let object = find::<T>(handle)?;
    let mut object = object.try_borrow_mut().map_err(|_| in_use::<T>())?;
    act(&mut object)
}

/// Removes an object from the table, unless `check` fails.
///
/// # Errors
/// Those of [`with`].
pub fn remove<T: Object>(
    handle: Handle,
    check: impl FnOnce(&mut T) -> Result<(), Failure>,
) -> Result<T, Failure> {
    with(handle, check)?;
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

/// Removes an object from the table and drops it.
///
/// # Errors
/// Those of [`with`].
pub fn free<T: Object>(handle: Handle) -> Result<(), Failure> {
    remove::<T>(handle, |_| Ok(())).map(drop)
}

fn find<T: Object>(handle: Handle) -> Result<Rc<RefCell<T>>, Failure> {
    let object = TABLE.try_with(|objects| {
        let table = objects.0.borrow();
        let slot = table.slots.get(handle % MOST_OBJECTS)?.as_ref()?;
        (slot.handle == handle).then(|| Rc::clone(&slot.object))
    });
    // At the end of a thread the table may be gone.
    let object = object.ok().flatten();
    let object = object.and_then(|object| object.downcast().ok());
    object.ok_or_else(unknown::<T>)
}

#[cold]
fn unknown<T: Object>() -> Failure {
    let message = format!(
        "the handle is not that of a {} of this thread; it was closed or freed, or another thread made it",
        T::KIND
    );
    Failure::new(Kind::Handle, message)
}

#[cold]
fn in_use<T: Object>() -> Failure {
    let message = format!(
        "the {} is in use by a call that has not returned; call it after that",
        T::KIND
    );
    Failure::new(Kind::Handle, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(i32);

    impl Object for Number {
        const KIND: &'static str = "number";
    }

    struct Other;

    impl Object for Other {
        const KIND: &'static str = "other";
    }

    fn kind<R>(outcome: Result<R, Failure>) -> Option<Kind> {
        outcome.err().map(|failure| failure.kind)
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
        assert_eq!(kind(gone), Some(Kind::Handle));
        assert_eq!(with::<Number, _>(second, |number| Ok(number.0)).unwrap(), 2);
        assert_eq!(with::<Number, _>(third, |number| Ok(number.0)).unwrap(), 3);
    }

    #[test]
    fn invented_handles_and_other_types_are_errors() {
        let handle = add(Number(1)).unwrap();
        for wrong in [0, 7, handle + 1] {
            let found = with::<Number, _>(wrong, |_| Ok(()));
            assert_eq!(kind(found), Some(Kind::Handle));
        }
        let other = with::<Other, _>(handle, |_| Ok(()));
        assert_eq!(kind(other), Some(Kind::Handle));
    }

    #[test]
    fn another_thread_has_other_handles() {
        let handle = add(Number(1)).unwrap();
        let found = std::thread::spawn(move || {
            let _own = add(Number(2)).unwrap();
            kind(with::<Number, _>(handle, |_| Ok(())))
        });
        assert_eq!(found.join().unwrap(), Some(Kind::Handle));
    }

    #[test]
    fn the_main_thread_is_the_one_in_which_the_process_began() {
        // A test runs in a thread of its own.
        assert!(!is_main_thread());
    }

    #[test]
    fn an_object_is_not_used_inside_its_own_use() {
        let handle = add(Number(1)).unwrap();
        let inner = with::<Number, _>(handle, |_| Ok(kind(with::<Number, _>(handle, |_| Ok(())))));
        assert_eq!(inner.unwrap(), Some(Kind::Handle));
    }

    #[test]
    fn a_failed_check_keeps_the_object() {
        let handle = add(Number(1)).unwrap();
        let refuse = |_: &mut Number| Err(Failure::new(Kind::Held, String::new()));
        assert_eq!(kind(remove::<Number>(handle, refuse)), Some(Kind::Held));
        assert_eq!(with::<Number, _>(handle, |number| Ok(number.0)).unwrap(), 1);
    }
}
