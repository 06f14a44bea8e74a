// An error type that cannot represent the failure of another rank: implement `From<CollectiveError>` for it.
use mpisync::WindowController;

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<u32, String> {
    Ok(1)
}

fn main() {}
