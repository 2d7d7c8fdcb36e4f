"""Every test that asks for `instruction_set` runs once with each one that this machine has."""

from collections.abc import Iterator

import pytest

from ops.operators import instruction_sets, select_instruction_set


@pytest.fixture(params=instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    select_instruction_set(request.param)
    yield request.param
    select_instruction_set(instruction_sets()[0])
