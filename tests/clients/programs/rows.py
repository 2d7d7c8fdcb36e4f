"""What the programs have in common: two daemons, and what is asked of them.

ECHO answers with the last message, so that a client's view of a stream or of a tool call can be compared; MODEL is a real
model, whose answers have to satisfy schemas.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

ECHO, MODEL = os.environ.get("ECHO_URL", ""), os.environ.get("MODEL_URL", "")
TEXT = "Good morning, 你好, tschüß \N{ROCKET}!"
CALL = '<tool_call>{"name": "look", "arguments": {"at": "sky"}}</tool_call>'
LOOK: dict[str, Any] = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
LOOK_TOOL = {"type": "function", "function": {"name": "look", "description": "Look at it", "parameters": LOOK}}
CITY: dict[str, Any] = {
    "title": "City",
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}, "sunny": {"type": "boolean"}},
    "required": ["city", "sunny"],
    "additionalProperties": False,
}
QUESTION = "Where shall I go, to Oslo or to Rome?"


def look(at: str) -> str:
    """Look at it."""
    return f"{at} is blue"


def is_city(value: Any) -> bool:
    """Whether it satisfies CITY."""
    return isinstance(value, dict) and value.get("city") in ("Oslo", "Rome") and isinstance(value.get("sunny"), bool)


def run(*rows: Callable[[], None]) -> None:
    """Each in turn; the test reads their names."""
    for row in rows:
        row()
        print("ok", row.__name__, flush=True)
