"""The rules by which config/fleet/ray chooses a board; Ray is not needed for them."""

from __future__ import annotations

from collections import Counter

import pytest

from fleet.boards import NAMES
from youtu_edge_ray.destination import destination_of, home_of
from youtu_edge_ray.messages import Destination, Relayed, end_to_end

KEYS = [f"key {number}" for number in range(3000)]


def request(path: str = "/chat", method: str = "POST", **headers: str) -> Relayed:
    return Relayed(method, path, [(name.replace("_", "-"), value) for name, value in headers.items()], b"")


@pytest.mark.parametrize(
    ("asked", "destination"),
    [
        (request(), Destination()),
        (request("/v1/responses/resp_0@line-2"), Destination("line-2")),
        (request("/v1/sessions/s%40line-2/export?at=@line-1"), Destination("line-2")),
        (request(x_youtu_edge_board="line-1"), Destination("line-1")),
        (request("/v1/sessions/s@line-2", x_youtu_edge_board="line-1"), Destination("line-2")),
        (request(cookie="theme=dark; youtu_edge_board=line-3"), Destination("line-3")),
        (request(cookie="youtu_edge_board=line-3", x_youtu_edge_board="line-1"), Destination("line-1")),
        (request(cookie="{broken"), Destination()),
        (request(x_youtu_edge_affinity="room 7"), Destination(key="room 7")),
        (request(x_youtu_edge_affinity="a", idempotency_key="b"), Destination(key="b", is_durable=True)),
    ],
)
def test_a_request_goes_where_the_balancers_send_it(asked: Relayed, destination: Destination) -> None:
    assert destination_of(asked) == destination


def test_keys_are_spread_and_a_board_that_leaves_moves_only_its_own() -> None:
    before = {key: home_of(key, NAMES) for key in KEYS}
    after = {key: home_of(key, NAMES[:-1]) for key in KEYS}
    assert all(count > len(KEYS) / 4 for count in Counter(before.values()).values())
    assert {before[key] for key in KEYS if before[key] != after[key]} == {NAMES[-1]}


@pytest.mark.parametrize(
    ("asked", "may"),
    [
        (request("/chat"), True),
        (request("/v1/sessions/s", "GET"), True),
        (request("/v1/sessions/s", "DELETE"), False),
        (request("/v1/sessions/s/fork"), False),
    ],
)
def test_only_a_change_of_a_session_is_not_sent_again(asked: Relayed, may: bool) -> None:
    assert asked.may_be_sent_again == may


def test_headers_of_one_connection_are_not_sent_on() -> None:
    headers = [("connection", "close, x-hop"), ("x-hop", "1"), ("transfer-encoding", "chunked"), ("retry-after", "2")]
    assert end_to_end(headers) == [("retry-after", "2")]
