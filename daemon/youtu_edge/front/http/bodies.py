"""JSON bodies and query parameters into typed structs; every error names the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from youtu_edge.front.http.allowed_words import allowed_words
from youtu_edge.front.http.duplicate_keys import check_keys
from youtu_edge.front.http.json_paths import MAX_NAME, join, short, walk
from youtu_edge.front.http.nulls import drop_nulls
from youtu_edge.request_errors import InvalidRequestError, UnsupportedParameterError

Body = TypeVar("Body", bound=msgspec.Struct)

_MISSING = re.compile(r"Object missing required field `(.+?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_NO_SUCH_WORD = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)


def decode_body(
    data: bytes,
    kind: type[Body],
    unsupported: Mapping[str, tuple[Any, ...]],
    tidy: Callable[[dict[str, Any]], None] | None = None,
) -> Body:
    """The body as `kind`. A field that is null is absent, whatever its name.

    `unsupported` lists the dialect's parameters that are rejected by name, with their harmless values, which are accepted.
    `tidy` may complete the decoded values in place where a dialect lets clients leave out what the types need.
    Raises InvalidRequestError or UnsupportedParameterError with `param` set to the path of the field.
    """
    try:
        values = _values(data)
        for name in [name for name in values if name in unsupported]:
            if not _is_harmless(values.pop(name), unsupported[name]):
                raise UnsupportedParameterError(f"{name}: not supported by this server; leave it out", param=name)
        if tidy is not None:
            tidy(values)
        if b"null" in data:
            drop_nulls(values, kind)
        return msgspec.convert(values, type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(error, kind) from None
    except RecursionError:
        raise InvalidRequestError("the body is nested too deeply") from None


def decode_query(query: Mapping[str, str], kind: type[Body]) -> Body:
    """The query parameters as `kind`. Raises InvalidRequestError or UnsupportedParameterError naming the parameter."""
    names = list(query)
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequestError(f"{name[:MAX_NAME]}: given more than once", param=name[:MAX_NAME])
    try:
        return msgspec.convert(dict(query), type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(error, kind) from None


def _values(data: bytes) -> dict[str, Any]:
    """The body as plain values. Raises InvalidRequestError."""
    try:
        values = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"the body is not valid JSON in UTF-8: {error}") from None
    if not isinstance(values, dict):
        raise InvalidRequestError("the body must be a JSON object")
    check_keys(data, values)
    _check_integers(values)
    return values


def _check_integers(values: dict[str, Any]) -> None:
    """Raises InvalidRequestError naming an integer beyond 64 bits, such as one inside a schema of the client."""
    try:
        msgspec.msgpack.encode(values)  # a fast check in compiled code
    except OverflowError:
        for where, value in walk(values):
            if isinstance(value, int) and not -(2**63) <= value < 2**64:
                raise InvalidRequestError(f"{where}: the number does not fit into 64 bits", param=where) from None


def _is_harmless(value: Any, accepted: tuple[Any, ...]) -> bool:
    return value is None or any(type(value) is type(other) and value == other for other in accepted)


def _refusal(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> InvalidRequestError | UnsupportedParameterError:
    problem, _, path = str(error).partition(" - at ")
    # A key or value of an object has no name of its own: "`key` in `$.logit_bias`", "$.logit_bias[...]".
    where = path.rpartition(" in ")[2].strip("`").removeprefix("$").removeprefix(".").replace("[...]", "")
    if found := _UNKNOWN.fullmatch(problem):
        name = join(where, found.group(1))
        return UnsupportedParameterError(f"{name}: unknown parameter", param=name)
    if found := _MISSING.fullmatch(problem):
        name = join(where, found.group(1))
        return InvalidRequestError(f"{name}: is required", param=name)
    if (found := _NO_SUCH_WORD.fullmatch(problem)) and (words := allowed_words(kind, where)):
        return InvalidRequestError(f"{where}: must be {' or '.join(words)}, not {short(found.group(1))}", param=where)
    return InvalidRequestError(f"{where}: {problem[0].lower()}{problem[1:]}" if where else problem, param=where or None)
