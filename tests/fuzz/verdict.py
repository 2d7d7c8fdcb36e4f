"""Checks that hold for every answer, whatever the request."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fuzz.requests import Request
from fuzz.sending import Answer, last_event

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"
OVERLOAD = frozenset({"unavailable", "memory_pressure", "connection_limit"})
"""Codes of 503 that say that the daemon has too much to do now."""
_UNREAD = ("in the header", "in the body", "after the body", "half-closed", "out of patience")


def documented_codes() -> dict[str, int]:
    """Status of every code in docs/api.md."""
    found = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", API.read_text(encoding="utf-8"), re.MULTILINE)
    codes = {code: int(status) for code, status in found}
    missing = OVERLOAD - codes.keys()
    if missing:
        raise ValueError(f"{API} no longer lists {', '.join(sorted(missing))}")
    return codes


class Judge:
    """Checks one answer."""

    def __init__(self) -> None:
        self._codes = documented_codes()

    def fault(self, request: Request, answer: Answer) -> str:
        """A description of the fault; empty if there is none."""
        if not answer.status:
            is_expected = (
                answer.left in _UNREAD or answer.fault.startswith("while sending") or request.manner == "stalled body"
            )
            return "" if is_expected else f"no answer: {answer.fault}"
        if answer.status >= 400:
            return self._refusal(request, answer)
        if not answer.is_complete:
            return "" if answer.left else f"the answer breaks off: {answer.fault}"
        if request.method == "HEAD":
            return ""
        if answer.is_stream:
            return self._stream(request, answer)
        if answer.headers.get("content-type", "").startswith("application/json"):
            try:
                json.loads(answer.body)
            except ValueError as error:
                return f"the answer is no JSON: {error}"
        return ""

    def _refusal(self, request: Request, answer: Answer) -> str:
        if answer.status == 503 and request.path.partition("?")[0] == "/readyz":
            return ""  # of a probe; the answer is a line of text
        if request.method == "HEAD" or answer.left:
            return self._server_fault(request, answer.status, "", answer.headers)
        try:
            document = json.loads(answer.body)
        except ValueError:
            return f"{answer.status} without JSON: {answer.body[:200]!r}"
        return self._document(request, answer.status, document, answer.headers)

    def _document(self, request: Request, status: int, document: Any, headers: dict[str, str]) -> str:
        error = document.get("error") if isinstance(document, dict) else None
        if request.path.startswith("/api/") and isinstance(error, str):  # Ollama's form: the message alone
            if set(document) != {"error"} or not error or status not in self._codes.values():
                return f"{status} in another shape than documented: {document!r:.300}"
            return self._server_fault(request, status, "", headers)
        if not isinstance(error, dict) or set(error) != {"message", "type", "param", "code"}:
            return f"{status} in another shape than documented: {document!r:.300}"
        code = error["code"]
        if self._codes.get(code) != status:
            return f"{status} with the code {code!r}, which docs/api.md does not list with it"
        if not isinstance(error["message"], str) or not error["message"] or not isinstance(error["type"], str):
            return f"{status} without a message: {document!r:.300}"
        return self._server_fault(request, status, code, headers)

    def _server_fault(self, request: Request, status: int, code: str, headers: dict[str, str]) -> str:
        if status < 500 or (status == 504 and request.has_deadline):
            return ""
        if status == 503 and code in {"", *OVERLOAD}:
            return "" if "retry-after" in headers else f"503 {code} without Retry-After"
        return f"{status} {code}"

    def _stream(self, request: Request, answer: Answer) -> str:
        try:
            event = last_event(answer.body)
        except ValueError as error:
            return f"an event is no JSON: {error}"
        response = event.get("response") if event else None
        told = (event or {}).get("error") or (response.get("error") if isinstance(response, dict) else None)
        if not isinstance(told, dict):
            return ""
        code = str(told.get("code"))
        status = self._codes.get(code, 0)
        if not status:
            return f"the stream ends with the code {code!r}, which docs/api.md does not list"
        is_stated = status < 500 or code in OVERLOAD or (status == 504 and request.has_deadline)
        return "" if is_stated else f"the stream ends with {code}: {told!r:.300}"
