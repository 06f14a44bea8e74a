// A mistake in the body, which is reported at its place: here, return a `String`.
use mpisync::{CollectiveError, WindowController};

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Result<String, CollectiveError> {
    let name = ctrl.name();
    if name.is_empty() {
        return Ok(1);
    }
    Ok(name.to_owned())
}

fn main() {}
