"""Serve's policy that chooses a board for each request."""

from __future__ import annotations

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from youtu_edge_ray.destination import home_of
from youtu_edge_ray.messages import Destination


class BoardRouter(RequestRouter):
    """A request goes to its board while that is ready, else to the board with the fewest open requests.

    Serve takes the first group with a board that has room, and in it the board with the fewest requests; if all are full it
    asks again, a little later each time.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Groups of boards, the best first."""
        destination = Destination()
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # without it, Serve asks without a pause
            destination = pending_request.kwargs.get("destination", destination)
        boards = {str(replica.replica_metadata["board"]): replica for replica in candidate_replicas}
        ready = {
            name: replica
            for name, replica in boards.items()
            if name not in destination.avoided and (replica.routing_stats or {}).get("ready", True)
        }
        if destination.board in ready:
            return [[ready[destination.board]]]
        others = [replica for name, replica in boards.items() if name not in ready]
        if not destination.key or not ready:
            return [list(ready.values()), others]
        home = ready[home_of(destination.key, ready)]
        return [[home]] if destination.is_durable else [[home], list(ready.values()), others]
