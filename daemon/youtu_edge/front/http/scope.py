"""What a key may do."""

from __future__ import annotations

from typing import Literal

Scope = Literal["chat", "metrics", "admin"]
"""chat: every route that generates, and what belongs to it. metrics: /metrics and /v1/status. admin: everything."""
