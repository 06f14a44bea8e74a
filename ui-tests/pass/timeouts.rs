//! The forms that do not wait forever, and the properties of the controller.

use std::time::Duration;

use mpisync::WindowController;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ctrl = WindowController::local();
    assert_eq!((ctrl.rank(), ctrl.size(), ctrl.master()), (0, 1, 0));
    assert!(ctrl.is_master());

    drop(ctrl.read_timeout(Duration::MAX)?);
    drop(ctrl.write_timeout(Duration::ZERO)?);
    assert!(ctrl.try_write().is_some());
    let access = ctrl.single_write_timeout(Duration::from_secs(1))?;
    access.writer()?.expect("the only rank writes").done()?;
    ctrl.close()?;
    Ok(())
}
