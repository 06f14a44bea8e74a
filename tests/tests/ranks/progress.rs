//! A waiting rank lets MPI make progress, and a busy rank delays no other rank.

use std::hint::black_box;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use mpi::request;
use mpi::traits::*;
use mpisync::{Access, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

mpisync_tests::cases!(on [2, 3, 4, 8]:
    busy_master,
    busy_reader,
);

// Jobs of their own, in which the ranks have not communicated before.
mpisync_tests::cases!(on [2, 3, 4] with [OwnJob]:
    busy_after_writing,
);

mpisync_tests::cases!(on [2, 3, 4] with [OwnJob]:
    busy_after_sharing,
);

/// In such a job a large message needs the sender's progress: otherwise Open MPI and newer versions
/// of MPICH would let the kernel copy it.
const NO_KERNEL_COPIES: &[(&str, &str)] = &[
    ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
    ("OMPI_MCA_smsc", "^cma,xpmem,knem"),
    ("MPIR_CVAR_CH4_CMA_ENABLE", "0"),
    ("MPIR_CVAR_CH4_XPMEM_ENABLE", "0"),
];

mpisync_tests::cases!(on [2, 4] with [Environment(NO_KERNEL_COPIES)]:
    isend_needs_progress,
    isend_while_waiting_to_write = |job| isend(job, Wait::Write),
    isend_while_waiting_to_read = |job| isend(job, Wait::Read),
    isend_while_waiting_with_timeout = |job| isend(job, Wait::Timeout),
    isend_while_collecting = |job| isend(job, Wait::Collect),
    isend_while_entering = |job| isend(job, Wait::Enter),
    isend_while_agreeing = |job| isend(job, Wait::Agree),
    isend_while_the_writer_waits = |job| isend(job, Wait::Fence),
);

/// Too large for MPI to send before the receiver requests it.
const BYTES: usize = 8 << 20;
const SENDER: i32 = 0;
const RECEIVER: i32 = 1;

/// The call in which the sender waits while its message is on the way.
#[derive(Clone, Copy)]
enum Wait {
    Write,
    Read,
    Timeout,
    Collect,
    /// In a collective call, for a rank that has not entered it yet.
    Enter,
    /// At the end of a collective call, for a rank that is still in it.
    Agree,
    Fence,
}

const LOCKED: usize = 0;
const SENT: usize = 1;
const RECEIVED: usize = 2;

/// The receiver gets the sender's message while it holds the lock for which the sender waits:
/// without progress during the sender's wait this is a deadlock. For 2 ranks and more.
fn isend(job: &Job, wait: Wait) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let message = vec![0x5a_u8; BYTES];
    match job.rank {
        SENDER => request::scope(|scope| {
            // A call that all ranks enter together cannot be held by one of them before.
            if !matches!(wait, Wait::Enter | Wait::Agree) {
                job.scratch.wait_for(LOCKED);
            }
            let to = job.world.process_at_rank(RECEIVER);
            let sending = to.immediate_send(scope, &message[..]);
            job.scratch.raise(SENT);
            wait_as_sender(&mut ctrl, wait);
            assert!(
                job.scratch.is_raised(RECEIVED),
                "the sender did not have to wait"
            );
            sending.wait();
        }),
        RECEIVER => wait_as_receiver(&mut ctrl, wait, || receive(job)),
        _ => match wait {
            Wait::Write | Wait::Read | Wait::Timeout => {}
            Wait::Collect | Wait::Enter | Wait::Agree => wait_as_sender(&mut ctrl, wait),
            Wait::Fence => assert_eq!(collect(&mut ctrl, SENDER), 9),
        },
    }
}

fn receive(job: &Job) {
    job.scratch.raise(LOCKED);
    job.scratch.wait_for(SENT);
    // Makes the case harder: by now the sender is in its wait.
    thread::sleep(Duration::from_millis(20));
    let mut message = vec![0_u8; BYTES];
    job.world.process_at_rank(SENDER).receive_into(&mut message);
    assert!(message.iter().all(|byte| *byte == 0x5a));
    job.scratch.raise(RECEIVED);
}

fn wait_as_sender(ctrl: &mut WindowController, wait: Wait) {
    match wait {
        Wait::Write => drop(ctrl.write()),
        Wait::Read => drop(ctrl.read()),
        Wait::Timeout => drop(ctrl.write_timeout(Duration::from_secs(30)).unwrap()),
        Wait::Collect => assert_eq!(collect(ctrl, RECEIVER), 9),
        Wait::Enter | Wait::Agree => agree(ctrl, || ()),
        Wait::Fence => share(ctrl, SENDER, || ()),
    }
}

fn wait_as_receiver(ctrl: &mut WindowController, wait: Wait, receive: impl FnOnce()) {
    match wait {
        Wait::Read | Wait::Write | Wait::Timeout => {
            let _guard = ctrl.write();
            receive();
        }
        Wait::Collect => share(ctrl, RECEIVER, receive),
        Wait::Enter => {
            receive();
            agree(ctrl, || ());
        }
        Wait::Agree => agree(ctrl, receive),
        Wait::Fence => {
            // The sender is the writer of the fence, and waits for this reader first.
            {
                let _guard = ctrl.read();
                receive();
            }
            assert_eq!(collect(ctrl, SENDER), 9);
        }
    }
}

fn share(ctrl: &mut WindowController, writer: i32, work: impl FnOnce()) {
    let on = ctrl.on(writer).unwrap().named("progress");
    let Access::Writer(fence) = on.single_write() else {
        panic!("rank {writer} is the writer");
    };
    work();
    assert_eq!(fence.share(9).unwrap(), 9);
}

fn collect(ctrl: &mut WindowController, writer: i32) -> i32 {
    let on = ctrl.on(writer).unwrap().named("progress");
    let Access::Excluded(fence) = on.single_write() else {
        panic!("rank {writer} is the writer, not this one");
    };
    fence.collect().unwrap()
}

fn agree(ctrl: &mut WindowController, work: impl FnOnce()) {
    #[mpisync::collective]
    fn step(ctrl: &mut WindowController, work: impl FnOnce()) -> anyhow::Result<()> {
        assert!(ctrl.size() > 1);
        work();
        Ok(())
    }
    step(ctrl, work).unwrap();
}

/// Without progress the message of the other cases does not arrive, so these cases can fail. For 2
/// ranks and more.
fn isend_needs_progress(job: &Job) {
    let mut message = vec![0_u8; BYTES];
    match job.rank {
        SENDER => request::scope(|scope| {
            let to = job.world.process_at_rank(RECEIVER);
            let sending = to.immediate_send(scope, &message[..]);
            job.scratch.raise(SENT);
            job.scratch.wait_for(RECEIVED);
            sending.wait();
        }),
        RECEIVER => request::scope(|scope| {
            job.scratch.wait_for(SENT);
            let from = job.world.process_at_rank(SENDER);
            let mut receiving = from.immediate_receive_into(scope, &mut message[..]);
            for _ in 0..200 {
                thread::sleep(Duration::from_millis(1));
                receiving = match receiving.test() {
                    Ok(_) => panic!("it arrived without the sender's help: this job tests nothing"),
                    Err(pending) => pending,
                };
            }
            job.scratch.raise(RECEIVED);
            receiving.wait();
        }),
        _ => {}
    }
}

/// Each rank in turn is the master and computes without calling MPI until the others are done with
/// 1,000 locks of each kind. For 2 ranks and more.
fn busy_master(job: &Job) {
    for master in 0..job.size {
        let mut ctrl = WindowController::builder(&job.world)
            .master(master)
            .build()
            .unwrap();
        let done = job.scratch.word(master as usize);
        if job.rank == master {
            compute_until(|| done.load(SeqCst) == job.size as u64 - 1);
        } else {
            for _ in 0..job.rounds(1_000) {
                drop(ctrl.read());
                drop(ctrl.write());
                drop(ctrl.try_read());
            }
            done.fetch_add(1, SeqCst);
        }
    }
}

/// A rank that computes while it reads delays no other reader. For 2 ranks and more.
fn busy_reader(job: &Job) {
    let ctrl = mpisync::sync(&job.world).unwrap();
    let done = job.scratch.word(0);
    if job.rank == 0 {
        let _guard = ctrl.read();
        job.scratch.raise(1);
        compute_until(|| done.load(SeqCst) == job.size as u64 - 1);
    } else {
        job.scratch.wait_for(1);
        for _ in 0..1_000 {
            drop(ctrl.read());
        }
        done.fetch_add(1, SeqCst);
    }
}

/// Ranks that compute after a write, one after another without an opening in between, have released
/// the lock for the one that does not. For 2 ranks and more.
fn busy_after_writing(job: &Job) {
    for reader in 0..job.size {
        let mut ctrl = mpisync::sync(&job.world).unwrap();
        let index = 10 + 5 * reader as usize;
        let [reading, about_to_write, written, done] =
            [0, 1, 2, 3].map(|word| job.scratch.word(index + word));
        let others = job.size as u64 - 1;
        if job.rank == reader {
            let guard = ctrl.read();
            reading.store(1, SeqCst);
            until("the writers to wait", || {
                about_to_write.load(SeqCst) == others
            });
            std::thread::sleep(Duration::from_millis(20));
            drop(guard);
            until("the writers", || written.load(SeqCst) == others);
            drop(ctrl.read());
            drop(ctrl.write());
            done.store(1, SeqCst);
        } else {
            until("the reader", || reading.load(SeqCst) == 1);
            about_to_write.fetch_add(1, SeqCst);
            drop(ctrl.write());
            written.fetch_add(1, SeqCst);
            compute_until(|| done.load(SeqCst) == 1);
        }
    }
}

/// A shared value of any length reaches the others while its writer computes. For 2 ranks and more.
fn busy_after_sharing(job: &Job) {
    for writer in 0..job.size {
        for (kind, length) in [1, 3_000, 2_000_000].into_iter().enumerate() {
            let comm = job.world.duplicate();
            let mut ctrl = mpisync::sync(&comm).unwrap();
            let done = job.scratch.word(100 + 10 * writer as usize + kind);
            let right = vec![length; length as usize];
            if job.rank == writer {
                share_value(&mut ctrl, writer, &right);
                compute_until(|| done.load(SeqCst) == job.size as u64 - 1);
            } else {
                assert!(
                    share_value(&mut ctrl, writer, &right) == right,
                    "a wrong value"
                );
                done.fetch_add(1, SeqCst);
            }
        }
    }
}

fn share_value(ctrl: &mut WindowController, writer: i32, value: &[u32]) -> Vec<u32> {
    crate::common::shared(ctrl, writer, value.to_vec())
}

fn compute_until(mut done: impl FnMut() -> bool) {
    let mut sum = 0_u64;
    until("the others, while this rank computes", || {
        sum = (0..10_000).fold(sum, |sum, number| black_box(sum ^ number));
        done()
    });
    black_box(sum);
}
