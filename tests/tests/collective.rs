//! The attribute macros, on ranks that agree and on ranks that do not.

mpisync_tests::on_ranks!(macros on [1, 2, 3, 4, 8]:
    "written_function",
    "written_function_fails",
    "written_function_panics",
    "generic_functions",
    "methods",
    "slices",
    "writer_by_option",
    "collective_methods",
);

mpisync_tests::on_ranks!(outcomes on [1, 2, 3, 4, 8]:
    "all_ranks_run_the_body",
    "one_rank_fails",
    "one_rank_panics",
    "several_ranks_fail",
    "one_rank_gives_its_value",
    "calls_inside_calls",
    "error_texts_of_many_sizes",
    "sharers_differ",
    "dropped_collective",
    "error_without_words",
    "value_panics",
    "many_calls",
);

mpisync_tests::on_ranks!(calls on [2, 3, 4, 8]:
    "different_calls",
    "different_calls_on_one_rank",
    "call_against_fence",
    "fence_against_call",
    "call_against_close",
    "skipped_fence",
    "swapped_fences",
    "swapped_fences_without_macro",
    "swapped_fences_of_two_writers",
    "shifted_fences",
);
