"""The one line that `systemctl status` shows: what the daemon does now, in words for a technician."""

from __future__ import annotations

from collections.abc import Callable

from youtu_edge.front.http.site import Site
from youtu_edge.front.inflight.active_requests import ActiveRequests
from youtu_edge.front.reload import Reloader
from youtu_edge.front.supervision.degrade import NAMES
from youtu_edge.front.supervision.supervisor import Supervisor


class StatusLine:
    """Composed anew on every call."""

    def __init__(
        self,
        reloader: Reloader,
        supervisor: Supervisor,
        active_requests: ActiveRequests,
        site: Site,
        clock: Callable[[], float],
    ) -> None:
        self._reloader = reloader
        self._supervisor = supervisor
        self._active = active_requests
        self._site = site
        self._clock = clock
        self._started_at = clock()
        self.is_draining = False

    def __call__(self) -> str:
        """Such as "serving tiny at http://127.0.0.1:8080, 3 requests"."""
        service, supervisor = self._reloader.config.service, self._supervisor
        if self.is_draining:
            return f"finishing {self._requests()} within {service.drain_s:g} s"
        if supervisor.state == "loading":
            seconds = self._clock() - self._started_at
            return f"loading {supervisor.package.path}: {seconds:.0f} s of at most {service.load_deadline_s:g}"
        if not self._site.url:
            return f"the model is loaded; waiting until this machine has the address {service.host}"
        if supervisor.state == "restarting":
            return f"starting engine number {supervisor.restarts + 1}; {self._requests()} waiting"
        if supervisor.state == "recycling":
            return f"replacing the engine between requests; {self._requests()} waiting"
        if supervisor.state == "gave_up":
            return "the engine died too often or rejected its configuration; see the log"
        return self._serving()

    def _serving(self) -> str:
        supervisor, waiting = self._supervisor, self._reloader.waiting
        name = self._reloader.config.model.name or (supervisor.ready.model if supervisor.ready else "")
        parts = [f"serving {name} at {self._site.url}, {self._requests()}"]
        if rung := supervisor.policy.rung:
            parts.append(f"degraded after crashes: {NAMES[rung]}")
        if waiting:
            parts.append(f"a restart is needed for {', '.join(waiting)}")
        return "; ".join(parts)

    def _requests(self) -> str:
        count = len(self._active)
        return f"{count} request{'' if count == 1 else 's'}"
