"""How one engine ended: a fatal exit that a restart cannot help, a death, or killed because it was overdue."""

from __future__ import annotations

from youtu_edge.errors import EXIT_CONFIG, EngineFatalError
from youtu_edge.process_death import Death, is_stopped, judge, oom_kills
from youtu_edge.protocol.from_engine import Fatal


class EngineEnd:
    """Create it when the engine starts."""

    def __init__(self) -> None:
        self.overdue = ""
        """What it failed to do in time; "" if nothing."""
        self._was_stopped = False
        self._oom_kills_before = oom_kills()

    def note_overdue(self, reason: str, pid: int) -> None:
        """Record why the engine is about to be killed."""
        self.overdue = reason
        self._was_stopped = is_stopped(pid)

    def raise_if_fatal(self, code: int, fatal: Fatal | None) -> None:
        """Raises EngineFatalError for an exit with 78. After any other Fatal a restart may help."""
        if code == EXIT_CONFIG or (fatal and fatal.exit_code == EXIT_CONFIG):
            unknown = "the engine rejected its configuration or model package; see its log lines"
            raise EngineFatalError(fatal.message if fatal else unknown)

    def death(self, code: int) -> Death:
        """The death of an engine that exited with this code without being asked to."""
        kills = oom_kills() - self._oom_kills_before
        return judge(code, overdue=self.overdue, was_stopped=self._was_stopped, oom_kills=kills)
