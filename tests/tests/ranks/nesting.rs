//! Guards inside guards, and conversions of guards.

use std::sync::atomic::Ordering::SeqCst;

use mpisync::{UpgradeError, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

use crate::common::Crowd;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    inner_guards_keep_writing,
    inner_guards_keep_reading,
    downgrade_is_atomic,
    downgrade_lets_readers_in,
    upgrade_lets_go_in_between,
    upgrade_beside_another_guard,
    local_controller,
);

const OWNER: usize = 0;

/// Dropping a guard that was made from a write guard releases nothing.
fn inner_guards_keep_writing(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let owner = job.scratch.word(OWNER);
    let me = job.rank as u64 + 1;
    let still_mine = || assert_eq!(owner.load(SeqCst), me, "another writer came in");
    for _ in 0..2_000 {
        let mut guard = ctrl.write();
        owner.store(me, SeqCst);
        {
            let first = guard.read();
            let second = guard.read();
            still_mine();
            drop(first);
            still_mine();
            drop(second);
        }
        still_mine();
        {
            let mut inner = guard.write();
            still_mine();
            let innermost = inner.write();
            still_mine();
            drop(innermost.read());
            drop(innermost);
            still_mine();
            drop(inner.read());
        }
        still_mine();
        drop(guard.read());
        still_mine();
    }
}

/// The lock is held for reading until the last read guard of a rank is dropped, in any order.
fn inner_guards_keep_reading(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let written = job.scratch.word(0);
    for round in 0..500 {
        {
            let mut guards = vec![ctrl.read(), ctrl.read(), ctrl.read(), ctrl.read()];
            let before = written.load(SeqCst);
            while !guards.is_empty() {
                drop(guards.swap_remove((round + guards.len()) % guards.len()));
                if !guards.is_empty() {
                    assert_eq!(written.load(SeqCst), before, "a writer beside a reader");
                }
            }
        }
        let _guard = ctrl.write();
        written.fetch_add(1, SeqCst);
    }
}

/// No other writer enters between a write guard and the read guard that it becomes, though all try.
fn downgrade_is_atomic(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let owner = job.scratch.word(OWNER);
    let me = job.rank as u64 + 1;
    let crowd = Crowd::join(&job.scratch, 10, job.size);
    for _ in 0..job.rounds(2_000) {
        let guard = crowd.write(&mut ctrl);
        owner.store(me, SeqCst);
        let guard = guard.downgrade();
        for _ in 0..20 {
            assert_eq!(owner.load(SeqCst), me, "a writer slipped in");
        }
        drop(guard);
    }
    crowd.leave();
}

/// After a downgrade the lock is held for reading: other readers enter, too.
fn downgrade_lets_readers_in(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..50 {
        let [writing, together, done] = [3 * round, 3 * round + 1, 3 * round + 2];
        let guard = if job.rank == round as i32 % job.size {
            let guard = ctrl.write();
            job.scratch.raise(writing);
            guard.downgrade()
        } else {
            job.scratch.wait_for(writing);
            ctrl.read()
        };
        job.scratch.meet(together, job.size);
        drop(guard);
        job.scratch.meet(done, job.size);
    }
}

/// All ranks read and then upgrade: each succeeds in turn, because an upgrade releases the lock in
/// between.
fn upgrade_lets_go_in_between(job: &Job) {
    let ctrl = mpisync::sync(&job.world).unwrap();
    let written = job.scratch.word(0);
    for round in 1..=200 {
        let guard = ctrl.read();
        job.scratch.meet(2 * round, job.size);
        let guard = guard.upgrade().expect("no other guard is alive");
        // An increment that is not atomic: exact if the upgraded guard is alone.
        written.store(written.load(SeqCst) + 1, SeqCst);
        drop(guard);
        job.scratch.meet(2 * round + 1, job.size);
        assert_eq!(written.load(SeqCst), round as u64 * job.size as u64);
    }
}

/// With a second read guard alive the lock cannot be released: the upgrade is an error, not a
/// deadlock.
fn upgrade_beside_another_guard(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    {
        let first = ctrl.read();
        let second = ctrl.read();
        match second.upgrade() {
            // The guard is returned and still valid.
            Err(UpgradeError::Shared(second)) => drop(second),
            other => panic!("{other:?}"),
        }
        // The first one can be upgraded alone.
        drop(first.upgrade().expect("no other guard is alive"));
    }
    job.scratch.meet(0, job.size);
    until("the lock to be free", || ctrl.try_write().is_some());
}

/// A controller without MPI does the same in one process.
fn local_controller(_: &Job) {
    let mut ctrl = WindowController::local();
    assert_eq!((ctrl.rank(), ctrl.size(), ctrl.master()), (0, 1, 0));
    assert!(ctrl.is_master());
    drop((ctrl.read(), ctrl.try_read().expect("nobody writes")));
    drop(ctrl.try_write().expect("nobody holds it"));
    let guard = ctrl.write().downgrade();
    drop(guard.upgrade().expect("no other guard is alive"));
    let value = ctrl
        .single_write()
        .run(|_| Ok::<_, mpisync::CollectiveError>(7));
    assert_eq!(value.unwrap(), 7);
    ctrl.close().unwrap();
}
