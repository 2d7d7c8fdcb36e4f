"""The log line of a request that has ended."""

from __future__ import annotations

import logging

from youtu_edge.front.inflight.active_requests import ActiveRequest
from youtu_edge.log import line

log = logging.getLogger(__name__)


def log_request(active: ActiveRequest) -> None:
    """Caller, duration and outcome; never the text of prompt or answer."""
    assert active.ended_at is not None
    first = active.first_text_at - active.opened_at if active.first_text_at is not None else None
    log.info(
        line(
            "request",
            id=active.submit.id,
            outcome=active.outcome,
            code=active.failure,
            prompt_tokens=active.prompt_tokens,
            cached_tokens=active.cached_tokens,
            completion_tokens=active.completion_tokens,
            first_text_s=first,
            duration_s=active.ended_at - active.opened_at,
            resumes=active.resumes or None,
            cache=active.cache,
            client=active.client or None,
            user=active.user,
            key=active.key,
        )
    )
