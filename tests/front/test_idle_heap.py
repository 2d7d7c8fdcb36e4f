"""The front returns heap memory freed after large bodies to the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from front.idle_heaps import free_below_pieces_in_use, freed_by_a_collection, in_use_at_the_first_look

TESTS = Path(__file__).parents[1]


def run_alone(scenario: str) -> None:
    """In a process of its own: what other tests left in the heap of this one would be found again."""
    done = subprocess.run(
        [sys.executable, "-m", "front.idle_heaps", scenario], cwd=TESTS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_free_heap_below_pieces_in_use_is_returned_but_not_all_the_time() -> None:
    run_alone(free_below_pieces_in_use.__name__)


def test_what_is_in_use_at_the_first_look_is_returned_once_it_is_free() -> None:
    run_alone(in_use_at_the_first_look.__name__)


def test_what_only_a_collection_frees_is_returned_without_any_work_that_would_start_one() -> None:
    run_alone(freed_by_a_collection.__name__)
