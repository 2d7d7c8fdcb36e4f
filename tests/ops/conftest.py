"""Every test with the fixture `instruction_set` runs once per instruction set of this machine."""

from collections.abc import Iterator

import pytest

from ops.operators import instruction_sets, select_instruction_set


@pytest.fixture(params=instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    select_instruction_set(request.param)
    yield request.param
    select_instruction_set(instruction_sets()[0])
