"""`python -m youtu_edge.engine --fd N`: started by the front only, with one end of a socketpair as descriptor N."""

from __future__ import annotations

import argparse
import sys

from youtu_edge import log


def _main() -> int:
    parser = argparse.ArgumentParser(prog="youtu-edge engine")
    parser.add_argument("--fd", type=int, required=True, help="inherited descriptor of the socketpair")
    arguments = parser.parse_args()
    log.configure("info")
    from youtu_edge.engine.service import main

    return main(arguments.fd)


if __name__ == "__main__":
    sys.exit(_main())
