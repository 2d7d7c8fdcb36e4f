"""The log line of a request that has ended."""

from __future__ import annotations

import logging

from youtu_edge.front.inflight.active_requests import Session
from youtu_edge.log import line

log = logging.getLogger(__name__)


def log_request(session: Session) -> None:
    """Who asked, how long it took and how it ended; no text of anybody."""
    assert session.ended_at is not None
    first = session.first_text_at - session.opened_at if session.first_text_at is not None else None
    log.info(
        line(
            "request",
            id=session.submit.id,
            outcome=session.outcome,
            code=session.failure,
            prompt_tokens=session.prompt_tokens,
            cached_tokens=session.cached_tokens,
            completion_tokens=session.completion_tokens,
            first_text_s=first,
            duration_s=session.ended_at - session.opened_at,
            resumes=session.resumes or None,
            cache=session.cache,
            user=session.user,
            key=session.key,
        )
    )
