// A guard kept in a `static`, where it would hold the lock forever: keep it in a local variable.
use std::sync::Mutex;

use mpisync::WriteGuard;

static GUARD: Mutex<Option<WriteGuard<'static>>> = Mutex::new(None);

fn main() {
    drop(GUARD.lock());
}
