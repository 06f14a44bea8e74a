// A function that returns nothing: return a `Result`, by which the other ranks learn of a failure.
use mpisync::WindowController;

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) {
    println!("rank {} writes", ctrl.rank());
}

fn main() {}
