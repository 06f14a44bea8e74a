// A collective function that returns no `Result`: return one, with which a rank learns that another one failed.
use mpisync::WindowController;

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> u32 {
    drop(ctrl.write());
    1
}

fn main() {}
