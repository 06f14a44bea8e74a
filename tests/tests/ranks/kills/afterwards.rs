//! What the ranks that are left do together with the same objects, once they have agreed.

use mpi::traits::Communicator;
use mpisync::{CollectiveError, WindowController};
use mpisync_tests::scratch::until;

use super::alone::TURN;
use super::objects::{ITEMS, Objects, Outcome};
use super::round::Round;
use super::{FOREVER, RANKS};

#[mpisync::collective]
fn sum_of_ranks(ctrl: &mut WindowController, sum: i32) -> Result<i32, CollectiveError> {
    Ok(sum + ctrl.rank())
}

/// No call fails any more.
pub fn go_on(round: &mut Round<'_>, objects: &mut Objects) {
    until("the victim to die", || round.has_lost_one());
    let living: Vec<i32> = (0..RANKS as i32)
        .filter(|&rank| !round.is_dead(rank))
        .collect();
    let left = round.call("survivors", &[], |round| {
        let left = mpisync::survivors(&round.job.world)?;
        assert_eq!(left.size() as usize, living.len());
        Outcome::Ok(left)
    });
    if left.is_some_and(|left| left.rank() == 0) {
        round.call("clear what is poisoned", &[], |_| {
            objects.controller.clear_poison()?;
            objects.region.clear_poison()?;
            Outcome::Ok(())
        });
    }
    for (number, &writer) in living.iter().enumerate() {
        round.call("barrier again", &[], |_| {
            objects.barrier.wait_timeout(FOREVER)
        });
        let sum = round.call("collective again", &[], |_| {
            sum_of_ranks(&mut objects.controller, writer)
        });
        assert_eq!(sum, Some(writer + round.rank()));
        let length = [1, 40_000, 400][number % 3];
        let value = round.call("single_write again", &[], |_| {
            let access = objects.controller.on(writer)?;
            access
                .single_write_timeout(FOREVER)?
                .run(|_| Outcome::Ok(vec![writer; length]))
        });
        assert_eq!(value, Some(vec![writer; length]));
        round.call("take a turn again", &[], |round| {
            let turn = objects.turn.take_timeout(FOREVER)?;
            round.alone(TURN);
            drop(turn);
            Outcome::Ok(())
        });
        let data = (round.rank() == writer).then(|| vec![number as u64; ITEMS]);
        round.call("set a region again", &[], |_| {
            objects.region.set(writer, data.as_ref(), [0])?;
            let items = objects.region.read_timeout(FOREVER)?;
            assert!(items.iter().all(|&item| item == number as u64));
            Outcome::Ok(())
        });
    }
}
