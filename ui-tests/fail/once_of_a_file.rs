// A value that cannot travel to other ranks: share what it takes to have it, here the file's name.
use mpisync::OnceShared;

fn main() {
    let _log = OnceShared::<std::fs::File>::local();
}
