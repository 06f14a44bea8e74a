//! What the programs `mpisync-batch` and `mpisync-top` have in common. It is made for them, and has
//! no promise of stability; the library for programs with ranks is `mpisync`.

pub mod output;
pub mod screen;
