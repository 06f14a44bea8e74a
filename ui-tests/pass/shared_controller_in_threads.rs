// Threads take locks of a controller that they share; collective calls come before and after.
use mpisync::prelude::*;

fn main() {
    let mut ctrl = WindowController::local();
    let shared = ctrl.shared().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let reading = shared.read();
                assert_eq!(reading.rank(), 0);
            });
        }
        // Also moved to another thread as a whole.
        let by_reference = &shared;
        scope.spawn(move || drop(by_reference.write().downgrade()));
    });
    drop(shared);
    let value = ctrl.single_write().run(|_| Ok::<_, CollectiveError>(7));
    assert_eq!(value, Ok(7));
}
