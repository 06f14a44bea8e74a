//! A waiting rank drives MPI, and a busy one holds nobody up.

use mpisync_tests::launch::Launch;
use mpisync_tests::suite::check_launch;

mpisync_tests::on_ranks!(busy on [2, 3, 4, 8]:
    "busy_master",
    "busy_reader",
);

// Jobs of their own, in which the ranks have not talked to each other before.
mpisync_tests::on_ranks!(busy_after_writing on [2, 3, 4]:
    "busy_after_writing",
);

mpisync_tests::on_ranks!(busy_after_sharing on [2, 3, 4]:
    "busy_after_sharing",
);

const ISENDS: &[&str] = &[
    "isend_needs_progress",
    "isend_while_waiting_to_write",
    "isend_while_waiting_to_read",
    "isend_while_waiting_with_timeout",
    "isend_while_collecting",
    "isend_while_entering",
    "isend_while_agreeing",
    "isend_while_the_writer_waits",
];

/// A job in which a large message does need the sender's help: Open MPI and newer versions of MPICH would have the kernel copy it.
fn without_kernel_copies(ranks: usize) {
    let launch = Launch::new(env!("CARGO_BIN_EXE_ranks"), ranks)
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        .env("OMPI_MCA_smsc", "^cma,xpmem,knem")
        .env("MPIR_CVAR_CH4_CMA_ENABLE", "0")
        .env("MPIR_CVAR_CH4_XPMEM_ENABLE", "0");
    check_launch(launch, ISENDS);
}

#[test]
fn isend_on_2_ranks() {
    without_kernel_copies(2);
}

#[test]
fn isend_on_4_ranks() {
    without_kernel_copies(4);
}
