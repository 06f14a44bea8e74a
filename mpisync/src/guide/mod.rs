//! How to use mpisync, chapter by chapter. There is nothing to call here.
//!
//! | chapter | what it answers |
//! | --- | --- |
//! | [`first_steps`] | What does a program need, and how is it built and started? |
//! | [`choosing`] | Which object fits, and which calls does it have? |
//! | [`files`] | How do ranks share a text file, an HDF5 file, a directory on NFS? |
//! | [`futures`] | How does a rank wait for several things at once, with tokio or another executor? |
//! | [`errors`] | What happens when a rank fails, panics or dies? |
//! | [`misuse`] | Which mistakes does the compiler reject, and what do the others cause? |
//! | [`stalls`] | Why does my job stand still? |
//! | [`running`] | How is it started with `mpiexec`, Slurm, PBS and in containers? |
//! | [`environment`] | Which environment variables does the library read? |
//! | [`testing`] | How is code tested with and without MPI? |
//! | [`performance`] | What do calls cost, and what makes a program slow? |
//! | [`lock`] | How does the reader-writer lock work? |

// A chapter's links are resolved here.
#[allow(unused_imports, reason = "the chapters link to what the crate exports")]
use crate::{guarded::*, *};

#[doc = include_str!("first_steps.md")]
pub mod first_steps {}

#[doc = include_str!("choosing.md")]
pub mod choosing {}

#[doc = include_str!("files.md")]
pub mod files {}

#[doc = include_str!("futures.md")]
pub mod futures {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("misuse.md")]
pub mod misuse {}

#[doc = include_str!("stalls.md")]
pub mod stalls {}

#[doc = include_str!("running.md")]
pub mod running {}

#[doc = include_str!("environment.md")]
pub mod environment {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("lock.md")]
pub mod lock {}
