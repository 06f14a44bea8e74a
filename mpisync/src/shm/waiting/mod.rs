//! Waits that are visible: a rank that waits long records in shared memory what it waits for, and
//! reports the wait once it has lasted for the time that [`report_waits_after`] sets.
//!
//! A public call describes its wait by a [`Call`], which travels with the wait's
//! [`Deadline`](crate::shm::wait::Deadline). A [`Watch`] accompanies the wait once it is long; a wait
//! of less than [`RECORDED_AFTER`] is neither recorded nor looked at.

mod deadlock;
mod graph;
pub(crate) mod hosts;
pub(crate) mod interrupt;
pub(crate) mod news;
pub(crate) mod record;
pub(crate) mod records;
mod report;
mod setting;
#[cfg(feature = "mpi")]
mod signal;
mod subject;
#[cfg(all(test, not(loom)))]
mod tests;
pub(crate) mod want;

use crate::environment::{WATCHDOG, read_seconds};
use crate::error::{LockError, WaitReport};
use crate::location;
use crate::shm::wait::Stop;
use crate::shm::waiting::deadlock::Found;
pub(crate) use crate::shm::waiting::deadlock::Waits;
use crate::shm::waiting::interrupt::Interruption;
pub use crate::shm::waiting::interrupt::interrupt_waits;
use crate::shm::waiting::report::Look;
#[cfg(feature = "mpi")]
pub(crate) use crate::shm::waiting::setting::looks_for_deadlocks;
pub use crate::shm::waiting::setting::{OnDeadlock, on_deadlock};
#[cfg(feature = "mpi")]
pub use crate::shm::waiting::signal::report_waits_on_signal;
pub(crate) use crate::shm::waiting::subject::{
    Awaited, BlockSubject, Described, Label, Needs, Subject,
};
use crate::span::{self, About, Activity, Keeper, Outcome};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::panic::Location;
use std::thread;
use std::time::{Duration, Instant};

/// A call that may have to wait.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// What it waits for.
    pub(crate) subject: &'a dyn Subject,
    /// The name of the call.
    pub(crate) name: &'a str,
    /// Its place in the program, file and line, if known.
    pub(crate) place: Option<(&'a str, u32)>,
    /// Whether the call can return the error for a deadlock.
    pub(crate) can_fail: bool,
    /// Whether the call can return the error for an interruption.
    pub(crate) is_interruptible: bool,
    /// Whether it keeps its thread waiting. A future does not, so it has no record, and is no part of a
    /// deadlock.
    pub(crate) blocks: bool,
}

impl<'a> Call<'a> {
    /// The call `name` at `location`.
    #[inline]
    pub(crate) fn new(
        subject: &'a dyn Subject,
        name: &'a str,
        location: &'static Location<'static>,
    ) -> Self {
        Call {
            subject,
            name,
            place: Some((location.file(), location.line())),
            can_fail: true,
            is_interruptible: true,
            blocks: true,
        }
    }

    /// The same call as a future, of which a thread may have several at a time.
    pub(crate) fn of_future(self) -> Self {
        Call {
            blocks: false,
            ..self.without_failing()
        }
    }

    /// The same call, which does not fail in a deadlock: the ranks it waits for do. It cannot be
    /// interrupted either.
    pub(crate) fn without_failing(self) -> Self {
        Call {
            can_fail: false,
            is_interruptible: false,
            ..self
        }
    }

    /// A call inside the library, whose place in the program is not known, and which cannot fail.
    pub(crate) fn internal(subject: &'a dyn Subject, name: &'a str) -> Self {
        Call {
            subject,
            name,
            place: None,
            can_fail: false,
            is_interruptible: false,
            blocks: true,
        }
    }

    /// The same call, which can be interrupted.
    pub(crate) fn interruptible(self) -> Self {
        Call {
            is_interruptible: true,
            ..self
        }
    }

    /// The same call with its place in the program, if that is in another language. Nothing is locked, for the interpreter
    /// of such a program may wait for this thread.
    fn located(self) -> Self {
        Call {
            place: location::in_program(self.place),
            ..self
        }
    }

    /// The same call, without its place if the program is in another language.
    fn not_located(self) -> Self {
        Call {
            place: self.place.filter(|_| !location::is_in_other_language()),
            ..self
        }
    }

    /// What a span says of this call.
    fn about(self) -> About<'a> {
        let (domain, label) = (self.subject.domain(), self.subject.label());
        About {
            keeper: self.keeper(),
            ..domain.about(Activity::Wait, label, self.name, self.place)
        }
    }

    /// The rank that keeps this one waiting now, as far as this rank can see.
    fn keeper(self) -> Option<Keeper> {
        if self.subject.asks_to_look() {
            return None;
        }
        let awaited = self.subject.awaited().into_iter().next()?;
        let place = awaited.held_at.map(|place| (place.file(), place.line()));
        Some(Keeper {
            rank: awaited.rank,
            role: awaited.role,
            place,
        })
    }

    /// What an error says of this call, which has waited in vain for that long. After a short time
    /// without a look at the processes of other ranks, which takes longer than the wait.
    #[cold]
    pub(crate) fn report(self, waited: Duration) -> WaitReport {
        if waited < 2 * RECORDED_AFTER {
            // It may have ended before its first look, and the last ones were those of another wait.
            SIGHTINGS.with_borrow_mut(Vec::clear);
        }
        let is_long = waited >= RECORDED_AFTER;
        let call = if is_long {
            self.located()
        } else {
            self.not_located()
        };
        WaitReport::new(report::brief(call, is_long))
    }
}

/// How long a rank waits before it records the wait.
const RECORDED_AFTER: Duration = Duration::from_millis(10);
/// How often it records anew for whom it waits.
const REFRESH: Duration = Duration::from_millis(200);
/// How many times as long as a look the pause after it is: if many ranks share few cores and all of
/// them wait, their looks must not take the time of the one that has to go on.
const PAUSE: u32 = 20;
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The time between two looks at the processes of other ranks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Accompanies one wait. Its record ends when this is dropped.
pub(crate) struct Watch<'a> {
    call: Option<Call<'a>>,
    /// Whether it has no time limit.
    is_endless: bool,
    start: Instant,
    /// When there is something to do.
    due: Instant,
    /// The identity of the wait's record; 0 before there is one.
    record: u64,
    /// The number of looks that the record has got.
    look_number: u64,
    /// The first look at the ranks that keep this one waiting, before a report.
    looks: Option<Vec<Look>>,
    reported: bool,
    /// The number of reports requested by a signal so far.
    requests: u32,
    search: deadlock::Search,
    /// None if the call cannot end early.
    interruption: Option<Interruption>,
    span: span::Wait,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(call: Option<Call<'a>>, is_endless: bool, start: Instant) -> Self {
        Watch {
            call,
            is_endless,
            start,
            due: start + RECORDED_AFTER,
            record: 0,
            look_number: 0,
            looks: None,
            reported: false,
            requests: REQUESTS.load(Ordering::Relaxed),
            search: deadlock::Search::default(),
            interruption: call
                .filter(|call| call.is_interruptible)
                .map(|_| Interruption::of_wait(start)),
            span: span::Wait::begin(|| call.map(Call::about)),
        }
    }

    /// Called time and again while the wait lasts, each time after this rank has found that what it
    /// waits for has not come.
    ///
    /// # Errors
    /// [`Stop::Deadlock`] if the wait is a part of a deadlock, and the call has to end for that reason;
    /// [`Stop::Interrupted`] if the program asks for that.
    #[inline]
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), Stop> {
        if let Some(interruption) = &mut self.interruption
            && interruption.has_come(now)
        {
            return Err(Stop::Interrupted);
        }
        match self.call {
            Some(call) if now >= self.due || self.requests != REQUESTS.load(Ordering::Relaxed) => {
                self.act(call, now)
            }
            _ => Ok(()),
        }
    }

    /// Notes how the wait ends. It fails unless this says otherwise.
    #[inline]
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.span.end(outcome);
    }

    #[cold]
    fn act(&mut self, mut call: Call<'a>, now: Instant) -> Result<(), Stop> {
        if self.record == 0 {
            call = call.located();
            self.call = Some(call);
        }
        let looked = self.look(call, now);
        // The ranks of a deadlock agree in steps that have their own times.
        if self.search.due(now).is_none() {
            let end = Instant::now();
            let pause = end.saturating_duration_since(now) * PAUSE;
            self.due = self.due.max(end + pause.min(LONGEST_PAUSE));
        }
        looked
    }

    fn look(&mut self, call: Call<'_>, now: Instant) -> Result<(), Stop> {
        let awaited = call.subject.awaited();
        if call.blocks {
            self.note(call, &awaited, now);
        } else {
            SIGHTINGS.with_borrow_mut(Vec::clear);
        }
        let requests = REQUESTS.load(Ordering::Relaxed);
        let is_late = limit().is_some_and(|limit| !self.reported && now - self.start >= limit);
        if let Some(looks) = self.looks.take() {
            emit(&report::full(call, now - self.start, &awaited, &looks));
            self.reported |= is_late;
        } else if is_late || requests != self.requests {
            self.looks = Some(report::look(call.subject.domain(), &awaited));
        }
        self.requests = requests;
        self.due = match (&self.looks, limit()) {
            (Some(_), _) => now + BETWEEN_LOOKS,
            (None, Some(limit)) if !self.reported => {
                let late = self.start.checked_add(limit);
                late.map_or(now + REFRESH, |late| late.min(now + REFRESH))
            }
            (None, _) => now + REFRESH,
        };
        if call.blocks {
            self.search_deadlock(call, &awaited, now)?;
        }
        Ok(())
    }

    /// Records the wait, and for whom it waits.
    fn note(&mut self, call: Call<'_>, awaited: &[Awaited], now: Instant) {
        if self.record == 0 {
            self.record = records::begin(call, now - self.start);
            SIGHTINGS.with_borrow_mut(Vec::clear);
        } else {
            records::renew(call, self.record);
        }
        note_sightings(awaited, now);
        records::note_awaited(call, self.record, awaited.first().map(|first| first.rank));
    }

    fn search_deadlock(
        &mut self,
        call: Call<'_>,
        awaited: &[Awaited],
        now: Instant,
    ) -> Result<(), Stop> {
        let on_deadlock = setting::on_deadlock_now();
        let (needs, want) = match self.is_endless && on_deadlock != OnDeadlock::Off {
            true => (call.subject.needs(), call.subject.want()),
            false => (Needs::Unknown, None),
        };
        self.look_number += 1;
        let look = (self.record, self.look_number);
        records::note_look(call, look, &needs, awaited, want);
        if needs == Needs::Unknown && want.is_none() {
            return Ok(());
        }
        match (
            on_deadlock,
            self.search.step(self.record, now - self.start, now),
        ) {
            (OnDeadlock::Report, Found::New(deadlock)) if deadlock.is_mine_to_report => {
                let lines = deadlock.text.replace('\n', "\nmpisync:   ");
                emit(&format!("mpisync: {DEADLOCK}{lines}\n"));
            }
            (OnDeadlock::Error, Found::Agreed(deadlock)) => {
                deadlock.leave_together(self.record);
                if call.can_fail {
                    let lines = deadlock.text.replacen('\n', "", 1).replace('\n', "; ");
                    LAST_DEADLOCK.set(Some((lines, now + deadlock.linger())));
                    return Err(Stop::Deadlock);
                }
            }
            _ => {}
        }
        if let (OnDeadlock::Error, Some(due)) = (on_deadlock, self.search.due(now)) {
            self.due = self.due.min(due);
        }
        Ok(())
    }
}

/// The first line of the report of a deadlock.
const DEADLOCK: &str = "deadlock: these ranks wait for each other, and none of these waits can end";

thread_local! {
    /// The ranks that this thread has found to keep it waiting, in its last long wait, and since when.
    static SIGHTINGS: RefCell<Vec<(Awaited, Instant)>> = const { RefCell::new(Vec::new()) };
    /// The deadlock in which the last wait of this thread has ended, and until when this rank keeps
    /// what it has.
    static LAST_DEADLOCK: Cell<Option<(String, Instant)>> = const { Cell::new(None) };
}

/// Notes the ranks that keep this thread waiting now, and forgets those that do no longer.
fn note_sightings(awaited: &[Awaited], now: Instant) {
    SIGHTINGS.with_borrow_mut(|sightings| {
        sightings.retain(|(seen, _)| awaited.contains(seen));
        for one in awaited {
            if !sightings.iter().any(|(seen, _)| seen == one) {
                sightings.push((*one, now));
            }
        }
    });
}

/// For how long this thread has seen, in each look of its last long wait, that `awaited` keeps it
/// waiting; none if it has not.
fn seen_for(awaited: &Awaited) -> Option<Duration> {
    SIGHTINGS.with_borrow(|sightings| {
        let mut sightings = sightings.iter();
        let (_, since) = sightings.find(|(seen, _)| seen == awaited)?;
        Some(since.elapsed())
    })
}

/// The report on the deadlock in which the last wait of this thread has ended. Called after this rank
/// has left the queue in which it waited; returns once those of other hosts have left theirs.
#[cold]
pub(crate) fn deadlock_report() -> WaitReport {
    let Some((text, until)) = LAST_DEADLOCK.take() else {
        return WaitReport::default();
    };
    thread::sleep(until.saturating_duration_since(Instant::now()));
    WaitReport::new(text)
}

impl Stop {
    /// The error of a wait that has ended for a reason that ends waits of all kinds: a host is lost, the
    /// wait is a part of a deadlock, or it is interrupted. Of a deadlock, called once and by the thread
    /// that waited.
    ///
    /// # Panics
    /// If it has ended for another reason.
    #[cold]
    pub(crate) fn into_error(self) -> LockError {
        match self {
            Stop::HostLost(loss) => loss.into(),
            Stop::Deadlock => LockError::Deadlock {
                report: deadlock_report(),
            },
            Stop::Interrupted => LockError::Interrupted,
            stop => unreachable!("this wait does not end for that reason: {stop:?}"),
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.record != 0 {
            records::end(self.record);
        }
        self.span.end(Outcome::Failure);
    }
}

/// Passes a report on to a subscriber of `tracing`; on standard error if none listens.
fn emit(report: &str) {
    if span::warn(report.trim_end()) {
        return;
    }
    // In one write, so that the reports of several ranks do not mix.
    let _ = std::io::stderr().write_all(report.as_bytes());
}

/// The number of reports of all waits that were requested so far.
static REQUESTS: AtomicU32 = AtomicU32::new(0);

/// After how many milliseconds a wait is reported.
static LIMIT: AtomicU64 = AtomicU64::new(UNSET);
/// `LIMIT`: the environment has not been read.
const UNSET: u64 = u64::MAX;
/// `LIMIT`: waits are not reported.
const OFF: u64 = u64::MAX - 1;

const DEFAULT: Duration = Duration::from_secs(60);

/// Sets for this process after what time a waiting call reports on standard error why it waits, in
/// place of the environment variable `MPISYNC_WATCHDOG` and the default of 60 seconds. `None` switches
/// the reports off.
///
/// Each wait is reported once; the guide shows [a report](crate::guide::stalls#a-wait-that-lasts-reports-itself).
/// The call goes on waiting. May be called at any time and by any thread, also differently on each
/// rank; it holds for waits that are under way as well.
///
/// ```
/// use std::time::Duration;
///
/// mpisync::report_waits_after(Some(Duration::from_secs(10)));
/// mpisync::report_waits_after(None);
/// ```
pub fn report_waits_after(limit: Option<Duration>) {
    LIMIT.store(milliseconds(limit), Ordering::Relaxed);
}

fn milliseconds(limit: Option<Duration>) -> u64 {
    limit.map_or(OFF, |limit| (limit.as_millis() as u64).min(OFF - 1))
}

/// After what time a wait is reported, if at all.
fn limit() -> Option<Duration> {
    let mut limit = LIMIT.load(Ordering::Relaxed);
    if limit == UNSET {
        // A value without a meaning is an error where an object is made.
        let set = read_seconds(WATCHDOG).unwrap_or_default();
        limit = milliseconds(Some(set.unwrap_or(DEFAULT)).filter(|limit| !limit.is_zero()));
        LIMIT.store(limit, Ordering::Relaxed);
    }
    (limit != OFF).then(|| Duration::from_millis(limit))
}
