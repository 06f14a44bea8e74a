// An error type that cannot say that another rank failed: implement `From<CollectiveError>` for it.
use mpisync::WindowController;

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<u32, String> {
    Ok(1)
}

fn main() {}
