// A turn taken inside this rank's turn, which at run time would wait for itself: take one turn per round.
use mpisync::Turn;

fn main() {
    let mut turn = Turn::local();
    let first = turn.take();
    let second = turn.take();
    drop((first, second));
}
