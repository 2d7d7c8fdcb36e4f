"""JSON objects as keyword arguments of a call in Python, the form in which some models write tool calls.

    {"city": "Oslo", "days": [1, 2], "wind": true}        city="Oslo", days=[1, 2], wind=True
    {"a key": 1}                                          **{"a key": 1}

Written out of values, never evaluated; `front.answers.keyword_reader` reads them.
"""

from __future__ import annotations

import json
import re
from typing import Any

KEYWORD = r"[^\W\d][\w.$@-]*"
"""What may stand before "=". Tools have parameters that Python would not allow, such as "content-type"."""
MAX_KEYWORD = 1000
"""Characters."""
_KEYWORD = re.compile(KEYWORD)
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_keyword(name: str) -> bool:
    """Whether a parameter of this name can be written as one."""
    return len(name) <= MAX_KEYWORD and _KEYWORD.fullmatch(name) is not None


def as_keywords(arguments: str) -> str:
    """The text between the parentheses. `arguments` is JSON; unchanged if it is not an object."""
    try:
        values = json.loads(arguments)
        if not isinstance(values, dict):
            return arguments
        if all(map(is_keyword, values)):
            return ", ".join(f"{name}={literal(value)}" for name, value in values.items())
        return f"**{literal(values)}"
    except (ValueError, RecursionError):
        return arguments


def literal(value: Any) -> str:
    """A JSON value as a Python literal, with strings as in JSON."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, bool) or value is None:
        return repr(value)
    return json.dumps(value, ensure_ascii=isinstance(value, str) and _SURROGATE.search(value) is not None)
