// A shared value asked for in another thread: ask on the rank's own, and lend the value.
use mpisync::OnceShared;

fn main() {
    let token = OnceShared::<String>::local();
    std::thread::scope(|scope| {
        scope.spawn(|| token.get().is_some());
    });
}
