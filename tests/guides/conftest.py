"""Which systems the guide is tested on."""

from __future__ import annotations

import pytest

from guides.roots import SYSTEMS


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where the tests of this directory are named on the command line."""
    parser.addoption(
        "--systems",
        default="",
        metavar="LIST",
        help=f"try the guides on these as well: {','.join(SYSTEMS)}, or all",
    )
