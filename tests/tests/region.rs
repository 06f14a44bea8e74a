//! Regions: their items on every rank, and all that can be wrong with them.

mpisync_tests::on_ranks!(regions on [1, 2, 3, 4, 8]:
    "region_on_the_world",
    "region_on_parts_of_the_world",
    "region_on_nodes_and_across",
    "region_shapes",
    "region_views",
    "region_from_root",
    "region_guards",
    "region_updates",
    "region_changes_at_random",
    "region_is_never_torn",
    "region_parts_in_order",
    "regions_at_once",
    "many_regions",
    "regions_come_and_go",
    "region_display",
    "region_data_that_does_not_fit",
    "region_roots_differ",
    "region_set_in_other_places",
    "region_arguments_differ",
    "region_shapes_that_cannot_be",
    "region_without_room",
    "region_beyond_the_file_size",
    "region_from_no_root",
    "region_made_in_different_ways",
);

mpisync_tests::on_ranks!(large_regions on [2, 4]: "region_of_more_than_2_gib");
