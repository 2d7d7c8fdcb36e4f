"""GET /v1/status of a daemon: the document, and the name of the board that answered."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from youtu_edge.cli.daemon_client import DaemonClient
from youtu_edge.errors import YoutuEdgeError

TIMEOUT_S = 5.0
_BOARD = "X-Youtu-Edge-Board"


class StatusAnswer(NamedTuple):
    """`board`: empty if a version that has no names answered."""

    document: dict[str, Any]
    board: str


def ask_status(client: DaemonClient) -> StatusAnswer:
    """Raises UnavailableError if no answer comes in time, YoutuEdgeError for any that is not a status."""
    with client.request("GET", "/v1/status", timeout_s=TIMEOUT_S) as answer:
        text, board = answer.read(), answer.headers.get(_BOARD, "")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not {"version", "state", "engine"} <= document.keys():
        raise YoutuEdgeError(
            f"{client.url}: the answer to GET /v1/status is not that of youtu-edge; does another program listen there?"
        )
    return StatusAnswer(document, board)
