"""What a key may do."""

from __future__ import annotations

from typing import Literal

Scope = Literal["chat", "metrics", "admin"]
"""chat: routes that generate, and what belongs to them. metrics: routes that only report. admin: everything."""
