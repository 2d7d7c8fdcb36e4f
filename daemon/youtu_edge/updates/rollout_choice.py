"""Which release of an index this board fetches now, and if none, why."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

from youtu_edge.rollout import Release, Rollout
from youtu_edge.updates.store import ModelStore, Version
from youtu_edge.updates.update_state import Stage

_AGAIN = "; to try it again: "


@dataclass(frozen=True)
class Choice:
    """`release`: what this is about; it is to be fetched if `stage` is "downloading". `note` says why not."""

    stage: Stage
    release: Release | None
    note: str = ""


def choose(rollout: Rollout, index_url: str, board: str, store: ModelStore, rejected: dict[str, str]) -> Choice:
    """`rejected`: sha256 of archives whose packages were rejected here -> why.

    A release that failed here is not fetched every night: neither one whose package was rejected, nor one from which the
    daemon or the operator rolled back.
    """
    offered, newest, served = rollout.offered(board), rollout.newest, _served_release(rollout.model, store)
    if offered is None or offered.release <= served:
        if newest is not None and newest.release > max(served, offered.release if offered else 0):
            note = f"release {newest.release} of {rollout.model} is for {newest.percent:g} % of boards, not this one yet"
            return Choice("held", newest, note)
        return Choice("current", offered, f"release {served} of {rollout.model} is served, and there is no newer one")
    if version := _installed(rollout.model, offered.release, store):
        reason = f"failed here: {version.refused}" if version.refused else "is installed, but not served"
        command = f"youtu-edge model activate {version.id}"
        note = f"release {offered.release} of {rollout.model} {reason}"
        return Choice("rejected" if version.refused else "current", offered, f"{note}{_AGAIN}{command}")
    if reason := rejected.get(offered.sha256, ""):
        command = f"youtu-edge model install {urljoin(index_url, offered.archive)}"
        return Choice("rejected", offered, f"release {offered.release} was rejected here: {reason}{_AGAIN}{command}")
    return Choice("downloading", offered)


def _served_release(model: str, store: ModelStore) -> int:
    """0 if another model is served, or none."""
    served = store.target()
    for version in store.versions():
        if store.target_of(version.id) == served and version.manifest and version.manifest.name == model:
            return version.manifest.release
    return 0


def _installed(model: str, release: int, store: ModelStore) -> Version | None:
    for version in store.versions():
        if version.manifest and (version.manifest.name, version.manifest.release) == (model, release):
            return version
    return None
