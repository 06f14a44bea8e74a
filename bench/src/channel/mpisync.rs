//! mpisync: a `RemoteChannel` for each way. Each rank keeps the end that it uses.
//!
//! Messages of up to 4 KiB are put by value, and larger ones by reference, so that none lies on a
//! stack. All are taken into a buffer, as by `MPI_Recv`.

use std::slice;

use ::mpisync::{Consumer, Producer, RemoteChannel};
use mpi::traits::*;

use super::{Case, LAST, Link, begin_with, beginning, buffer};
use crate::team::Team;
use crate::turns::Subject;

/// Larger messages are not put by value.
const SMALL: usize = 4096;

/// The ends that this rank keeps, and a buffer for a message.
pub struct Mpisync<const BYTES: usize> {
    producer: Option<Producer<[u8; BYTES]>>,
    consumer: Option<Consumer<[u8; BYTES]>>,
    message: Box<[u8; BYTES]>,
}

/// Makes the channels for a case. Collective.
///
/// # Panics
/// If no case has messages of that length.
pub fn new(case: Case, team: &Team) -> Box<dyn Subject<Case>> {
    match case.bytes() {
        8 => Box::new(Mpisync::<8>::new(case, team)),
        64 => Box::new(Mpisync::<64>::new(case, team)),
        512 => Box::new(Mpisync::<512>::new(case, team)),
        1024 => Box::new(Mpisync::<1024>::new(case, team)),
        4096 => Box::new(Mpisync::<4096>::new(case, team)),
        32_768 => Box::new(Mpisync::<32_768>::new(case, team)),
        65_536 => Box::new(Mpisync::<65_536>::new(case, team)),
        262_144 => Box::new(Mpisync::<262_144>::new(case, team)),
        1_048_576 => Box::new(Mpisync::<1_048_576>::new(case, team)),
        bytes => panic!("no case has messages of {bytes} bytes"),
    }
}

impl<const BYTES: usize> Mpisync<BYTES> {
    fn new(case: Case, team: &Team) -> Self {
        let message = buffer(case).into_boxed_slice();
        let mut subject = Self {
            producer: None,
            consumer: None,
            message: message.try_into().expect("a message of that length"),
        };
        for (from, to) in case.ways(team.world().size()) {
            let (producer, consumer) = RemoteChannel::builder(team.world(), case.room())
                .root(to[0])
                .build()
                .expect("a channel of all ranks can be made")
                .split();
            if from.contains(&team.rank()) {
                subject.producer = Some(producer);
            }
            if to.contains(&team.rank()) {
                subject.consumer = Some(consumer);
            }
        }
        subject
    }
}

impl<const BYTES: usize> Link for Mpisync<BYTES> {
    fn put(&mut self, word: u64) {
        begin_with(&mut self.message[..], word);
        let producer = self.producer.as_ref().expect("this rank sends");
        if BYTES <= SMALL {
            producer.put(*self.message).expect("a rank receives");
        } else {
            let message = slice::from_ref(&*self.message);
            producer.put_slice(message).expect("a rank receives");
        }
    }

    fn take(&mut self) -> u64 {
        let consumer = self.consumer.as_ref().expect("this rank receives");
        assert!(consumer.take_into(&mut self.message), "a rank sends");
        beginning(&self.message[..])
    }

    fn end(&mut self) {
        // There are as many senders as receivers, and each receiver takes one of these.
        self.put(LAST);
    }

    fn ends(&self) -> usize {
        1
    }

    fn close(self) {}
}
