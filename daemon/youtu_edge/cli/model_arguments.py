"""The arguments of `youtu-edge model`."""

from __future__ import annotations

import argparse
import re

from youtu_edge.cli.arguments import add_config, add_set
from youtu_edge.command_parser import Parser
from youtu_edge.config_values import parse_bytes
from youtu_edge.updates.time_window import TimeWindow


def add_model_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    """`model` and its actions."""
    model = commands.add_parser("model", help="install, inspect and roll back model packages")
    add_config(model)
    actions = model.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("show", "show what a package contains"),
        ("verify", "check every byte of a package"),
    ):
        parser = actions.add_parser(name, help=text)
        parser.add_argument("directory", metavar="DIR")
        parser.set_defaults(reads_config=False)
    parsers = {
        name: actions.add_parser(name, help=text)
        for name, text in (
            ("install", "verify and test a package, then serve it"),
            ("activate", "serve an installed version"),
            ("rollback", "serve the previous version that answered requests"),
            ("list", "list the installed versions and which one is served"),
            ("prune", "delete the versions that no rollback needs"),
        )
    }
    for parser in parsers.values():
        add_config(parser)
        add_set(parser)
    _add_install_options(parsers["install"])
    parsers["activate"].add_argument("id", metavar="ID", help="a version of `model list`, or the beginning of its id")


def _add_install_options(install: argparse.ArgumentParser) -> None:
    text = "a tar (plain, gzip or zstd), a directory, or https://…: an archive, or a directory with rollout.json"
    install.add_argument("source", metavar="FILE|DIR|URL", help=text)
    install.add_argument("--no-activate", action="store_true", help="install it, but keep serving the old version")
    install.add_argument("--allow-downgrade", action="store_true", help="install it even if its release is lower")
    remote = install.add_argument_group("for a URL")
    remote.add_argument("--max-rate", type=_rate, metavar="SIZE", help="bytes per second, such as 500K (default: no limit)")
    remote.add_argument(
        "--window", type=_window, metavar="HH:MM-HH:MM", help="fetch at this time of day only, and wait for it"
    )
    remote.add_argument("--sha256", type=_sha256, metavar="HEX", help="of the archive, if no rollout.json lists it")
    remote.add_argument("--ca-file", metavar="FILE", help="certificate authority of your own server")


def _rate(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _window(text: str) -> TimeWindow:
    try:
        return TimeWindow.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _sha256(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a sha256: 64 digits of 0-9 and a-f, as sha256sum prints them")
    return text
