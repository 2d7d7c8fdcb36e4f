"""`youtu-edge keys add|list|revoke`: the file of API keys (service.keys_file)."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from youtu_edge.cli.qr_code import page_url, qr_library, show_qr
from youtu_edge.config_file import load_config
from youtu_edge.errors import ConfigError, YoutuEdgeError
from youtu_edge.front.keys.api_keys import ApiKey, hash_token, locked, new_token, read_keys, write_keys

_HEADINGS = ("name", "scopes", "created", "concurrent", "tokens/hour", "tokens/day", "priority")


def run(config_file: str | None, options: argparse.Namespace) -> int:
    """Run one of the three actions. Raises YoutuEdgeError."""
    service = load_config(config_file, environment=os.environ).service
    path = Path(service.keys_file)
    if options.action == "list":
        return _list(path)
    with_qr = options.action == "add" and options.qr
    url = page_url(service, options.url) if with_qr and qr_library() else ""
    with _changing(path):
        return _add(path, options, url) if options.action == "add" else _revoke(path, options.name)


def _add(path: Path, options: argparse.Namespace, url: str) -> int:
    """Print the new token, which cannot be shown again; with a `url` as a QR code too."""
    keys = _read(path)
    if any(key.name == options.name for key in keys):
        raise YoutuEdgeError(f"{path}: a key named {options.name!r} exists; revoke it first or choose another name")
    token = new_token()
    entry = {
        "name": options.name,
        "sha256": hash_token(token),
        "scopes": options.scopes.split(","),
        "created": datetime.date.today().isoformat(),
        "max_concurrent": options.max_concurrent,
        "tokens_per_hour": options.tokens_per_hour,
        "tokens_per_day": options.tokens_per_day,
        "priority": options.priority,
    }
    try:
        key = msgspec.convert(entry, type=ApiKey)
    except msgspec.ValidationError as error:
        raise YoutuEdgeError(f"invalid key: {error}") from None
    write_keys(path, (*keys, key))
    print(f"The key {key.name!r} is valid now. Store it: it is not shown again.", file=sys.stderr)
    print(token, flush=True)
    if url:
        show_qr(url, token)
    return 0


def _revoke(path: Path, name: str) -> int:
    keys = _read(path)
    kept = tuple(key for key in keys if key.name != name)
    if len(kept) == len(keys):
        raise YoutuEdgeError(f"{path}: there is no key named {name!r}")
    write_keys(path, kept)
    print(f"The key {name!r} is no longer valid.", file=sys.stderr)
    if not kept:
        print(f"No key is left: every request is rejected until one is added or {path} is removed.", file=sys.stderr)
    return 0


def _list(path: Path) -> int:
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for key in _read(path):
        limits = (str(limit or "-") for limit in (key.max_concurrent, key.tokens_per_hour, key.tokens_per_day))
        priority = "-" if key.priority is None else str(key.priority)
        rows.append((key.name, ",".join(key.scopes), key.created, *limits, priority))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts, figures = zip(row[:3], widths[:3], strict=True), zip(row[3:], widths[3:], strict=True)
        cells = [f"{cell:<{width}}" for cell, width in texts] + [f"{cell:>{width}}" for cell, width in figures]
        print("  ".join(cells))
    return 0


def _read(path: Path) -> tuple[ApiKey, ...]:
    try:
        return read_keys(path)
    except FileNotFoundError:
        return ()


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            yield
    except OSError as error:
        raise ConfigError(f"{path}: cannot be changed: {error.strerror}; run this as the owner of {path.parent}") from None
