// A value of more than 4096 bytes, which is too large for a lock: use a `Region`, and a `Mutex<()>` beside it.
use mpisync::Mutex;

fn main() {
    let _table = Mutex::local_with([0_u8; 5000]);
}
