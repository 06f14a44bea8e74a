//! Puts messages on a rank that takes from the same channel.

use std::thread;

use mpisync::{ChannelError, Consumer, Plain, Producer, PutError};

/// Puts a message. While the channel is full, takes other messages and passes them to `use_it`.
///
/// If this rank is the only one that takes, `put` would wait for itself. `take` would end the
/// stream if all ranks that could put wait in it, so this function calls `try_take`.
///
/// # Errors
/// If the channel is closed, or `use_it` fails.
pub fn put_or_take<T: Plain>(
    producer: &Producer<T>,
    consumer: &Consumer<T>,
    mut message: T,
    mut use_it: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    loop {
        match producer.try_put(message) {
            Ok(()) => return Ok(()),
            Err(PutError {
                message: back,
                reason: ChannelError::Full,
            }) => message = back,
            Err(error) => return Err(error.into()),
        }
        match consumer.try_take() {
            Ok(Some(taken)) => use_it(taken)?,
            // Another rank has not finished taking the message that is in the way.
            Ok(None) | Err(ChannelError::Empty) => thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpisync::RemoteChannel;

    #[test]
    fn one_rank_puts_more_than_there_is_room_for() {
        let (producer, consumer) = RemoteChannel::local(2).unwrap().split();
        let mut taken = Vec::new();
        for number in 0..10 {
            put_or_take(&producer, &consumer, number, |message| {
                taken.push(message);
                Ok(())
            })
            .unwrap();
        }
        drop(producer);
        taken.extend(&consumer);
        assert_eq!(taken, Vec::from_iter(0..10));
    }

    #[test]
    fn an_error_in_between_is_passed_on() {
        let (producer, consumer) = RemoteChannel::local(1).unwrap().split();
        let fail = |message| Err(anyhow::anyhow!("no use for {message}"));
        put_or_take(&producer, &consumer, 1, fail).unwrap();
        let error = put_or_take(&producer, &consumer, 2, fail).unwrap_err();
        assert_eq!(error.to_string(), "no use for 1");
    }
}
