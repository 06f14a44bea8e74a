//! What goes over the network, where the ranks are on several hosts.

mpisync_tests::on_ranks!(network on [1, 2, 3, 4]:
    "reads_send_nothing",
);
