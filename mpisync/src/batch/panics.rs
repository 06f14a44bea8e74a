//! What a thread says when it panics, for those who see no more of it than that they are dropped.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the message of every panic from now on, for its thread. What is written on a panic stays
/// as it was.
pub(super) fn watch() {
    static WATCH: Once = Once::new();
    // Nobody may change the hook while a thread panics.
    if std::thread::panicking() {
        return;
    }
    WATCH.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            // In the end of a thread there may be no room for it any more.
            let _ = LAST.try_with(|last| *last.borrow_mut() = text.map(str::to_owned));
            before(info);
        }));
    });
}

/// The message of this thread's last panic.
pub(super) fn message() -> String {
    let last = LAST.try_with(|last| last.borrow().clone()).ok().flatten();
    last.unwrap_or_else(|| "a panic; see what that rank wrote to its standard error".to_owned())
}
