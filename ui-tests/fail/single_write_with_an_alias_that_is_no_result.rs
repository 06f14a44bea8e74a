// A type alias of a type that is no `Result`: return a `Result`.
use mpisync::WindowController;

type Columns = u32;

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Columns {
    1
}

fn main() {}
