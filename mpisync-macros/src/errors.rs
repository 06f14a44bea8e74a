//! Several mistakes, told in one go.

use syn::Result;

/// Both values, or everything that is wrong with either.
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
