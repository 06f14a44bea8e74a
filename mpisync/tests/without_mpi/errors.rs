//! Errors tell their causes once: in the text or by `source()`.

use mpisync::batch::BatchError;
use mpisync::batch::directory::DirectoryError;
use mpisync::channel::{BulkError, PutError};
use mpisync::guarded::GuardedError;
use mpisync::sync::{BarrierError, OnceError, SemaphoreError};
use mpisync::{ChannelError, CollectiveError, CreateError, LockError, RegionError, UpgradeError};
use std::error::Error;
use std::io;
use std::sync::Arc;

/// Checks that no error of the chain repeats the text of its source, and that the chain tells `cause`.
#[track_caller]
fn tells_once(error: impl Error + 'static, cause: &str) {
    let mut told = 0;
    let mut next: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = next {
        told += error.to_string().matches(cause).count();
        next = error.source();
    }
    assert_eq!(told, 1, "{error:?}");
}

#[test]
fn a_cause_is_told_once() {
    let cause = "the disk of node 7";
    let io = || io::Error::other(cause);
    let directory = || DirectoryError::Io {
        path: "states".into(),
        action: "open",
        error: Arc::new(io()),
    };
    let memory = || CreateError::Memory {
        rank: 0,
        error: Arc::new(io()),
    };
    tells_once(memory(), cause);
    tells_once(directory(), cause);
    tells_once(
        DirectoryError::OtherDirectory {
            path: "states".into(),
            host: "node".into(),
            found: Some(Box::new(directory())),
        },
        cause,
    );
    tells_once(BatchError::Create(memory()), cause);
    tells_once(BatchError::Directory(directory()), cause);
    let error = directory();
    tells_once(BatchError::FileSystem { rank: 1, error }, cause);
    tells_once(GuardedError::<io::Error>::Make(memory()), cause);
    tells_once(GuardedError::Use(io()), cause);
    for make in [
        |name, error| GuardedError::Create { name, error },
        |name, error| GuardedError::Open { name, error },
        |name, error| GuardedError::Close { name, error },
    ] {
        tells_once(make("file".to_owned(), io()), cause);
        tells_once(io::Error::from(make("file".to_owned(), io())), cause);
    }
}

#[test]
fn a_lock_s_error_is_told_once() {
    let cause = "MPI is finalized";
    let lock = || LockError::Finalized;
    let call = || CollectiveError::Lock(lock());
    tells_once(lock(), cause);
    tells_once(call(), cause);
    tells_once(io::Error::from(call()), cause);
    tells_once(CreateError::Fill(call()), cause);
    tells_once(BatchError::Lock(lock()), cause);
    tells_once(BatchError::Diverged(call()), cause);
    tells_once(RegionError::Lock(lock()), cause);
    tells_once(RegionError::Call(call()), cause);
    tells_once(GuardedError::<io::Error>::Lock(lock()), cause);
    tells_once(GuardedError::<io::Error>::Call(call()), cause);
    tells_once(BarrierError::Lock(lock()), cause);
    tells_once(OnceError::Lock(lock()), cause);
    tells_once(SemaphoreError::Lock(lock()), cause);
    assert_eq!(UpgradeError::Lock(lock()).to_string(), lock().to_string());
    let reason = ChannelError::Finalized;
    tells_once(
        PutError {
            message: 1,
            reason: reason.clone(),
        },
        cause,
    );
    tells_once(BulkError { put: 1, reason }, cause);
}
