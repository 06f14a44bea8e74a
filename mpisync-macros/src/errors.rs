//! Errors: at the user's token, and all of them at once.

use std::fmt::Display;

use quote::ToTokens;
use syn::{Error, Result};

/// Both values, or the errors of both.
pub fn both<A, B>(a: Result<A>, b: Result<B>) -> Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(mut errors), Err(more)) => {
            errors.combine(more);
            Err(errors)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// An error at the token, if there is one.
pub fn reject(token: Option<impl ToTokens>, why: impl Display) -> Result<()> {
    token.map_or(Ok(()), |token| Err(Error::new_spanned(token, why)))
}
