//! The library's interface without MPI, in one process. This is one program, because each takes seconds to build. Tests of what
//! belongs to the whole process have programs of their own.

#![cfg(not(loom))]

mod batch;
mod batch_limits;
mod batch_several;
#[cfg(target_os = "linux")]
mod batch_trouble;
mod call_futures;
mod channels;
#[path = "../common/mod.rs"]
mod common;
mod counters;
#[cfg(feature = "region")]
mod errors;
#[cfg(all(
    feature = "bytemuck",
    feature = "half",
    feature = "num-complex",
    feature = "region"
))]
mod foreign;
mod futures;
mod guarded;
mod local;
mod lock_futures;
mod objects;
mod polling;
#[cfg(feature = "region")]
mod regions;
mod shared;
mod shared_channels;
mod shared_leaks;
mod shared_objects;
mod slices;
#[cfg(feature = "futures")]
mod streams;
