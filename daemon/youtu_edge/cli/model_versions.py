"""`youtu-edge model install|activate|rollback|list|prune`: the installed versions of the model."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from youtu_edge.cli.daemon_client import trust
from youtu_edge.config import Config
from youtu_edge.config_file import load_config
from youtu_edge.errors import UpdateError
from youtu_edge.updates.store import FORMER_GOOD, LAST_GOOD, ModelStore, Version

ACTIONS = ("install", "activate", "rollback", "list", "prune")


def run(options: argparse.Namespace, config_file: str | None) -> int:
    """Run one of ACTIONS. Raises YoutuEdgeError."""
    config = load_config(config_file, options.set, os.environ)
    if options.action == "list":
        return _list(config)
    from youtu_edge.updates import install

    # On SIGTERM the command removes its staging directory instead of leaving that to the next one.
    signal.signal(signal.SIGTERM, _interrupt)
    if options.action == "install" and "://" in options.source:
        _install_from_url(options, config)
    elif options.action == "install":
        for name in ("max_rate", "window", "sha256", "ca_file"):
            if getattr(options, name) is not None:
                raise UpdateError(f"--{name.replace('_', '-')}: is for URLs, and {options.source} is not one; leave it out")
        install.install(
            Path(options.source),
            config,
            _say,
            activate_it=not options.no_activate,
            allow_lower=options.allow_downgrade,
        )
    elif options.action == "activate":
        install.activate(options.id, config, _say)
    elif options.action == "rollback":
        install.rollback(config, _say)
    else:
        install.prune(config, _say)
    return 0


def _install_from_url(options: argparse.Namespace, config: Config) -> None:
    from youtu_edge.updates.https_client import HttpsClient
    from youtu_edge.updates.pace import Pace
    from youtu_edge.updates.remote_install import RemoteInstall, RemoteSource

    source = RemoteSource(options.source, options.sha256)
    show = _show_progress if sys.stderr.isatty() else _show_nothing
    command = RemoteInstall(config, HttpsClient(trust(options.ca_file)), Pace(options.max_rate, options.window), _say, show)
    command.run(source, activate_it=not options.no_activate, allow_lower=options.allow_downgrade)


def _show_progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\r{done / 2**20:.1f} of {total / 2**20:.1f} MiB", end=end, file=sys.stderr, flush=True)


def _show_nothing(done: int, total: int) -> None:
    """Not into a log."""


def _list(config: Config) -> int:
    store = ModelStore.around(config.model.path)
    if store is None:
        print(f"model.path: {config.model.path} is a package itself; there are no installed versions")
        return 0
    versions = store.versions()
    for row in _table([("ID", "RELEASE", "RECIPE", "SIZE", "STATE"), *(_row(store, version) for version in versions)]):
        print(row)
    active = store.target()
    if active is not None and active not in {store.target_of(version.id) for version in versions}:
        print(f"active: {store.directory(active)}, not an installed version")
    return 0


def _row(store: ModelStore, version: Version) -> tuple[str, ...]:
    target, manifest = store.target_of(version.id), version.manifest
    links = (("active", None), ("last good", LAST_GOOD), ("former good", FORMER_GOOD))
    states = [state for state, name in links if store.target(name) == target]
    states += [f"refused: {version.refused}"] if version.refused else []
    if manifest is None:
        return version.id, "-", "-", "-", ", ".join([*states, f"unusable: {version.problem}"])
    size = sum(entry.size for entry in manifest.files.values())
    return version.id, str(manifest.release), manifest.recipe, f"{size / 2**20:.1f} MiB", ", ".join(states) or "-"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
