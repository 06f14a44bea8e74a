//! Writers that fail, panic or forget their fence, and ranks that disagree about a fence.

mpisync_tests::on_ranks!(failures on [1, 2, 3, 4, 8]:
    "writer_fails_in_closure",
    "writer_fails_with_reason",
    "writer_fails_with_result",
    "writer_panics_in_closure",
    "writer_panics_in_match",
    "writer_drops_its_fence",
    "writer_drops_its_access",
    "value_cannot_be_encoded",
    "error_cannot_be_displayed",
    "failures_in_a_row",
);

mpisync_tests::on_ranks!(types on [1, 2, 3, 4, 8]:
    "types_differ",
    "slice_types_differ",
    "slice_lengths_differ",
    "value_against_slice",
    "collected_types_of_one_name",
    "value_cannot_be_decoded",
    "no_such_rank",
);

mpisync_tests::on_ranks!(writers on [2, 3, 4, 8]:
    "nobody_is_the_writer",
    "everybody_is_the_writer",
    "one_rank_disagrees",
    "mismatch_without_timeout",
);
