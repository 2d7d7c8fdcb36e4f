"""rollout.json: which releases of a model are on a file server, and for how many of the boards.

    {"format": 1, "model": "kiosk", "releases": [
        {"release": 7, "percent": 10, "archive": "kiosk-7.tar", "size": 87031808, "sha256": "5d0c…"},
        {"release": 6, "percent": 100, "archive": "kiosk-6.tar", "size": 87031808, "sha256": "91fe…"}]}

rollout.json.sig is its signature, made like that of a package. A board takes the highest release whose percentage it is
in: that depends only on a hash of the board's name, the model and the release. So a percentage that is raised keeps the
boards it had, and another release begins with other boards. With "expires": "2027-03-01T00:00:00Z", boards refuse it from
then on: an old index, which is signed as well, cannot be kept before them for ever.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import Annotated
from urllib.parse import urljoin

import msgspec
from msgspec import Meta

from youtu_edge.errors import UpdateError
from youtu_edge.json_file import JsonError, checked, decode_json

INDEX = "rollout.json"
INDEX_SIGNATURE = f"{INDEX}.sig"
FORMAT = 1
LARGEST_INDEX = 1024 * 1024
"""Bytes."""


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One archive of the index."""

    release: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    percent: Annotated[float, Meta(ge=0, le=100)]
    """Of the boards; 0 withdraws a release from boards that do not have it yet."""
    archive: Annotated[str, Meta(min_length=1, max_length=2000)]
    """Its name beside the index, or a URL."""
    size: Annotated[int, Meta(ge=1, le=2**53)]
    """Bytes."""
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Rollout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of rollout.json."""

    format: int
    model: Annotated[str, Meta(min_length=1, max_length=200)]
    """The name in the manifests of the packages."""
    releases: Annotated[tuple[Release, ...], Meta(max_length=1000)]
    expires: Annotated[datetime.datetime, Meta(tz=True)] | msgspec.UnsetType = msgspec.UNSET
    """From then on boards refuse it."""

    def check_fresh(self, url: str, now: datetime.datetime) -> None:
        """Raises UpdateError if it has expired; `now` has a time zone."""
        if self.expires and self.expires <= now:
            until, today = (time.isoformat(" ", "minutes") for time in (self.expires, now))
            raise UpdateError(
                f"{url}: expires: was valid until {until}, and now it is {today}; publish it again with --valid-days, "
                "look for what keeps an old copy, or set the clock of this board"
            )

    @property
    def newest(self) -> Release | None:
        """The highest release, whoever it is for."""
        return max(self.releases, key=lambda release: release.release, default=None)

    def offered(self, board: str) -> Release | None:
        """The highest release that the board `board` is to have."""
        mine = (release for release in self.releases if place_of(board, self.model, release.release) < release.percent)
        return max(mine, key=lambda release: release.release, default=None)

    def find(self, archive_url: str, index_url: str) -> Release | None:
        """The release whose archive has this URL."""
        return next((each for each in self.releases if urljoin(index_url, each.archive) == archive_url), None)


def place_of(board: str, model: str, release: int) -> float:
    """From 0 up to 100, evenly distributed over boards and releases; a board takes a release if its percentage is more."""
    digest = hashlib.sha256(f"{board} {model} {release}".encode()).digest()
    return 100 * int.from_bytes(digest[:6]) / 2**48  # exact in a float, and never rounded up to 100


def read_rollout(data: bytes, url: str) -> Rollout:
    """Raises UpdateError naming the field."""
    try:
        value = decode_json(data)
        if isinstance(value, dict) and value.get("format") != FORMAT:
            raise JsonError(f"format: {value.get('format')!r} is not {FORMAT}, the only one that this release reads")
        return checked(value, Rollout)
    except JsonError as error:
        raise UpdateError(f"{url}: {error}; make the index with `youtu-export publish`") from None
