// Workers of two ranks in a batch of one process: make the batch on a communicator.
use mpisync::Batch;

fn main() {
    let _batch = Batch::local().worker_size(2).tasks(1).build();
}
