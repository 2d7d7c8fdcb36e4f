"""JSON bodies and query parameters into typed structs; every error names the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from youtu_edge.encoding import msgpack_bytes
from youtu_edge.front.http.allowed_words import allowed_words, field_names
from youtu_edge.front.http.answer_headers import note_ignored
from youtu_edge.front.http.duplicate_keys import check_keys
from youtu_edge.front.http.field_table import NO_FIELDS, FieldTable
from youtu_edge.front.http.json_paths import MAX_NAME, join, short, walk
from youtu_edge.front.http.nulls import drop_nulls
from youtu_edge.front.http.similar_names import suggestion
from youtu_edge.request_errors import InvalidRequestError, UnsupportedParameterError

Body = TypeVar("Body", bound=msgspec.Struct)

_MARGIN = 100
"""Calls between here and where a request is encoded for the engine or the journal, and more."""
_MISSING = re.compile(r"Object missing required field `(.+?)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_NO_SUCH_WORD = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)


def decode_body(
    data: bytes,
    kind: type[Body],
    others: FieldTable = NO_FIELDS,
    tidy: Callable[[dict[str, Any]], None] | None = None,
) -> Body:
    """The body as `kind`. A field that is null is absent, whatever its name.

    `others` are the dialect's fields that are not computed here; those that are ignored are named in the answer's headers.
    `tidy` may complete the decoded values in place where a dialect lets clients leave out what the types need.
    Raises InvalidRequestError or UnsupportedParameterError with `param` set to the path of the field.
    """
    try:
        values = _values(data)
        ignored = others.apply(values, kind.__struct_fields__)
        if tidy is not None:
            tidy(values)
        if b"null" in data:
            drop_nulls(values, kind)
        body = msgspec.convert(values, type=kind)
    except msgspec.ValidationError as error:
        raise _refusal(error, kind, others) from None
    except RecursionError:
        raise InvalidRequestError("the body is nested too deeply") from None
    note_ignored(ignored)
    return body


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
        _encode_further_down(values, _MARGIN)  # a fast check in compiled code
    except OverflowError:
        for where, value in walk(values):
            if isinstance(value, int) and not -(2**63) <= value < 2**64:
                raise InvalidRequestError(f"{where}: the number does not fit into 64 bits", param=where) from None


def _encode_further_down(values: dict[str, Any], calls: int) -> None:
    """Raises RecursionError where that many calls more would be too many: later encoders are further down."""
    if calls:
        _encode_further_down(values, calls - 1)
    else:
        msgpack_bytes(values)


def _refusal(
    error: msgspec.ValidationError, kind: type[msgspec.Struct], others: FieldTable = NO_FIELDS
) -> InvalidRequestError | UnsupportedParameterError:
    problem, _, path = str(error).partition(" - at ")
    # A key or value of an object has no name of its own: "`key` in `$.logit_bias`", "$.logit_bias[...]".
    where = path.rpartition(" in ")[2].strip("`").removeprefix("$").removeprefix(".").replace("[...]", "")
    if found := _UNKNOWN.fullmatch(problem):
        name = join(where, found.group(1))
        known = field_names(kind, where) | ({path for path in others if path.isidentifier()} if not where else set())
        return UnsupportedParameterError(f"{name}: unknown parameter{suggestion(found.group(1), known)}", param=name)
    if found := _MISSING.fullmatch(problem):
        name = join(where, found.group(1))
        return InvalidRequestError(f"{name}: is required", param=name)
    if (found := _NO_SUCH_WORD.fullmatch(problem)) and (words := allowed_words(kind, where)):
        return InvalidRequestError(f"{where}: must be {' or '.join(words)}, not {short(found.group(1))}", param=where)
    return InvalidRequestError(f"{where}: {problem[0].lower()}{problem[1:]}" if where else problem, param=where or None)
