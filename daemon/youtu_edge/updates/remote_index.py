"""Fetches rollout.json and its signature, and trusts the one only with the other."""

from __future__ import annotations

import datetime
import http.client
from collections.abc import Callable

from youtu_edge.config import UpdatesConfig
from youtu_edge.errors import PackageError, UpdateError
from youtu_edge.rollout import INDEX, LARGEST_INDEX, Rollout, read_rollout
from youtu_edge.updates.https_client import HttpsClient, Interrupted, Refused
from youtu_edge.updates.pace import ATTEMPTS, Pace, delay_s
from youtu_edge.updates.signature import Signed, check_message

_SIGNED = Signed(INDEX, "the index", "`youtu-export publish PACKAGE DIR --key FILE`")


def fetch_index(client: HttpsClient, pace: Pace, url: str, updates: UpdatesConfig, say: Callable[[str], None]) -> Rollout:
    """Raises UpdateError, also for an index that has expired, PackageError for a signature that is wrong or missing,
    ConfigError for unusable keys.
    """
    index = _fetch(client, pace, url, say)
    if index is None:
        raise UpdateError(f"{url}: not found; make the index with `youtu-export publish`, or name an archive and --sha256")
    try:
        trust = check_message(index, _fetch(client, pace, f"{url}.sig", say), _SIGNED, updates)
    except PackageError as error:
        raise PackageError(f"{url}: {error.message}") from None
    say(f"{INDEX}: {trust}")
    rollout = read_rollout(index, url)
    rollout.check_fresh(url, datetime.datetime.now(datetime.UTC))
    return rollout


def _fetch(client: HttpsClient, pace: Pace, url: str, say: Callable[[str], None]) -> bytes | None:
    """The contents of a small file; None if there is none."""
    attempts = 0
    while True:
        try:
            return _read(client, url)
        except Refused as refused:
            if refused.status == http.client.NOT_FOUND:
                return None
            raise UpdateError(str(refused)) from None
        except Interrupted as error:
            attempts += 1
            if attempts == ATTEMPTS:
                raise UpdateError(f"{url}: {error}; tried {ATTEMPTS} times") from None
            say(f"{error}; trying again in {delay_s(attempts)} s")
            pace.pause(delay_s(attempts))


def _read(client: HttpsClient, url: str) -> bytes:
    with client.get(url) as answer:
        try:
            data = answer.read(LARGEST_INDEX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Interrupted(f"the connection broke: {error or type(error).__name__}") from None
        if len(data) > LARGEST_INDEX:
            raise UpdateError(f"{url}: larger than {LARGEST_INDEX >> 20} MiB, the maximum")
        if answer.length:
            raise Interrupted(f"the connection ended {answer.length} bytes early")
        return data
