//! An object, and the guard that borrows it, in one value.

use crate::failure::{Failure, Kind};
use crate::handle::{self, Handle, Object};
use std::mem;
use std::ptr::NonNull;

/// An object that lends guards.
pub trait Lend: 'static {
    /// What holds a lock of the object and borrows it.
    type Guard<'a>
    where
        Self: 'a;
    /// The name of the object in messages.
    const KIND: &'static str;
    /// What a guard holds, in messages.
    const HOLDS: &'static str;
    /// Whether it lends several guards at a time, by shared references.
    const LENDS_SEVERAL: bool = false;
}

/// An object of which this rank holds a guard or none.
///
/// A guard in here has the lifetime `'static`, and is really valid until the object is moved out or
/// dropped. So the object lies in memory of its own, which is freed only after the guard is gone. No
/// such guard leaves this module: closures get guards of any lifetime, which they can only consume or
/// give back.
pub struct Held<T: Lend> {
    guard: Option<T::Guard<'static>>,
    /// From `Box::leak`. Not a `Box`: moving one would invalidate what the guard borrows.
    owner: NonNull<T>,
}

impl<T: Lend> Held<T> {
    /// An object that is not held.
    pub fn new(owner: T) -> Self {
        let owner = NonNull::from(Box::leak(Box::new(owner)));
        Held { guard: None, owner }
    }

    /// Takes a guard.
    ///
    /// # Errors
    /// [`Kind::Held`] if this rank holds one; that of `take`.
    pub fn hold(
        &mut self,
        take: impl for<'a> FnOnce(&'a mut T) -> Result<T::Guard<'a>, Failure>,
    ) -> Result<(), Failure> {
        self.hold_some(|owner| take(owner).map(Some))?;
        Ok(())
    }

    /// Takes a guard, if there is one to take. Returns whether there was.
    ///
    /// # Errors
    /// Those of [`hold`](Self::hold).
    pub fn hold_some(
        &mut self,
        take: impl for<'a> FnOnce(&'a mut T) -> Result<Option<T::Guard<'a>>, Failure>,
    ) -> Result<bool, Failure> {
        const { assert!(!T::LENDS_SEVERAL, "`lend` would make a second borrow") };
        self.check_free()?;
        // SAFETY: the memory is valid until `self` is dropped or consumed, which drops the guard first.
        // No guard is there, so nothing else borrows the object, and nothing will while the new guard
        // is there: `owner` checks that, and `lend` is for other types. `take` works for every
        // lifetime, so it keeps the reference nowhere but in the guard.
        let owner: &'static mut T = unsafe { self.owner.as_mut() };
        self.guard = take(owner)?;
        Ok(self.guard.is_some())
    }

    /// Takes a guard of an object that lends several: `take` gets those that are held.
    pub fn lend<R>(
        &mut self,
        take: impl for<'a> FnOnce(&'a T, &mut Option<T::Guard<'a>>) -> R,
    ) -> R {
        const {
            assert!(
                T::LENDS_SEVERAL,
                "a guard may borrow the object exclusively"
            )
        };
        // SAFETY: the memory is valid as above. Guards may borrow the object, but only by shared
        // references: they come from here, since `hold_some` is for other types. `take` works for every
        // lifetime, so it keeps the reference nowhere but in the guards.
        let owner: &'static T = unsafe { self.owner.as_ref() };
        take(owner, &mut self.guard)
    }

    /// The object, if no guard borrows it.
    ///
    /// # Errors
    /// [`Kind::Held`].
    pub fn owner(&mut self) -> Result<&mut T, Failure> {
        self.check_free()?;
        // SAFETY: the memory is valid, and without a guard nothing else borrows the object. The
        // reference borrows `self`, so no guard is made meanwhile.
        Ok(unsafe { self.owner.as_mut() })
    }

    /// Uses the guard, which stays held.
    ///
    /// # Errors
    /// [`Kind::NotHeld`].
    pub fn with_guard<R>(
        &mut self,
        act: impl for<'a> FnOnce(&mut T::Guard<'a>) -> R,
    ) -> Result<R, Failure> {
        self.guard.as_mut().map(act).ok_or_else(not_held::<T>)
    }

    /// Releases the guard: `consume` gets it, and the place for the one that stays held, if any.
    ///
    /// # Errors
    /// [`Kind::NotHeld`].
    pub fn release<R>(
        &mut self,
        consume: impl for<'a> FnOnce(T::Guard<'a>, &mut Option<T::Guard<'a>>) -> R,
    ) -> Result<R, Failure> {
        let guard = self.guard.take().ok_or_else(not_held::<T>)?;
        Ok(consume(guard, &mut self.guard))
    }

    /// Whether this rank holds a guard.
    pub fn is_held(&self) -> bool {
        self.guard.is_some()
    }

    /// Checks that this rank holds no guard.
    ///
    /// # Errors
    /// [`Kind::Held`].
    pub fn check_free(&self) -> Result<(), Failure> {
        if self.guard.is_none() {
            return Ok(());
        }
        let (object, what) = (T::KIND, T::HOLDS);
        Err(Failure::new(
            Kind::Held,
            format!("this rank holds {what} of the {object}; release it first"),
        ))
    }

    /// The object, after the guard is dropped.
    pub fn into_owner(mut self) -> T {
        self.guard = None;
        // SAFETY: from `Box::leak`, and `self` is forgotten before it could be freed again.
        let owner = unsafe { Box::from_raw(self.owner.as_ptr()) };
        mem::forget(self);
        *owner
    }
}

impl<T: Lend> Drop for Held<T> {
    fn drop(&mut self) {
        self.guard = None;
        // SAFETY: as in `into_owner`; the guard is gone.
        drop(unsafe { Box::from_raw(self.owner.as_ptr()) });
    }
}

impl<T: Lend> Object for Held<T> {
    const KIND: &'static str = T::KIND;
}

/// Takes an object out of the table of handles, unless this rank holds a guard of it.
///
/// # Errors
/// [`Kind::Held`], [`Kind::Handle`].
pub fn take_free<T: Lend>(handle: Handle) -> Result<T, Failure> {
    let held = handle::remove::<Held<T>>(handle, |held| held.check_free())?;
    Ok(held.into_owner())
}

#[cold]
fn not_held<T: Lend>() -> Failure {
    let (object, what) = (T::KIND, T::HOLDS);
    Failure::new(
        Kind::NotHeld,
        format!(
            "this rank does not hold {what} of the {object}; take it before, and release it once"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Notes when it and its guards are dropped.
    struct Noted(Rc<RefCell<Vec<&'static str>>>);

    struct Guard<'a>(&'a Noted);

    impl Lend for Noted {
        type Guard<'a> = Guard<'a>;
        const KIND: &'static str = "thing";
        const HOLDS: &'static str = "the lock";
    }

    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.borrow_mut().push("object");
        }
    }

    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            self.0.0.borrow_mut().push("guard");
        }
    }

    fn held() -> (Held<Noted>, Rc<RefCell<Vec<&'static str>>>) {
        let notes = Rc::default();
        (Held::new(Noted(Rc::clone(&notes))), notes)
    }

    #[test]
    fn the_guard_is_dropped_before_the_object() {
        let (mut first, notes) = held();
        assert!(first.hold(|noted| Ok(Guard(noted))).is_ok());
        drop(first);
        assert_eq!(*notes.borrow(), ["guard", "object"]);

        let (mut second, notes) = held();
        assert!(second.hold(|noted| Ok(Guard(noted))).is_ok());
        // A moved value keeps its guard valid.
        let moved = Box::new(second);
        let owner = moved.into_owner();
        assert_eq!(*notes.borrow(), ["guard"]);
        drop(owner);
        assert_eq!(*notes.borrow(), ["guard", "object"]);
    }

    #[test]
    fn a_guard_that_is_given_back_stays_held() {
        let (mut held, notes) = held();
        assert!(held.hold(|noted| Ok(Guard(noted))).is_ok());
        assert!(held.release(|guard, kept| *kept = Some(guard)).is_ok());
        let notes_of = |guard: &mut Guard<'_>| guard.0.0.borrow().len();
        assert_eq!(held.with_guard(notes_of).ok(), Some(0));
        assert!(held.release(|guard, _| drop(guard)).is_ok());
        assert_eq!(*notes.borrow(), ["guard"]);
    }

    #[test]
    fn a_guard_is_held_once_and_released_once() {
        let (mut held, _notes) = held();
        let kind = |failure: Failure| failure.kind;
        let not_held = Some(Kind::NotHeld);
        let is_held = Some(Kind::Held);
        let release = |held: &mut Held<Noted>| held.release(|_, _| ()).err().map(kind);
        assert_eq!(release(&mut held), not_held);
        assert!(held.hold(|noted| Ok(Guard(noted))).is_ok());
        assert_eq!(held.hold(|noted| Ok(Guard(noted))).err().map(kind), is_held);
        assert_eq!(held.owner().err().map(kind), is_held);
        assert_eq!(release(&mut held), None);
        assert_eq!(release(&mut held), not_held);
        assert!(held.owner().is_ok());
    }
}
