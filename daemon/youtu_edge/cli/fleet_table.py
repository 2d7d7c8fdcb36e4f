"""The answers of many boards as a table. A figure that a board does not report is left empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from youtu_edge.cli.status_screen import duration, is_ready, tokens_per_second
from youtu_edge.errors import one_line

_TITLES = ("BOARD", "STATE", "OPEN", "RUNNING", "PAGES FREE", "TOKENS/S", "HOTTEST", "MODEL", "RELEASE", "UP", "URL")
_RIGHT = frozenset({"OPEN", "RUNNING", "PAGES FREE", "TOKENS/S", "HOTTEST", "RELEASE"})
Document = dict[str, Any]


class BoardAnswer(NamedTuple):
    """What one board answered: a document, or why there is none."""

    url: str
    board: str
    document: Document | None
    error: str

    @property
    def is_ready(self) -> bool:
        """Whether it would accept a request and compute it."""
        return self.document is not None and is_ready(self.document)


def table(answers: Sequence[BoardAnswer], before: Sequence[BoardAnswer] = ()) -> list[str]:
    """A line for each board in the order of `answers`, why some are not ready, and the whole.

    `before`: the answers of an earlier time, for tokens/s.
    """
    earlier = {answer.url: answer.document for answer in before}
    rates = [_rate(answer.document, earlier.get(answer.url)) for answer in answers]
    rows = [_row(answer, rate) for answer, rate in zip(answers, rates, strict=True)]
    shown = [column for column, cells in enumerate(zip(*rows, strict=True)) if any(cells)]
    lines = _aligned([[row[column] for column in shown] for row in [_TITLES, *rows]])
    return [*lines, "", *_reasons(answers), _sum(answers, rates)]


def _row(answer: BoardAnswer, rate: float | None) -> list[str]:
    document = answer.document
    if document is None:
        return [answer.board or "?", "no answer", *[""] * (len(_TITLES) - 3), answer.url]
    engine, model = document["engine"], document.get("model") or {}
    total = engine.get("pages_total")
    temperatures = (document.get("board") or {}).get("temperatures") or {}
    return [
        answer.board or "?",
        document["state"] if answer.is_ready or document["state"] != "ready" else "not accepting",
        str(document.get("unfinished_requests", "")),
        str(engine.get("running", "")),
        f"{100 * (1 - engine.get('pages_used', 0) / total):.0f} %" if total else "",
        "" if rate is None else f"{rate:.1f}",
        f"{max(temperatures.values()):.0f} °C" if temperatures else "",
        str(model.get("name", "")),
        str((document.get("package") or {}).get("release") or ""),
        duration(document.get("uptime_s") or 0),
        answer.url,
    ]


def _rate(document: Document | None, before: Document | None) -> float | None:
    rates = tokens_per_second(document, before) if document else None
    return rates[0] if rates else None


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    is_right = [title in _RIGHT for title in rows[0]]
    return [
        one_line(
            "  ".join(
                f"{cell:>{width}}" if right else f"{cell:<{width}}"
                for cell, width, right in zip(row, widths, is_right, strict=True)
            ).rstrip()
        )
        for row in rows
    ]


def _reasons(answers: Sequence[BoardAnswer]) -> list[str]:
    lines = []
    for answer in answers:
        refusal = (answer.document or {}).get("accepting")
        reason = answer.error or (refusal.get("message") if isinstance(refusal, dict) else "")
        if reason:
            lines.append(one_line(f"{answer.board or answer.url}: {reason}"))
    names = [answer.board for answer in answers if answer.board]
    for name in sorted({name for name in names if names.count(name) > 1}):
        lines.append(f"{name}: {names.count(name)} boards have this name; give each its own service.board")
    return lines


def _sum(answers: Sequence[BoardAnswer], rates: Sequence[float | None]) -> str:
    documents = [answer.document for answer in answers if answer.document is not None]
    known = [rate for rate in rates if rate is not None]
    parts = [
        f"{len(answers)} {'board' if len(answers) == 1 else 'boards'}: {sum(answer.is_ready for answer in answers)} ready",
        f"{len(answers) - len(documents)} without an answer",
        f"{sum(document.get('unfinished_requests') or 0 for document in documents)} open requests",
    ]
    return ", ".join([*parts, *([f"{sum(known):.1f} tokens/s"] if known else [])])
