//! One rank writes: the closure form, with a user's error type and with `anyhow`.

use std::fmt;

use mpisync::{CollectiveError, WindowController};

#[derive(Debug)]
enum Failed {
    Full,
    Fence(CollectiveError),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::Fence(error) => error.fmt(f),
        }
    }
}

impl From<CollectiveError> for Failed {
    fn from(error: CollectiveError) -> Self {
        Self::Fence(error)
    }
}

fn main() -> anyhow::Result<()> {
    let mut ctrl = WindowController::local();
    let rank = ctrl.single_write().run(|ctrl| anyhow::Ok(ctrl.rank()))?;
    assert_eq!(rank, 0);

    // The writer keeps its own error.
    let outcome: Result<u32, Failed> = ctrl.single_write().run(|_| Err(Failed::Full));
    assert!(matches!(outcome, Err(Failed::Full)));
    assert!(ctrl.try_write().is_some(), "the lock is free again");
    Ok(())
}
