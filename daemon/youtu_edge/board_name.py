"""The name of this board among others: the one in the configuration, else one that stays the same across restarts."""

from __future__ import annotations

import hashlib

from youtu_edge.board_files import BoardFiles

_DIGITS = 12


def board_name(configured: str, *, port: int, host_name: str, files: BoardFiles) -> str:
    """`configured` (service.board), or a hash of what differs between boards.

    That is not the machine id alone: boards that were flashed with one image may share it, and so do containers of one
    image. The hash does not reveal it either, as machine-id(5) asks.
    """
    if configured:
        return configured
    machine_id = files.text("etc/machine-id") or ""
    return hashlib.sha256(f"youtu-edge {machine_id} {host_name} {port}".encode()).hexdigest()[:_DIGITS]
