//! What the programs `mpisync-batch`, `mpisync-top` and `mpisync-trace` have in common: lines with
//! styles and columns, the screen, times and rates as text, completions and manual pages. It is made
//! for them, and has no promise of stability; the library for programs with ranks is `mpisync`.

pub mod columns;
pub mod install;
pub mod line;
pub mod output;
pub mod screen;
pub mod text;
pub mod time;
