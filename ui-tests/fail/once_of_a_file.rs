// A value that cannot be sent to other ranks: share the data to make it, here the file's name.
use mpisync::OnceShared;

fn main() {
    let _log = OnceShared::<std::fs::File>::local();
}
