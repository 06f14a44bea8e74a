//! The collective calls of a region.

use crate::collective::access::Access;
use crate::collective::fenced::{FencedError, SingleWrite};
use crate::error::{CollectiveError, ObjectCall};
use crate::location::{CallSite, Function};
use crate::plain::Plain;
use crate::region::error::RegionError;
use crate::region::place::{DATA, OFFSET, Place};
use crate::region::{FitsRegion, Region, RegionWriteGuard};
use crate::rendezvous;
use crate::rendezvous::{Arrival, Outcome, Payload, Step};
use crate::rwlock::controller::WindowController;
use crate::rwlock::guard::WriteGuard;
use crate::share::Failure;
use crate::share::payload::Encoder;
use ndarray::{ArrayView, AsArray, Dimension, IntoDimension};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

impl<T: Plain, D: Dimension> Region<T, D> {
    /// Copies the `data` of `root` into the region, its first item to `offset`. Collective; `data`
    /// and `offset` of the other ranks are ignored.
    ///
    /// All ranks meet first, so that each rank finishes the reads that precede the call. Then the
    /// root writes while the others wait. All ranks see the data when the call returns.
    ///
    /// `data` is a reference to an array, a view, a slice or a vector, for example `table.as_ref()`
    /// for an `Option<Array2<f64>>` that is `Some` on the root. A literal `None` needs a type:
    /// `None::<&Array2<f64>>`.
    ///
    /// ```
    /// use mpisync::Region;
    ///
    /// let mut region = Region::<f64>::local([2, 3])?;
    /// let row = ndarray::arr2(&[[1.0, 2.0]]);
    /// region.set(0, Some(&row), [1, 1])?;
    /// assert_eq!(region.read()[[1, 2]], 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The same on all ranks, and the region does not change: [`RegionError::RootsDiffer`],
    /// [`RegionError::RankOutOfRange`], [`RegionError::NoData`], [`RegionError::Dimensions`],
    /// [`RegionError::OutOfBounds`]. In addition [`RegionError::Call`] if the ranks are in
    /// different calls or one has died, and [`RegionError::Lock`].
    #[track_caller]
    pub fn set<'v, V, E>(
        &mut self,
        root: i32,
        data: Option<V>,
        offset: impl IntoDimension<Dim: FitsRegion<D>>,
    ) -> Result<(), RegionError>
    where
        V: AsArray<'v, T, E>,
        E: FitsRegion<D>,
        T: 'v,
    {
        let data = data.filter(|_| root == self.rank()).map(Into::into);
        let offset = offset.into_dimension();
        self.set_together(Some(root), data, offset.slice(), Location::caller())
    }

    /// [`set`](Self::set) with the data of any one rank, which passes `Some(data)`; all others pass
    /// `None`. Collective.
    ///
    /// # Errors
    /// Those of [`set`](Self::set), with [`RegionError::NoRoot`] and [`RegionError::SeveralRoots`]
    /// in place of those about the argument `root`.
    #[track_caller]
    pub fn set_from_any<'v, V, E>(
        &mut self,
        data: Option<V>,
        offset: impl IntoDimension<Dim: FitsRegion<D>>,
    ) -> Result<(), RegionError>
    where
        V: AsArray<'v, T, E>,
        E: FitsRegion<D>,
        T: 'v,
    {
        let data = data.map(Into::into);
        let offset = offset.into_dimension();
        self.set_together(None, data, offset.slice(), Location::caller())
    }

    pub(super) fn set_together<E: Dimension>(
        &mut self,
        root: Option<i32>,
        data: Option<ArrayView<'_, T, E>>,
        offset: &[usize],
        caller: &'static Location<'static>,
    ) -> Result<(), RegionError> {
        self.forget_leaked_guards();
        let place = data
            .as_ref()
            .map(|data| Place::find(self.rank(), self.shape(), data.shape(), offset));
        let part = Part {
            root,
            data: place.as_ref().map(|place| match place {
                Ok(_) => Ok(data.as_ref().map_or(0, |data| size_of::<T>() * data.len())),
                Err(error) => Err(error.clone()),
            }),
        };
        let agreed = self.agree_on_root(&part, caller)?;
        let site = CallSite::anywhere("set", caller);
        let call = self.lock.call(self.lock.begin_call(), site);
        let call = call.with_spin_budget(agreed.spin_budget());
        if agreed.root != self.rank() {
            return Ok(call.wait(agreed.root as usize)?);
        }
        call.make_room_in_meeting();
        call.take_charge();
        let place = place.and_then(Result::ok).expect("agreed upon");
        let data = data.expect("agreed upon").into_dyn();
        // All ranks are in this call, so it is free.
        let published = self.lock.lock_write(None).and_then(|lock| {
            let mut items = RegionWriteGuard::new(self, lock);
            items.write_at(&place, data);
            items.publish()
        });
        match &published {
            Ok(()) => call.share_encoded::<()>(Encoder::new().encode(&()))?,
            Err(error) => call.fail(Failure::Failed(&error.to_string())),
        }
        Ok(published?)
    }

    /// Meets all ranks and finds the rank whose data is to be set. The outcome is the same on all
    /// ranks.
    fn agree_on_root(
        &self,
        part: &Part,
        caller: &'static Location<'static>,
    ) -> Result<Agreed, RegionError> {
        self.lock.check_usable()?;
        let arrival = Arrival {
            step: Step::Enter,
            depth: self.lock.block().domain().depth(),
            object: self.lock.block().object_name(),
            // The root and the others may call at different places of the program.
            site: CallSite::anywhere(
                match part.root {
                    Some(_) => "set",
                    None => "set_from_any",
                },
                caller,
            ),
            calls: self.lock.calls(),
            outcome: Outcome::Fine,
            payload: part.to_words(),
        };
        let met = rendezvous::meet(self.lock.block(), &arrival)?;
        let parts: Vec<(i32, Part)> = (met.payloads())
            .map(|(rank, payload)| {
                let rank = rank as i32;
                (rank, Part::from_words(payload, rank, self.shape()))
            })
            .collect();
        let settled = settle(&parts, self.size(), |rank| met.call(rank as usize));
        if let Err(RegionError::NoData { root }) = settled
            && let Some(absence) = self.lock.block().domain().departure(root as usize)
        {
            return Err(CollectiveError::absent(root as u32, absence).into());
        }
        settled
    }

    /// Lets the [`master`](Self::master) change the items by `write`, and returns its result on all
    /// ranks. Collective; only the master runs `write`, and the others wait for it. The master does
    /// not wait for ranks that have not entered the call: these must finish earlier reads in or
    /// before a call in which all ranks meet.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut field = Region::<f64>::local([4])?;
    /// let sum = field.update(|items| {
    ///     items.fill(2.0);
    ///     items.sum()
    /// })?;
    /// assert_eq!(sum, 8.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`CollectiveError`].
    ///
    /// # Panics
    /// On the master, if `write` panics; the others get [`CollectiveError::WriterPanicked`].
    #[track_caller]
    pub fn update<R>(
        &mut self,
        write: impl FnOnce(&mut RegionWriteGuard<'_, T, D>) -> R,
    ) -> Result<R, CollectiveError>
    where
        R: Serialize + DeserializeOwned,
    {
        self.try_update(|items| Ok(write(items)))
    }

    /// [`update`](Self::update) with a closure that may fail. Collective.
    ///
    /// # Errors
    /// On the master, the error of `write`; on the others a [`CollectiveError`] with the master's
    /// rank and the text of its error. The changes that `write` made before stay.
    ///
    /// # Panics
    /// As [`update`](Self::update).
    #[track_caller]
    pub fn try_update<R, E>(
        &mut self,
        write: impl FnOnce(&mut RegionWriteGuard<'_, T, D>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        R: Serialize + DeserializeOwned,
        E: From<CollectiveError> + Display,
    {
        self.update_on(self.master(), write)
    }

    /// [`try_update`](Self::try_update) by another rank than the master, which must be the same on
    /// all ranks. Collective.
    ///
    /// # Errors
    /// Those of [`try_update`](Self::try_update), and [`CollectiveError::NoSuchRank`].
    ///
    /// # Panics
    /// As [`update`](Self::update).
    #[track_caller]
    pub fn update_on<R, E>(
        &mut self,
        rank: i32,
        write: impl FnOnce(&mut RegionWriteGuard<'_, T, D>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        R: Serialize + DeserializeOwned,
        E: From<CollectiveError> + Display,
    {
        let site = CallSite::new("update", Location::caller());
        self.update_at(rank, site, write)
    }

    /// [`update_on`](Self::update_on) in the call at `site`.
    pub(crate) fn update_at<R, E>(
        &mut self,
        rank: i32,
        site: CallSite,
        write: impl FnOnce(&mut RegionWriteGuard<'_, T, D>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        R: Serialize + DeserializeOwned,
        E: From<CollectiveError> + Display,
    {
        let size = self.size();
        if !(0..size).contains(&rank) {
            return Err(CollectiveError::NoSuchRank { rank, size }.into());
        }
        self.forget_leaked_guards();
        let access = Access::enter(&self.lock, rank, Some(Duration::MAX), site)?;
        access.run(|lock: &WindowController| {
            let mut guard = RegionWriteGuard::new(self, WriteGuard::again(lock.lock()));
            let outcome = write(&mut guard)?;
            guard.publish().map_err(CollectiveError::from)?;
            Ok(outcome)
        })
    }
}

#[diagnostic::do_not_recommend]
impl<T, D, W, R, E> SingleWrite<W, R, E> for Region<T, D>
where
    T: Plain,
    D: Dimension,
    W: FnOnce(&mut RegionWriteGuard<'_, T, D>) -> Result<R, E>,
    R: Serialize + DeserializeOwned,
    E: FencedError + Display,
{
    #[track_caller]
    fn write_alone(&mut self, rank: Option<i32>, function: Function, write: W) -> Result<R, E> {
        match rank {
            None => crate::__private::update(self, function, write),
            Some(rank) => crate::__private::update_on(self, rank, function, write),
        }
    }
}

/// The arguments of a rank to `set`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Part {
    /// The root that the rank names.
    root: Option<i32>,
    /// The size of its data in bytes, or why the data is invalid; None if it has no data.
    data: Option<Result<usize, RegionError>>,
}

/// The rank that sets data, as agreed upon by all ranks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Agreed {
    root: i32,
    /// The size of its data in bytes.
    bytes: usize,
}

impl Agreed {
    /// How long the others poll for the root before they sleep.
    fn spin_budget(self) -> Duration {
        /// A lower bound of the speed of a copy.
        const BYTES_A_MICROSECOND: usize = 5_000;
        const LONGEST: usize = 50_000;
        Duration::from_micros((self.bytes / BYTES_A_MICROSECOND).min(LONGEST) as u64)
    }
}

impl Part {
    fn to_words(&self) -> Payload {
        let root = self.root.map_or(0, |root| 1 + u64::from(root as u32));
        let [code, rest @ ..] = match &self.data {
            None => [0; 4],
            Some(Ok(bytes)) => [1, *bytes as u64, 0, 0],
            Some(Err(RegionError::OutOfBounds {
                axis,
                offset,
                length,
                ..
            })) => [2, *axis as u64, *offset as u64, *length as u64],
            Some(Err(RegionError::Dimensions {
                what, dimensions, ..
            })) => [3 + u64::from(*what != DATA), *dimensions as u64, 0, 0],
            Some(Err(other)) => unreachable!("not an error of a place: {other}"),
        };
        [root, code, rest[0], rest[1], rest[2]]
    }

    fn from_words(words: &Payload, rank: i32, shape: &[usize]) -> Self {
        let &[root, code, first, second, third] = words;
        let dimensions = |what| RegionError::Dimensions {
            root: rank,
            what,
            dimensions: first as usize,
            expected: shape.len(),
        };
        let axis = first as usize;
        let data = match code {
            0 => None,
            1 => Some(Ok(first as usize)),
            2 => Some(Err(RegionError::OutOfBounds {
                root: rank,
                axis,
                offset: second as usize,
                length: third as usize,
                extent: shape.get(axis).copied().unwrap_or(0),
            })),
            3 => Some(Err(dimensions(DATA))),
            _ => Some(Err(dimensions(OFFSET))),
        };
        Part {
            root: root.checked_sub(1).map(|root| root as u32 as i32),
            data,
        }
    }
}

/// Finds the rank whose data is to be set, from the arguments of the ranks that take part. `size` is
/// that of the communicator, and `call` the call of a rank.
fn settle(
    parts: &[(i32, Part)],
    size: i32,
    call: impl Fn(i32) -> ObjectCall,
) -> Result<Agreed, RegionError> {
    let (lowest, ref part) = parts[0];
    let named = part.root;
    let root = match named {
        Some(root) => {
            if let Some((rank, part)) = parts.iter().find(|(_, part)| part.root != named) {
                return Err(RegionError::RootsDiffer {
                    first: lowest,
                    root,
                    rank: *rank,
                    there: part.root.unwrap_or(-1),
                    first_call: call(lowest),
                    there_call: call(*rank),
                });
            }
            if !(0..size).contains(&root) {
                return Err(RegionError::RankOutOfRange {
                    argument: "root",
                    rank: root,
                    size,
                });
            }
            root
        }
        None => {
            let mut with_data = parts.iter().filter(|(_, part)| part.data.is_some());
            let first = with_data.next().ok_or(RegionError::NoRoot)?.0;
            if let Some(&(second, _)) = with_data.next() {
                return Err(RegionError::SeveralRoots {
                    first,
                    second,
                    first_call: call(first),
                    second_call: call(second),
                });
            }
            first
        }
    };
    let of_root = parts.iter().find(|(rank, _)| *rank == root);
    match of_root.and_then(|(_, part)| part.data.as_ref()) {
        None => Err(RegionError::NoData { root }),
        Some(Err(refused)) => Err(refused.clone()),
        Some(Ok(bytes)) => Ok(Agreed {
            root,
            bytes: *bytes,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::Place;
    use crate::region::place;

    const SHAPE: [usize; 2] = [4, 5];

    fn follows(root: i32) -> Part {
        Part {
            root: Some(root),
            data: None,
        }
    }

    fn has(root: Option<i32>, refused: Option<RegionError>) -> Part {
        Part {
            root,
            data: Some(refused.map_or(Ok(40), Err)),
        }
    }

    /// The call of a rank, at the line of that number.
    fn call(rank: i32) -> ObjectCall {
        let place = Place::new("main.rs".to_owned(), rank as u32);
        ObjectCall::new("set".into(), "region".into(), "region".into(), place)
    }

    fn settled(parts: &[Part]) -> Result<Agreed, RegionError> {
        let parts: Vec<_> = (0..).zip(parts.iter().cloned()).collect();
        settle(&parts, parts.len() as i32, call)
    }

    fn agreed(root: i32) -> Result<Agreed, RegionError> {
        Ok(Agreed { root, bytes: 40 })
    }

    #[test]
    fn parts_come_back_from_their_words() {
        let refused = [
            place::Place::find(1, &SHAPE, &[4], &[0, 0]).err(),
            place::Place::find(1, &SHAPE, &[4, 5], &[0]).err(),
            place::Place::find(1, &SHAPE, &[4, 5], &[0, 3]).err(),
        ];
        let parts = refused.into_iter().map(|refused| has(Some(-3), refused));
        for part in parts.chain([has(None, None), follows(0), follows(i32::MAX)]) {
            assert_eq!(Part::from_words(&part.to_words(), 1, &SHAPE), part);
        }
    }

    #[test]
    fn ranks_settle_on_the_root_they_name() {
        assert_eq!(settled(&[follows(1), has(Some(1), None)]), agreed(1));
        let differ = RegionError::RootsDiffer {
            first: 0,
            root: 1,
            rank: 1,
            there: 0,
            first_call: call(0),
            there_call: call(1),
        };
        assert_eq!(settled(&[follows(1), has(Some(0), None)]), Err(differ));
        let nobody = RegionError::RankOutOfRange {
            argument: "root",
            rank: 2,
            size: 2,
        };
        assert_eq!(settled(&[follows(2), follows(2)]), Err(nobody));
        let nothing = RegionError::NoData { root: 0 };
        assert_eq!(settled(&[follows(0), follows(0)]), Err(nothing));
    }

    #[test]
    fn ranks_that_are_left_settle_without_the_others() {
        let parts = [(1, follows(3)), (3, has(Some(3), None))];
        assert_eq!(settle(&parts, 4, call), agreed(3));
        let gone = [(1, follows(0)), (3, follows(0))];
        assert_eq!(settle(&gone, 4, call), Err(RegionError::NoData { root: 0 }));
        let differ = [(1, follows(3)), (3, has(Some(1), None))];
        let error = settle(&differ, 4, call).expect_err("they name different ones");
        assert!(error.to_string().starts_with("rank 1, in "), "{error}");
    }

    #[test]
    fn ranks_settle_on_the_one_that_has_data() {
        let none = || Part {
            root: None,
            data: None,
        };
        assert_eq!(settled(&[none(), none(), has(None, None)]), agreed(2));
        assert_eq!(settled(&[none(), none()]), Err(RegionError::NoRoot));
        let several = RegionError::SeveralRoots {
            first: 0,
            second: 2,
            first_call: call(0),
            second_call: call(2),
        };
        let parts = [has(None, None), none(), has(None, None)];
        assert_eq!(settled(&parts), Err(several));
    }
}
