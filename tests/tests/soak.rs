//! Everything at random, for a few seconds; `cargo xtask soak` does it for as long as one likes.

mpisync_tests::on_ranks!(soak on [1, 2, 3, 4]:
    "soak",
);
