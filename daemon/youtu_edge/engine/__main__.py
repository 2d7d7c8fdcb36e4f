"""`python -m youtu_edge.engine --fd N`: started by the front only, with one end of a socketpair as descriptor N."""

from __future__ import annotations

import argparse
import contextlib
import logging
import socket
import sys

from youtu_edge import log
from youtu_edge.errors import ConfigError
from youtu_edge.process_limits import LIBRARIES, check_room, shortage

_RESERVE_BYTES = 2 * 1024 * 1024
"""Freed when memory runs out, so that the error can still be reported."""


def _main() -> int:
    parser = argparse.ArgumentParser(prog="youtu-edge engine")
    parser.add_argument("--fd", type=int, required=True, help="inherited descriptor of the socketpair")
    arguments = parser.parse_args()
    log.configure("info")
    reserve = bytearray(_RESERVE_BYTES)
    try:
        check_room(LIBRARIES, "the engine without its model")
        from youtu_edge.engine.service import main
    except Exception as error:
        found = error if isinstance(error, ConfigError) else shortage(error, "the engine's libraries do not fit")
        if found is None:
            raise
        del reserve
        return _refuse(arguments.fd, found)
    return main(arguments.fd)


def _refuse(descriptor: int, error: ConfigError) -> int:
    """Report the error to the front if memory allows; the log line and the exit code carry it in any case."""
    logging.getLogger("youtu_edge.engine").error(log.line("engine_refuses", reason=error.message))
    with contextlib.suppress(Exception):
        from youtu_edge.protocol.codec import encode_frame
        from youtu_edge.protocol.from_engine import Fatal

        with socket.socket(fileno=descriptor) as connection:
            connection.sendall(encode_frame(Fatal(error.exit_code, error.message)))
    return error.exit_code


if __name__ == "__main__":
    sys.exit(_main())
