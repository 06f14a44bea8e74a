//! The next task of a worker as a future.

use crate::batch::directory::Again;
use crate::batch::round::Taking;
use crate::batch::{Batch, BatchError, Task};
use crate::shm::polling::Polling;
use crate::shm::wait::Surroundings;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// Takes the next task; see [`Batch::next_task_async`].
///
/// If it is dropped before it is ready, this rank has taken no task and has not made the call.
#[must_use = "futures do nothing unless they are polled"]
pub struct NextTaskFuture<'a> {
    /// None after the future was ready.
    batch: Option<&'a mut Batch>,
    taking: Taking,
    polling: Option<Polling>,
}

impl Batch {
    /// [`next_task`](Self::next_task) as a future, so that a rank of a worker of several can do
    /// something else while it waits for the others: the first rank for their votes on the tasks
    /// before, the others for the first rank. Collective in the worker.
    ///
    /// Nothing happens before the first poll. A rank alone in its worker waits for nobody, and its
    /// future is ready at the first poll. As in `next_task`, it then waits for one round trip if the
    /// table of tasks is on another node, and for the file system if there is a state directory. See
    /// [`guide::futures`](crate::guide::futures).
    ///
    /// ```
    /// use mpisync::Batch;
    ///
    /// let mut batch = Batch::local().tasks(3).build()?;
    /// futures::executor::block_on(async {
    ///     while let Some(task) = batch.next_task_async().await? {
    ///         task.done()?;
    ///     }
    ///     Ok::<(), mpisync::batch::BatchError>(())
    /// })?;
    /// assert_eq!(batch.summary()?.done, 3);
    /// # Ok::<(), mpisync::batch::BatchError>(())
    /// ```
    ///
    /// # Errors
    /// The future returns those of [`next_task`](Self::next_task).
    ///
    /// # Panics
    /// The future panics if it is polled after it was ready.
    #[track_caller]
    pub fn next_task_async(&mut self) -> NextTaskFuture<'_> {
        NextTaskFuture {
            batch: Some(self),
            taking: Taking {
                name: "next_task_async",
                again: Again::default(),
                most: 1,
                waits: false,
                location: Location::caller(),
            },
            polling: None,
        }
    }

    /// Whether [`take`](Self::take) waits for no rank of the worker, or returns an error. If it
    /// `inspects`, it looks whether they are alive.
    fn may_take(&self, taking: &Taking, inspects: bool) -> bool {
        let domain = self.object.block().domain();
        if self.object.check_usable().is_err() || domain.host_loss().is_some() {
            return true;
        }
        let poll = || self.check_stops();
        let outer = self.outer_call(taking.name, &poll);
        poll();
        let may_meet = (self.worker).may_meet(&outer, taking.location, inspects);
        may_meet && (!self.worker.is_leader() || self.may_settle_all(taking.name, inspects))
    }
}

impl<'a> Future for NextTaskFuture<'a> {
    type Output = Result<Option<Task<'a>>, BatchError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let batch = this.batch.as_deref();
        let batch = batch.expect("`NextTaskFuture` is not polled after it was ready");
        let now = Instant::now();
        let is_first = this.polling.is_none();
        let polling = this.polling.get_or_insert_with(|| Polling::begin(now));
        if !is_first {
            batch.object.block().progress();
        }
        let inspects = polling.is_inspection_due(now);
        if !batch.may_take(&this.taking, inspects) {
            polling.wake_later(context, batch.object.block(), now);
            return Poll::Pending;
        }
        let batch = this.batch.take().expect("it was there just now");
        let taken = batch.take(this.taking);
        let batch: &'a Batch = batch;
        Poll::Ready(taken.map(|()| batch.task_at(0)))
    }
}

impl fmt::Debug for NextTaskFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextTaskFuture")
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
