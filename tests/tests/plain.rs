//! Types whose bytes mean the same in every process.

mpisync_tests::on_ranks!(plain on [1, 2, 3, 4]:
    "datatypes_have_all_bytes",
    "messages_of_structs",
    "structs_through_fences",
    "complex_numbers",
);
