"""The error tree is as it is drawn, and its public names stay."""

from __future__ import annotations

import re

from youtu_edge import errors, request_errors
from youtu_edge.front.inflight.failure import REQUEST_ERRORS


def _kinds() -> dict[str, type[errors.YoutuEdgeError]]:
    return {
        name: kind
        for name, kind in {**vars(errors), **vars(request_errors)}.items()
        if isinstance(kind, type) and issubclass(kind, errors.YoutuEdgeError) and kind is not errors.YoutuEdgeError
    }


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = set(re.findall(r"── (\w+)", errors.__doc__ or ""))
    assert drawn == set(_kinds())


def test_the_drawn_codes_and_statuses_are_those_of_the_classes() -> None:
    for name, code, status in re.findall(r"── (\w+) +([a-z_]+) +(\d{3}|-)", errors.__doc__ or ""):
        kind = _kinds()[name]
        assert kind.code == code
        assert status == "-" or kind.http_status == int(status)


def test_codes_are_unique_except_for_the_base_of_requests() -> None:
    codes = [kind.code for kind in _kinds().values() if kind is not request_errors.RequestError]
    assert len(codes) == len(set(codes))


def test_an_error_that_ends_a_submitted_request_can_be_made_from_its_code() -> None:
    for code, kind in REQUEST_ERRORS.items():
        assert kind("why").code == code
