"""Reports the daemon's state to systemd, and so to `systemctl status`."""

from __future__ import annotations

from youtu_edge.front.admission.served_model import CurrentModel
from youtu_edge.front.http.acceptor import Acceptor
from youtu_edge.front.http.site import Site
from youtu_edge.front.status.status_line import StatusLine
from youtu_edge.front.supervision.supervisor import State, Supervisor
from youtu_edge.front.systemd_notify import SystemdNotify


class Announcer:
    """Ready means that the model has been loaded and the port is bound, in either order."""

    def __init__(
        self, notify: SystemdNotify, status_line: StatusLine, site: Site, model: CurrentModel, supervisor: Supervisor
    ) -> None:
        self._notify = notify
        self._status_line = status_line
        self._site = site
        self._model = model
        self._supervisor = supervisor
        self._has_announced = False

    @property
    def is_serving(self) -> bool:
        """Whether the model has been loaded and the port is bound."""
        return self._model.value is not None and bool(self._site.url)

    def opened(self, _: Acceptor) -> None:
        """The port is bound."""
        self._update()

    def engine_changed(self, _: State) -> None:
        """The supervisor entered another state."""
        self._update()

    def reloading(self) -> None:
        """The configuration is about to be reloaded; `reloaded` must follow."""
        if self.is_serving:
            self._notify.reloading()

    def reloaded(self) -> None:
        """The reload is over."""
        self._has_announced = False
        self._update()

    def draining(self) -> None:
        """The daemon is draining: running requests finish, new ones are rejected."""
        self._notify.stopping()
        self._status_line.is_draining = True
        self._update()

    async def keep_watchdog(self) -> None:
        """Satisfy systemd's watchdog while the engine makes progress; runs as long as the daemon."""
        await self._notify.watchdog(lambda: self._supervisor.is_progressing)

    async def keep_status(self) -> None:
        """Keep the status current, and ask for more time while the model is loaded; runs as long as the daemon."""
        await self._notify.keep_status_current(
            self._status_line, lambda: not self.is_serving and self._supervisor.is_progressing
        )

    def _update(self) -> None:
        """The status comes first, so that it is current when `systemctl start` returns."""
        self._notify.status(self._status_line())
        if self.is_serving and not self._has_announced:
            self._has_announced = True
            self._notify.ready()
