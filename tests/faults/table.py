"""Kinds of faults that were found in this program or in others like it, and tests that hold them.

Kinds are numbered as they were filed. Public reports are "repository number"; those of a project
that concern several kinds are listed once, with the first of them. Each test is a pytest node id
without parameters; `test_table.py` checks that it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Fault:
    """One kind.

    Args:
        number: as filed; 0 for what came to light since.
        kind: what goes wrong, in a sentence.
        reports: public reports of the kind, of other programs.
        tests: node ids.
    """

    number: int
    kind: str
    reports: tuple[str, ...]
    tests: tuple[str, ...]


OPENING = "tests/models/test_opening.py::"
INPUTS = "tests/cli/test_inputs.py::"
FAILURES = "tests/cli/test_failures.py::"
STORAGE = "tests/runtime/test_storage.py::"

TABLE: tuple[Fault, ...] = (
    Fault(
        1,
        "A half-loaded model is used: weights missing, unexpected or of another shape, a tokenizer "
        "that confuses prompts, a LoRA that is not applied.",
        (
            "diffusers 447",
            "diffusers 472",
            "diffusers 3399",
            "diffusers 3811",
            "diffusers 5103",
            "diffusers 10928",
            "diffusers 14811",
            "transformers 28034",
        ),
        (
            OPENING + "test_weights_that_are_not_the_networks_are_refused",
            OPENING + "test_so_are_they_in_other_families",
            OPENING + "test_a_component_in_memory_without_weights_is_named",
            OPENING + "test_a_tokenizer_without_its_vocabulary_is_refused",
            OPENING + "test_a_tokenizer_of_another_model_is_refused",
            OPENING + "test_a_tokenizer_that_confuses_prompts_is_refused",
            OPENING + "test_a_lora_that_is_not_applied_is_noted",
        ),
    ),
    Fault(
        2,
        "A string for a choice is compared with a member and silently means something else.",
        (),
        (
            "tests/faults/test_choices.py::test_a_choice_is_its_value_and_nothing_else",
            "tests/faults/test_choices.py::test_the_same_path_by_its_name_and_by_its_member",
            "tests/faults/test_choices.py::test_slips_are_refused_by_the_job",
            "tests/test_geodesic_inputs.py::test_strings_and_classes_for_objects",
        ),
    ),
    Fault(
        3,
        "Images outside [0, 1], of other types, shapes or channel orders are clipped or mixed up.",
        (),
        (
            "tests/images/test_arrays.py::test_floats_out_of_range_are_refused",
            "tests/images/test_arrays.py::test_values_that_are_not_finite_are_refused",
            "tests/images/test_arrays.py::test_arrays_of_other_types_are_refused",
            "tests/images/test_arrays.py::test_tensors_of_other_types_are_refused",
            "tests/images/test_arrays.py::test_arrays_of_other_shapes_are_refused",
            "tests/images/test_arrays.py::test_tensors_of_other_shapes_are_refused",
            "tests/clips/test_tensor.py::test_values_out_of_range_are_refused",
        ),
    ),
    Fault(
        4,
        "Frames of a clip are taken as evenly spaced in time.",
        ("decord 26", "decord 54", "pytorch/vision 3201"),
        (
            "tests/clips/test_timeline.py::test_uneven_times_are_read_from_every_container",
            "tests/clips/test_timeline.py::test_joined_recordings_follow_on_each_other",
            "tests/clips/test_animation.py::test_delays_are_followed_and_uneven_ones_said",
            "tests/clips/test_times.py::test_uneven_frames_keep_their_times",
            "tests/video/test_times.py::test_parabolas_at_any_times_are_fitted_exactly",
            "tests/video/test_times.py::"
            "test_constant_speed_is_seen_at_uneven_times_and_only_with_them",
            "tests/video/test_times.py::test_the_velocity_after_a_clip_is_over_time",
        ),
    ),
    Fault(
        5,
        "Mirrored, turned, stretched, high-dynamic-range or transparent films are read as plain "
        "ones.",
        ("mpv 16090", "mlt 436"),
        (
            "tests/clips/test_orientation.py::test_all_eight_are_followed",
            "tests/clips/test_frames.py::test_pixels_become_square",
            "tests/clips/test_frames.py::test_transparency_is_laid_on_white",
            "tests/clips/test_colour.py::test_high_dynamic_range_is_said_and_upright",
            "tests/images/test_files.py::test_pictures_of_high_dynamic_range_are_refused",
        ),
    ),
    Fault(
        6,
        "An option is taken and has no effect.",
        (),
        (
            "tests/latents/test_settings.py::"
            "test_what_can_have_no_effect_is_refused_with_the_reason",
            "tests/latents/test_settings.py::test_jobs_do_not_take_what_they_have_no_use_for",
            "tests/latents/test_settings.py::"
            "test_strength_and_alpha_exclude_each_other_and_the_later_replaces",
            "tests/faults/test_settings_have_effect.py::test_every_setting_is_looked_at",
            INPUTS + "test_directions_that_solve_nothing_take_no_solver",
            "tests/clips/test_opening.py::test_a_stream_of_what_has_no_streams_is_refused",
            "tests/models/test_loading.py::test_a_revision_of_what_has_none_is_refused",
        ),
    ),
    Fault(
        7,
        "A geodesic that is not the shortest, unnoticed.",
        (),
        (
            "tests/distances/test_triangles.py::test_the_matrix_obeys_it",
            "tests/distances/test_triangles.py::test_what_stays_is_marked_and_gets_the_bound",
            "tests/test_geodesics.py::test_starts_of_a_batch_are_chosen_pair_by_pair",
        ),
    ),
    Fault(
        8,
        "Degenerate geometry is said to have converged.",
        ("geomstats 1218",),
        (
            "tests/test_geodesic_inputs.py::test_a_sphere_in_one_dimension_is_two_points",
            "tests/test_geodesic_inputs.py::test_a_tolerance_that_asks_for_nothing",
            "tests/test_geodesic_inputs.py::test_opposite_ends_on_a_sphere",
            "tests/distances/test_frechet.py::test_antipodal_points_have_a_mean_halfway",
            "tests/distances/test_matrix.py::test_duplicates_have_distance_zero",
        ),
    ),
    Fault(
        9,
        "The end of a long prompt is cut off without a word.",
        (),
        (
            "tests/models/test_text.py::test_the_cut_tokens_are_those_that_no_encoder_is_fed",
            "tests/models/test_text.py::test_one_letter_too_many_is_one_cut_token",
            "tests/latents/test_model_notes.py::"
            "test_a_score_of_no_density_comes_first_and_each_prompt_once",
        ),
    ),
    Fault(
        10,
        "Text of users is taken for markup.",
        ("rich 2636", "rich 3764"),
        (
            "tests/cli/test_commands.py::test_names_with_brackets_are_shown_as_they_are",
            INPUTS + "test_names_with_control_characters_are_shown_escaped",
            "tests/reporting/test_tables.py::test_latex_is_escaped_and_marks_the_best",
        ),
    ),
    Fault(
        11,
        "A score that writes in place moves the solver's points; gradients are kept; threads mix "
        "their conditions.",
        ("torchdiffeq 27", "torchdiffeq 244"),
        (
            "tests/test_density.py::test_scores_that_write_in_place_do_not_move_the_points",
            "tests/test_density.py::test_no_graph_is_built_where_no_gradient_is_asked_for",
            "tests/models/test_function.py::test_threads_do_not_mix_the_state_of_a_function",
            "tests/models/test_locks.py::test_conditions_are_not_mixed",
        ),
    ),
    Fault(
        12,
        "An option writes over, or clears away, a file that is not ours.",
        (),
        (
            "tests/cli/test_commands.py::test_density",
            "tests/runtime/test_single_file.py::test_a_file_that_is_not_ours_stays",
            STORAGE + "test_a_folder_that_is_no_run_of_ours_is_never_replaced",
            INPUTS + "test_files_of_others_among_finished_pairs_stay",
        ),
    ),
    Fault(
        13,
        "That the results cannot be written is found out after the run.",
        (),
        (
            STORAGE + "test_a_mount_point_is_written_from_the_inside",
            STORAGE + "test_a_folder_in_a_read_only_parent_is_written_from_the_inside",
            STORAGE + "test_a_place_that_cannot_be_written_is_found_out_before",
            STORAGE + "test_too_little_space_is_found_out_before",
            INPUTS + "test_room_on_the_disk_is_looked_at_before_the_work",
            "tests/runtime/test_keyed_cache.py::test_where_nothing_can_be_kept_is_found_out_before",
        ),
    ),
    Fault(
        14,
        "A name that is not UTF-8, or anything else that fails at writing, costs the whole run.",
        (),
        (
            "tests/cli/test_process.py::test_a_file_name_that_is_no_text",
            "tests/runtime/test_paths.py::test_any_name_can_be_written_as_utf8_on_one_line",
            STORAGE + "test_what_fails_at_writing_is_kept_where_the_error_says",
            "tests/reporting/test_writer.py::test_results_are_kept_when_the_page_fails",
            "tests/reporting/test_save.py::test_the_tensors_of_a_result_without_a_report_are_kept",
        ),
    ),
    Fault(
        15,
        "A kill between two renames loses a run; SIGTERM and SIGHUP leave things behind.",
        (),
        (
            "tests/runtime/test_storage_killed.py::test_a_kill_at_any_call_keeps_a_whole_run",
            FAILURES + "test_every_signal_ends_it_in_one_line",
            FAILURES + "test_ctrl_c_while_the_program_is_imported",
            "tests/cli/test_process.py::test_a_signal_leaves_nothing_behind",
        ),
    ),
    Fault(
        16,
        "Damaged pictures and films end in a traceback, or in all of the memory.",
        (
            "Pillow 5528",
            "Pillow 8348",
            "Pillow 8920",
            "Pillow 8965",
        ),
        (
            "tests/clips/test_fuzz.py::test_damaged_files_are_read_or_refused",
            "tests/clips/test_fuzz.py::test_very_many_damaged_files_in_less_than_a_gigabyte",
            "tests/images/test_decoding.py::test_a_damaged_exif_costs_the_rotation_alone",
            "tests/latents/test_model_notes.py::test_how_a_picture_was_read_is_said_by_every_job",
            "tests/images/test_limits.py::test_a_large_picture_inside_an_icon_is_refused",
        ),
    ),
    Fault(
        17,
        "A leading ~ is part of the name here and the home folder there.",
        (),
        (
            "tests/runtime/test_paths.py::test_a_leading_tilde_is_the_home_directory",
            "tests/runtime/test_paths.py::test_what_is_there_as_it_is_written_is_meant",
            INPUTS + "test_a_home_folder_is_meant_in_every_path",
        ),
    ),
    Fault(
        18,
        "Folders of models of other shapes than expected end in a traceback.",
        (),
        (
            "tests/models/test_folders.py::test_variants_are_read_off_the_names",
            OPENING + "test_a_missing_component_is_named",
            OPENING + "test_a_missing_shard_is_named",
            "tests/models/test_schedulers.py::test_every_beta_schedule_of_ddpm_is_its_own",
            "tests/models/test_schedulers.py::"
            "test_noise_prediction_up_to_pure_noise_is_refused_with_the_cause",
            "tests/models/test_loading.py::test_without_either_a_size_must_be_given",
            "tests/models/test_local.py::test_what_cannot_be_read_is_passed_over",
        ),
    ),
    Fault(
        19,
        "A slip of a digit is tried in earnest until the memory is gone.",
        (),
        (
            INPUTS + "test_every_number_has_a_bound",
            INPUTS + "test_sizes_are_bounded_in_one_line",
            INPUTS + "test_a_device_without_values_is_refused",
            "tests/latents/test_memory.py::"
            "test_a_run_that_does_not_fit_is_refused_before_it_begins",
            "tests/latents/test_memory.py::test_images_beyond_a_few_are_read_twice_and_not_held",
        ),
    ),
    Fault(
        20,
        "Good films are refused, and names with a colon are taken for addresses.",
        ("datachain 1823", "mkvtoolnix 1170"),
        (
            "tests/clips/test_timeline.py::test_a_late_start_is_not_cut_short",
            "tests/clips/test_container.py::test_any_name_of_a_file_is_read",
            "tests/clips/test_container.py::test_protocols_never_reach_the_reader",
            "tests/clips/test_container.py::test_a_file_that_names_another_is_not_followed",
        ),
    ),
    Fault(
        21,
        "An output that cannot take a character, or anything at all, ends the program.",
        (),
        (
            "tests/cli/test_process.py::test_any_encoding_of_the_output_will_do",
            FAILURES + "test_outputs_that_take_nothing",
            FAILURES + "test_a_reader_that_went_away_is_told_nothing",
        ),
    ),
    Fault(
        22,
        "Colour systems that are not read end in an error number; a GIF plays at another rate.",
        (),
        (
            "tests/clips/test_colour.py::test_other_colour_systems_are_refused_by_name",
            "tests/reporting/test_films.py::test_gif_says_what_rate_is_reached",
        ),
    ),
    Fault(
        23,
        "Wrong objects at the Python interface end deep inside.",
        (),
        (
            "tests/models/test_model.py::test_a_model_passes_and_nothing_else",
            "tests/models/test_model.py::test_a_pipeline_given_for_a_name_is_told_where_to_go",
            "tests/test_geodesic_inputs.py::test_what_is_no_score",
            "tests/distances/test_matrix.py::test_lists_and_arrays",
            "tests/distances/test_frechet.py::test_lists_and_arrays",
            "tests/latents/test_memory.py::test_a_single_image_is_no_list",
        ),
    ),
    Fault(
        0,
        "A defect shows users a traceback, or hides behind a message.",
        (),
        (
            FAILURES + "test_the_traceback_of_a_defect_is_in_a_file_that_is_named",
            FAILURES + "test_what_a_user_can_cause_is_one_line_and_no_file",
            FAILURES + "test_memory_that_ran_out_is_no_defect",
            FAILURES + "test_a_result_that_was_not_saved_for_a_defect_says_both",
        ),
    ),
    Fault(
        0,
        "A message of the library names an option that its caller does not have.",
        (),
        ("tests/cli/test_messages.py::test_no_message_names_an_option",),
    ),
)
