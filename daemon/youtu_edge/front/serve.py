"""Runs the daemon in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from youtu_edge.board_files import BoardFiles
from youtu_edge.config import Config
from youtu_edge.front.wiring import ENGINE_ARGV, Wiring


def serve(
    config: Config,
    engine_argv: Sequence[str] = ENGINE_ARGV,
    read_config: Callable[[], Config] | None = None,
    board_files: BoardFiles | None = None,
) -> int:
    """Returns the exit code, or raises a YoutuEdgeError that carries it."""

    async def main() -> int:
        return await Wiring(config, engine_argv, read_config, board_files).service.run()

    return asyncio.run(main())
