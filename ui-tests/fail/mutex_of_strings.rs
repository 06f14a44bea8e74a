// A text in the memory of one process: use an array such as `[u8; 32]`.
use mpisync::Mutex;

fn main() {
    let _name = Mutex::local_with(String::new());
}
