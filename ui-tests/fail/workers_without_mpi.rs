// Workers of two ranks in a batch of one process: that takes a communicator.
use mpisync::Batch;

fn main() {
    let _batch = Batch::local().worker_size(2).tasks(1).build();
}
