"""The GPU operators reject what the CPU operators reject, with the same messages: the same tests with the other library."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.test_refusals import (
    test_a_wrong_matrix_is_refused_by_name_when_the_session_is_made,
    test_activations_that_do_not_fit_are_refused,
    test_attention_metadata_is_accepted,
    test_bad_attributes_are_named,
    test_bad_inputs_are_named_and_nothing_is_written,
    test_inputs_of_the_cuda_operator_that_we_lack_are_refused_by_name,
    test_latent_needs_an_explicit_scale_when_values_are_narrower,
    test_weights_that_are_no_initializers_are_refused,
)

__all__ = [
    "test_a_wrong_matrix_is_refused_by_name_when_the_session_is_made",
    "test_activations_that_do_not_fit_are_refused",
    "test_attention_metadata_is_accepted",
    "test_bad_attributes_are_named",
    "test_bad_inputs_are_named_and_nothing_is_written",
    "test_inputs_of_the_cuda_operator_that_we_lack_are_refused_by_name",
    "test_latent_needs_an_explicit_scale_when_values_are_narrower",
    "test_weights_that_are_no_initializers_are_refused",
]


@pytest.fixture(autouse=True)
def the_other_library(emulator_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.operators.library_path", lambda: emulator_path)
    monkeypatch.setattr("ops.operators.library", _NoThreads)


class _NoThreads:
    """The functions about threads, of which this library has none."""

    def youtu_edge_ops_set_threads(self, threads: int, spin_us: int) -> None: ...

    def youtu_edge_ops_wait_for_late_workers(self) -> None: ...
