"""A minute of mutated requests of every route; `scripts/fuzz_requests` does it for as long as you like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fuzz.mutations import encode
from fuzz.requests import Request, Requests
from fuzz.run import fuzz
from fuzz.sending import Answer
from fuzz.verdict import Judge

SEED = 11
GAP_S = 5.0
"""The script takes 1 s. Beside other tests on two cores more is needed, whatever is counted off for them."""
DOCUMENT: dict[str, Any] = {
    "paths": {
        "/new/{name}": {"get": {"parameters": [{"name": "name", "in": "path", "schema": {"type": "string"}}]}},
        "/newer": {
            "post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}},
                "parameters": [{"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}],
            }
        },
    },
    "components": {
        "schemas": {
            "Body": {
                "type": "object",
                "properties": {"colour": {"enum": ["red"]}, "prompt": {"type": "string"}, "deep": {"type": "array"}},
                "required": ["colour"],
            }
        }
    },
}


def test_a_minute_of_mutated_requests_harms_nobody(smollm2_q4: Path, tmp_path: Path) -> None:
    """No death, no stall, no 5xx but overload, no undocumented answer; memory and descriptors come back."""
    report, requests = fuzz(smollm2_q4, tmp_path, SEED, minutes=1, clients=4, gap_s=GAP_S)
    found = [
        "\n    ".join([finding.what, *(str(requests.request(number)) for number in finding.numbers)])
        for finding in report.findings
    ]
    assert not found, "\n".join([f"seed {SEED}", *report.lines(), *found])
    assert report.statuses["200"]
    assert report.statuses["400"]
    assert report.companion["answers"]
    assert report.engine_starts == 1


def test_a_request_is_the_same_whenever_it_is_made() -> None:
    """--seed and --only send it again."""
    once, again = Requests(SEED, DOCUMENT), Requests(SEED, DOCUMENT)
    assert [once.request(number) for number in range(150)] == [again.request(number) for number in range(149, -1, -1)][::-1]
    assert once.request(1) != Requests(SEED + 1, DOCUMENT).request(1)


def test_a_large_value_in_an_item_that_is_there_many_times_makes_no_gigabytes() -> None:
    item = {"role": "user", "content": "x" * 2_000_000}
    assert 2_000_000 < len(encode({"messages": [item] * 45_000})) < 20_000_000


def test_routes_and_fields_come_from_the_document() -> None:
    """Whatever is new there is asked, in every manner."""
    requests = [Requests(SEED, DOCUMENT).request(number) for number in range(900)]
    assert {path for path in ("/new/", "/newer") if any(request.path.startswith(path) for request in requests)} == {
        "/new/",
        "/newer",
    }
    bodies = b"".join(request.body for request in requests)
    for part in (b'"colour": "red"', b'"prompt": ', b'"deep": ', b"NaN", b"<|im_end|>", b"[[[["):
        assert part in bodies
    assert len({request.manner for request in requests}) == 11
    assert any(request.headers[1:] for request in requests)


def refusal(status: int, code: str, **headers: str) -> Answer:
    body = json.dumps({"error": {"message": "m", "type": "t", "param": None, "code": code}}).encode()
    return Answer(status, headers, body, is_complete=True)


EVENTS = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (refusal(400, "invalid_request"), ""),
        (refusal(503, "unavailable", **{"retry-after": "1"}), ""),
        (refusal(503, "unavailable"), "503 unavailable without Retry-After"),
        (refusal(503, "storage_failed", **{"retry-after": "1"}), "503 storage_failed"),
        (refusal(500, "internal_error"), "500 internal_error"),
        (refusal(504, "deadline_exceeded"), "504 deadline_exceeded"),
        (refusal(400, "not_found"), "does not list"),
        (Answer(400, {}, b"400: Bad Request", is_complete=True), "without JSON"),
        (Answer(400, {}, b'{"error": "no"}', is_complete=True), "another shape"),
        (Answer(200, JSON, b"{", is_complete=True), "no JSON"),
        (Answer(200, EVENTS, b'data: {"text": "a"}\n\n', fault="closed"), "breaks off"),
        (
            Answer(200, EVENTS, b'data: {"error": {"code": "internal_error"}}\n\n', is_complete=True),
            "ends with internal_error",
        ),
        (Answer(200, EVENTS, b'data: {"response": {"error": {"code": "x"}}}\n\n', is_complete=True), "does not list"),
        (Answer(200, EVENTS, b'data: {"text": "a"}\n\ndata: [DONE]\n\n', is_complete=True), ""),
        (Answer(fault="ConnectionResetError()"), "no answer"),
    ],
)
def test_the_judge_knows_what_must_not_be_answered(answer: Answer, fault: str) -> None:
    found = Judge().fault(Request(0, "POST", "/chat", b"{}", (), "whole"), answer)
    assert (fault in found) if fault else not found
