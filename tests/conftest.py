"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# A test asserts no timing, hypothesis' own deadline included: the machine may be busy.
settings.register_profile("youtu-edge", deadline=None)
settings.load_profile("youtu-edge")
