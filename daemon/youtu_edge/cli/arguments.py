"""Options that several commands have."""

from __future__ import annotations

import argparse

DEFAULT_CONFIG = "/etc/youtu-edge/youtu-edge.yaml"


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config` behind the command; before it, it is an option of `youtu-edge`, and this one must not undo it."""
    text = f"YAML file (default: {DEFAULT_CONFIG} if it exists)"
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=text)
    parser.set_defaults(reads_config=True)


def add_set(parser: argparse.ArgumentParser) -> None:
    """`--set SECTION.KEY=VALUE`."""
    text = "override one key; may be repeated"
    parser.add_argument("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help=text)


def add_access(parser: argparse.ArgumentParser) -> None:
    """How to reach a daemon that requires keys or speaks HTTPS."""
    parser.add_argument("--key-file", metavar="FILE", help="file that holds an API key, if the daemon requires one")
    parser.add_argument("--ca-file", metavar="FILE", help="certificate to trust, for HTTPS with a self-signed certificate")
