//! `#[single_write]` on all kinds of functions: generic ones, patterns and `mut` in the
//! parameters, lifetimes, `where`, early return, `?`, `unsafe`, other attributes.

#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use mpisync::{CollectiveError, WindowController};
use serde::{Serialize, de::DeserializeOwned};

#[mpisync::single_write]
fn generic<T, const N: usize>(
    ctrl: &mut WindowController,
    (first, mut rest): (T, [T; N]),
    times: impl Into<usize>,
) -> Result<Vec<T>, CollectiveError>
where
    T: Clone + Serialize + DeserializeOwned,
{
    let times = times.into();
    if times == 0 {
        return Ok(Vec::new());
    }
    rest.reverse();
    let mut all = vec![first; times];
    all.extend(rest);
    Ok(all)
}

#[mpisync::single_write(rank = ctrl.size() - 1)]
fn with_lifetimes<'c, 'a: 'a>(
    ctrl: &'c mut WindowController,
    words: &'a [&str],
    mut counts: BTreeMap<String, i32>,
) -> anyhow::Result<BTreeMap<String, i32>> {
    for &word in words {
        let number: i32 = word.parse()?;
        *counts.entry(word.to_owned()).or_insert(ctrl.rank()) += number;
    }
    Ok(counts)
}

#[mpisync::single_write]
unsafe fn not_safe(ctrl: &mut WindowController, at: *const u8) -> anyhow::Result<u8> {
    // SAFETY: the caller of this function promises that `at` points at a byte.
    Ok(unsafe { *at })
}

#[mpisync::single_write]
fn changes_its_argument(
    ctrl: &mut WindowController,
    log: &mut Vec<Cow<'_, str>>,
) -> Result<(), Box<dyn std::error::Error>> {
    log.push(format!("{ctrl:?}").into());
    Ok(())
}

/// Documented, which the lint `missing_docs` checks.
///
/// # Errors
/// None of its own.
#[must_use = "here is why"]
#[inline]
#[mpisync::single_write]
#[cfg_attr(true, cold)]
pub fn attributes(ctrl: &mut WindowController) -> Result<u8, CollectiveError> {
    #![allow(unused_variables)]
    let unused = 1;
    Ok(7)
}

macro_rules! made_by_a_macro {
    ($name:ident, $result:ty, $value:expr) => {
        #[mpisync::single_write]
        fn $name(ctrl: &mut WindowController) -> $result {
            let rank = ctrl.rank();
            Ok(rank + $value)
        }
    };
}

made_by_a_macro!(made, Result<i32, CollectiveError>, 41);

fn main() {
    let ctrl = &mut WindowController::local();
    assert_eq!(generic(ctrl, (1, [2, 3]), 2_u16).unwrap(), [1, 1, 3, 2]);
    assert!(generic(ctrl, ((), [()]), 0_u16).unwrap().is_empty());

    let counts = with_lifetimes(ctrl, &["3", "3"], BTreeMap::new()).unwrap();
    assert_eq!(counts["3"], 6);
    let error = with_lifetimes(ctrl, &["x"], BTreeMap::new()).unwrap_err();
    assert!(
        error.is::<std::num::ParseIntError>(),
        "the writer keeps its error: {error}"
    );

    // SAFETY: a reference to a byte points at a byte.
    assert_eq!(unsafe { not_safe(ctrl, &5) }.unwrap(), 5);

    let mut log = Vec::new();
    changes_its_argument(ctrl, &mut log).unwrap();
    assert!(!log[0].is_empty());
    assert_eq!(attributes(ctrl).unwrap(), 7);
    assert_eq!(made(ctrl).unwrap(), 41);
}
