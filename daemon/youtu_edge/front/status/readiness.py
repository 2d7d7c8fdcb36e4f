"""Whether a balancer should send requests here now, and why not."""

from __future__ import annotations

from youtu_edge.front.admission.admission import Admission
from youtu_edge.front.inflight.active_requests import ActiveRequests
from youtu_edge.front.machine.board_watch import BoardWatch
from youtu_edge.front.machine.memory_watch import MemoryWatch
from youtu_edge.front.supervision.supervisor import Supervisor


class Readiness:
    """Reads the state of the other parts."""

    def __init__(
        self,
        admission: Admission,
        active_requests: ActiveRequests,
        supervisor: Supervisor,
        memory: MemoryWatch,
        board: BoardWatch,
    ) -> None:
        self._active = active_requests
        self._admission = admission
        self._supervisor = supervisor
        self._memory = memory
        self._board = board

    def obstacle(self) -> str:
        """Why a request sent now would be rejected or wait, in words; "" if it would be computed at once."""
        if self._admission.is_leaving:
            return "the daemon is stopping"
        if self._supervisor.state == "gave_up":
            return "the engine died too often; the daemon is stopping, see its log"
        if self._supervisor.state != "ready":
            return f"the engine is not ready: {self._supervisor.state}"
        if self._supervisor.is_recycling:
            return "the engine is about to be replaced"
        if self._memory.refuses_requests:
            return "the machine is short of memory"
        if (limit := self._board.limit) is not None and len(self._active) >= limit:
            return f"the board is hot, {self._board.state.hottest_c} °C, and busy with {len(self._active)} (thermal.soft_c)"
        if self._admission.is_full:
            return "the queue is full (service.max_queue)"
        return ""
