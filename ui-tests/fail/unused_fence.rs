// A writer's fence that is dropped, so the other ranks get an error: `share` a value, or call `done`.
#![deny(unused_must_use)]

use mpisync::{Fence, WindowController, Writer};

fn pass_on(fence: Fence<'_, Writer>) -> Fence<'_, Writer> {
    fence
}

fn main() {
    let mut ctrl = WindowController::local();
    if let Some(fence) = ctrl.single_write().writer().unwrap() {
        pass_on(fence);
    }
}
