"""Which installed version of the model the next engine loads, and the rollback when a new one fails.

A version is on trial until it has answered a request on this device. If its engine dies during the trial, the version is
rejected: the link is rolled back to the newest version that has answered, and requests wait only until that one is loaded.
A version that has answered is restarted like any engine; it is rolled back only if its files are damaged.

If the link cannot be written, the choice still holds until the daemon exits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from youtu_edge.errors import PackageError
from youtu_edge.log import line
from youtu_edge.package import TOKENIZER, open_package, read_manifest
from youtu_edge.updates.store import ModelStore
from youtu_edge.updates.update_state import UpdateState, read_state

log = logging.getLogger(__name__)


class PackageChoice:
    """The version that is served. Without a store (model.path is a package itself) there is nothing to choose."""

    def __init__(self, model_path: str, on_refused: Callable[[], None] = lambda: None) -> None:
        self._path = model_path
        self._on_refused = on_refused
        self._store = ModelStore.around(model_path)
        self._target: str | None = None
        self._linked: str | None = None
        self._refused: set[str] = set()
        self._good: list[str] = self._store.good_targets() if self._store else []
        self._last_refusal: dict[str, Any] | None = None
        self.release = 0
        """Of the version that `choose` returned last; 0 if its manifest has none."""

    @property
    def path(self) -> str:
        """Directory of the version that `choose` returned last; before that, model.path."""
        return str(self._store.directory(self._target)) if self._store and self._target else self._path

    @property
    def is_on_trial(self) -> bool:
        """Whether the chosen version has not answered on this device yet, and another one has."""
        return self._target is not None and self._target not in self._good and self._former() is not None

    async def is_to_blame(self) -> bool:
        """Whether a fatal exit (code 78) is due to the version and not to the configuration."""
        return self.is_on_trial or (self._former() is not None and await asyncio.to_thread(self._is_damaged))

    def choose(self) -> str:
        """Directory for the next engine to load: the link's target, unless that was rejected."""
        if self._store and self.has_changed():
            self._linked = self._target = self._store.target()
            # Activating a rejected version again gives it another trial.
            self._refused.discard(self._linked or "")
        self.release = self._release()
        return self.path

    def has_changed(self) -> bool:
        """Whether the link's target has changed since it was last read."""
        target = self._store.target() if self._store else None
        return target is not None and target != self._linked

    def answered(self) -> None:
        """The chosen version has answered a request: remember it as one to go back to."""
        if not self._store or self._target is None or self._good[:1] == [self._target]:
            return
        target = self._target
        self._good = list(dict.fromkeys([target, *self._good]))[:2]
        log.info(line("package_proven", version=Path(target).name))
        asyncio.get_running_loop().run_in_executor(None, self._mark_good, self._store, target)

    def refuse(self, reason: str) -> bool:
        """The chosen version failed: roll back to the newest other one that has answered. False if there is none."""
        former = self._former()
        if self._store is None or former is None:
            return False
        refused, self._target = self._target, former
        name = Path(refused or self._path).name
        log.error(line("package_refused", version=name, reason=reason, back_to=Path(former).name))
        self._last_refusal = {"version": name, "reason": reason, "back_to": Path(former).name, "at": int(time.time())}
        self._on_refused()
        if refused is not None:
            self._refused.add(refused)
        try:
            if refused is not None:
                self._store.refuse(refused, reason)
            if self._store.target() == self._linked:  # nobody activated a third one meanwhile
                self._store.switch(former)
                self._linked = former
        except OSError as error:
            log.warning(line("package_link_not_changed", reason=str(error)))
        return True

    def tokenizer(self) -> str:
        """Digest of the chosen version's tokenizer; token ids are portable between equal ones. "" if unknown."""
        try:
            return read_manifest(Path(self.path)).files[TOKENIZER].sha256
        except PackageError:
            return ""

    def status(self) -> dict[str, Any]:
        """For /v1/status."""
        update = self.update()
        return {
            "version": Path(self._target).name if self._target else None,
            "release": self.release,
            "on_trial": self.is_on_trial,
            "refused": self._last_refusal,
            "update": msgspec.to_builtins(msgspec.structs.replace(update, rejected={})) if update else None,
        }

    def update(self) -> UpdateState | None:
        """What became of the last `youtu-edge model install https://…`; None if there was none."""
        return read_state(self._store.root) if self._store else None

    def _release(self) -> int:
        try:
            return read_manifest(Path(self.path)).release
        except PackageError:  # reported by the engine
            return 0

    def _former(self) -> str | None:
        """The newest version that has answered, is still there and is not the chosen one."""
        if self._store is None:
            return None
        for target in self._good:
            if target != self._target and target not in self._refused and self._store.directory(target).is_dir():
                return target
        return None

    def _is_damaged(self) -> bool:
        try:
            open_package(self.path)
        except PackageError:
            return True
        return False

    @staticmethod
    def _mark_good(store: ModelStore, target: str) -> None:
        try:
            store.mark_good(target)
        except OSError as error:
            log.warning(line("package_link_not_changed", reason=str(error)))
