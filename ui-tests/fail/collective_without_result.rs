// A collective function that returns no `Result`: return one, by which a rank learns of the failure of another one.
use mpisync::WindowController;

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> u32 {
    drop(ctrl.write());
    1
}

fn main() {}
