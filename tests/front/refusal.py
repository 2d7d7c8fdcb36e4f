"""Sends a request that must be rejected."""

from __future__ import annotations

import json
from typing import Any

from front.scripted_daemon import Daemon


def refused(daemon: Daemon, body: Any, path: str = "/v1/chat/completions") -> tuple[int, str, str | None]:
    """The status, code and field of the error, whose shape is compared."""
    status, _, data = daemon.request("POST", path, body)
    error = json.loads(data)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return status, error["code"], error["param"]
