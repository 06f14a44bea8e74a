//! One rank writes: the form with a handle, which exists on the writer only.

use mpisync::{CollectiveError, WindowController};

fn create(ctrl: &mut WindowController) -> Result<usize, CollectiveError> {
    let mut written = 0;
    if let Some(fence) = ctrl.single_write().writer()? {
        written += 1;
        fence.done()?;
    }
    if let Some(fence) = ctrl.on(0)?.single_write().writer()? {
        written += 1;
        let told = fence.fail("the disk is full");
        assert!(told.to_string().contains("the disk is full"), "{told}");
    }
    Ok(written)
}

fn main() {
    let mut ctrl = WindowController::local();
    assert_eq!(create(&mut ctrl).unwrap(), 2);
    assert!(ctrl.on(1).is_err(), "there is one rank");
    assert!(ctrl.try_write().is_some(), "the lock is free again");
}
