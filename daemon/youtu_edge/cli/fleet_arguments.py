"""Arguments of `youtu-edge fleet`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from youtu_edge.cli.arguments import add_access
from youtu_edge.command_parser import Parser


def add_fleet_parser(commands: argparse._SubParsersAction[Parser], interval: Callable[[str], float]) -> None:
    """`interval` reads the seconds of --watch."""
    fleet = commands.add_parser("fleet", help="several boards at once")
    actions = fleet.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "a table of many boards; exit code 1 if one of them is not ready, 69 if none answers"
    status = actions.add_parser("status", help=text)
    status.add_argument(
        "boards",
        metavar="FILE|URL",
        nargs="+",
        help="where the boards listen; a file has one URL per line",
    )
    status.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=interval,
        const=2.0,
        help="repeat until Ctrl-C, with tokens/s (default: every 2 seconds)",
    )
    add_access(status)
    status.add_argument("--json", action="store_true", help="print one JSON document; with --watch one per line")
