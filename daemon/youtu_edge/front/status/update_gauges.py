"""The last `youtu-edge model install https://…` on this board, as figures."""

from __future__ import annotations

from youtu_edge.updates.update_state import FAILURES, UpdateState


def update_gauges(state: UpdateState | None) -> dict[str, tuple[str, float]]:
    """For /metrics: name -> (help, value); 0 if there was none."""
    found = state or UpdateState(stage="current", source="")
    return {
        "update_failed": ("1 if the last installation from a file server failed", float(found.stage in FAILURES)),
        "update_release": ("The release that it was about", float(found.release)),
        "update_received_bytes": ("Bytes of its archive that have arrived", float(found.received)),
        "update_size_bytes": ("Size of its archive", float(found.size)),
        "update_timestamp_seconds": ("When its state changed, in seconds since 1970", float(found.at)),
    }
