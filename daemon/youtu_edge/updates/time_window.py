"""A daily time window such as 01:00-05:00, in local time."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_DAY = 24 * 60


@dataclass(frozen=True)
class TimeWindow:
    """[begin, end) in minutes since midnight; it spans midnight if `end` is less than `begin`."""

    begin: int
    end: int

    @staticmethod
    def parse(text: str) -> TimeWindow:
        """Raises ValueError."""
        found = _WINDOW.fullmatch(text.strip())
        if not found:
            raise ValueError(f"{text!r} is not a time window; write HH:MM-HH:MM, such as 01:00-05:00")
        hours, minutes, end_hours, end_minutes = map(int, found.groups())
        window = TimeWindow(60 * hours + minutes, 60 * end_hours + end_minutes)
        if window.begin == window.end:
            raise ValueError(f"{text!r} is empty: it ends when it begins")
        return window

    def seconds_until_open(self, now: datetime.datetime) -> float:
        """0 within the window."""
        minute = 60 * now.hour + now.minute
        if (minute - self.begin) % _DAY < (self.end - self.begin) % _DAY:
            return 0.0
        return 60.0 * ((self.begin - minute) % _DAY) - now.second - now.microsecond / 1e6

    def __str__(self) -> str:
        return f"{clock_time(self.begin)}-{clock_time(self.end)}"


def clock_time(minute: int) -> str:
    """ "01:00" for 60."""
    return f"{minute // 60:02}:{minute % 60:02}"
