// A turn that is not bound, so it passes on at once: bind it, `let _mine = turn.take();`, or use `turn.each`.
#![deny(unused_must_use)]

use mpisync::Turn;

fn main() {
    let mut turn = Turn::local();
    turn.take();
}
