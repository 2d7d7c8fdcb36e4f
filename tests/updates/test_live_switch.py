"""A running daemon switches to another version of the model, and back if that one fails; clients only wait."""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon_process import Daemon, Stream, chat
from updates_support import Command, crash_the_runtime, edited, never_finish, wait_until
from youtu_edge.errors import EXIT_CONFIG
from youtu_edge.package import read_manifest
from youtu_edge.updates.store import FORMER_GOOD, LAST_GOOD, ModelStore

LONG = 7500
"""Tokens of an answer that is still running when the daemon looks at the link, which it does once a second."""


@contextmanager
def serving(tmp_path: Path, **settings: object) -> Iterator[Daemon]:
    with Daemon(tmp_path / "store" / "current", tmp_path, **settings) as daemon:
        daemon.wait_ready()
        yield daemon


def status(daemon: Daemon) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(daemon.get("/v1/status")[1])
    return document


def version_of(package: Path) -> str:
    manifest = read_manifest(package)
    return f"{manifest.name}-{manifest.checksum[:12]}"


def put(store: ModelStore, package: Path) -> str:
    """Install without checks, like a faulty version that passed all of them."""
    with store.changing(), store.incoming() as directory:
        shutil.copytree(package, directory, dirs_exist_ok=True)
        return store.target_of(store.add(directory, read_manifest(package)))


def answer(daemon: Daemon, **more: Any) -> str:
    code, document = daemon.post("/v1/chat/completions", chat("What is new?", max_tokens=16, **more))
    assert code == 200, document
    text: str = document["choices"][0]["message"]["content"]
    return text


def serves(daemon: Daemon, package: Path) -> Callable[[], bool]:
    def check() -> bool:
        document = status(daemon)
        return document["package"]["version"] == version_of(package) and document["state"] == "ready"

    return check


@pytest.fixture(scope="module")
def texts(first: Path, second: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each of the two versions answers."""
    found = {}
    for package in (first, second):
        with Daemon(package, tmp_path_factory.mktemp("text")) as daemon:
            daemon.wait_ready()
            found[package.name] = answer(daemon)
    assert len(set(found.values())) == 2
    return found


def test_a_running_daemon_takes_the_new_version_and_no_client_notices(
    first: Path, second: Path, store: ModelStore, command: Command, tmp_path: Path, texts: dict[str, str]
) -> None:
    """The running stream is finished by the old version, what comes later is answered by the new one."""
    assert command("install", str(first)).returncode == 0
    assert command("install", str(second), "--no-activate").returncode == 0
    with serving(tmp_path) as daemon:
        assert answer(daemon) == texts[first.name]
        expected = Stream(daemon, chat("Tell me a story", max_tokens=LONG))
        expected.join()
        running = Stream(daemon, chat("Tell me a story", max_tokens=LONG))
        wait_until(lambda: running.text)
        assert command("activate", version_of(second)).returncode == 0
        wait_until(serves(daemon, second))
        running.join()
        assert (running.error, running.reason) == ("", "length")
        assert running.text == expected.text
        assert answer(daemon) == texts[second.name]
        assert status(daemon)["restarts"] == 0
    assert store.target(LAST_GOOD) == f"versions/{version_of(second)}"
    assert store.target(FORMER_GOOD) == f"versions/{version_of(first)}"


def test_rollback_is_a_live_switch_too(
    first: Path, second: Path, store: ModelStore, command: Command, tmp_path: Path, texts: dict[str, str]
) -> None:
    assert command("install", str(first)).returncode == 0
    with serving(tmp_path) as daemon:
        answer(daemon)
        assert command("install", str(second)).returncode == 0
        wait_until(serves(daemon, second))
        answer(daemon)
        wait_until(lambda: store.target(LAST_GOOD) == f"versions/{version_of(second)}")
        assert command("rollback").returncode == 0
        wait_until(serves(daemon, first))
        assert answer(daemon) == texts[first.name]


def test_a_running_answer_that_outlasts_the_wait_goes_on_with_the_new_version(
    first: Path, second: Path, store: ModelStore, tmp_path: Path
) -> None:
    """Both have the same tokenizer, so the tokens that were sent mean the same; nothing is lost or said twice."""
    store.switch(put(store, first))
    other = put(store, second)
    with serving(tmp_path, updates__drain_s=0) as daemon:
        expected = Stream(daemon, chat("Tell me a story", max_tokens=LONG))
        expected.join()
        running = Stream(daemon, chat("Tell me a story", max_tokens=LONG))
        wait_until(lambda: running.text)
        store.switch(other)
        running.join()
        assert (running.error, running.reason) == ("", "length")
        assert running.usage["completion_tokens"] == LONG
        assert running.text[:20] == expected.text[:20]
        assert running.text != expected.text
        assert serves(daemon, second)()


@contextmanager
def clients(daemon: Daemon) -> Iterator[list[Stream]]:
    """Streams that are started one after the other while the block runs; all of them must complete."""
    streams: list[Stream] = []
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            streams.append(Stream(daemon, chat(f"Question {len(streams)}", max_tokens=24)))
            streams[-1].join()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield streams
    finally:
        stopping.set()
        thread.join()
    assert streams
    assert [(stream.error, stream.reason) for stream in streams] == [("", "length")] * len(streams)
    assert all(stream.usage["completion_tokens"] == 24 for stream in streams)


@pytest.mark.parametrize("trouble", ["crashes when loading", "crashes when answering", "damaged", "missing"])
def test_a_bad_version_is_left_without_an_outage(
    first: Path, second: Path, store: ModelStore, command: Command, tmp_path: Path, trouble: str, texts: dict[str, str]
) -> None:
    """Clients stream all the time; the daemon goes back by itself, says so, and keeps the link on the good version."""
    if "crashes" in trouble and platform.machine() != "x86_64":
        pytest.skip("this CPU does not trap the division")
    assert command("install", str(first)).returncode == 0
    with serving(tmp_path) as daemon:
        answer(daemon)
        wait_until(lambda: store.target(LAST_GOOD) is not None)
        if trouble == "missing":
            bad = "versions/nowhere"
        elif trouble == "damaged":
            bad = put(store, second)
            (store.directory(bad) / "weights.bin").write_bytes(b"")
        else:
            late = trouble == "crashes when answering"
            crash = functools.partial(crash_the_runtime, only_when_decoding=late)
            bad = put(store, edited(second, tmp_path / "bad", crash))
        with clients(daemon) as streams:
            wait_until(lambda: len(streams) > 2)
            store.switch(bad)
            wait_until(lambda: status(daemon)["package"]["refused"])
            wait_until(serves(daemon, first))
            count = len(streams)
            wait_until(lambda: len(streams) > count + 2)
        refused = status(daemon)["package"]["refused"]
        assert refused["version"] == Path(bad).name
        assert refused["back_to"] == version_of(first)
        assert daemon.metric("youtu_edge_package_refusals_total") == 1
        assert answer(daemon) == texts[first.name]
    assert "package_refused" in daemon.log
    assert store.target() == f"versions/{version_of(first)}"
    assert store.refusal(Path(bad).name)


def test_a_version_that_does_not_get_ready_in_time_is_left(
    first: Path, second: Path, store: ModelStore, tmp_path: Path
) -> None:
    """It neither crashes nor answers; a request that came meanwhile waits for the deadline and is answered then."""
    good = put(store, first)
    store.mark_good(good)
    store.switch(good)
    endless = put(store, edited(second, tmp_path / "endless", never_finish))
    with serving(tmp_path, service__load_deadline_s=8) as daemon:
        first_engine = daemon.engine_pid
        store.switch(endless)
        daemon.wait_engine_pid(first_engine)
        assert answer(daemon)
        assert "was not ready for" in status(daemon)["package"]["refused"]["reason"]
        assert serves(daemon, first)()


def test_a_bad_version_at_start_costs_one_load(
    first: Path, second: Path, store: ModelStore, command: Command, tmp_path: Path
) -> None:
    """Activated while the daemon was down, or a power cut in between: it starts with the last good one."""
    good = put(store, first)
    store.mark_good(good)
    bad = put(store, second)
    (store.directory(bad) / "model.onnx").unlink()
    store.switch(bad)
    with serving(tmp_path) as daemon:
        assert status(daemon)["package"]["version"] == version_of(first)
        assert answer(daemon)
    assert "refused: " in command("list").stdout


def test_a_wrong_configuration_is_no_reason_to_leave_a_good_version(
    first: Path, second: Path, store: ModelStore, tmp_path: Path
) -> None:
    """The engine refuses the context length, not the package: the daemon exits with 78 and the link stays."""
    for package in (second, first):
        target = put(store, package)
        store.mark_good(target)
    store.switch(target)
    with Daemon(store.link, tmp_path, model__context_length=100_000) as daemon:
        assert daemon.process.wait(60) == EXIT_CONFIG
    assert store.target() == target


def test_a_good_version_whose_files_rot_is_left_for_the_one_before(
    first: Path, second: Path, store: ModelStore, tmp_path: Path
) -> None:
    for package in (second, first):
        target = put(store, package)
        store.mark_good(target)
    store.switch(target)
    weights = store.directory(target) / "weights.bin"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with serving(tmp_path) as daemon:
        assert status(daemon)["package"]["version"] == version_of(second)


def test_a_version_that_has_answered_is_restarted_and_not_left(
    first: Path, second: Path, store: ModelStore, tmp_path: Path
) -> None:
    """The death of a proven version's engine is an accident, as without versions."""
    store.mark_good(put(store, second))
    store.switch(put(store, first))
    with serving(tmp_path) as daemon:
        answer(daemon)
        os.kill(daemon.engine_pid, signal.SIGKILL)
        wait_until(lambda: status(daemon)["restarts"] == 1)
        wait_until(serves(daemon, first))
        assert status(daemon)["package"]["refused"] is None


def test_another_tokenizer_fails_only_answers_that_were_begun(first: Path, store: ModelStore, tmp_path: Path) -> None:
    """Their tokens mean something else now; the client is told to send the request again."""

    def other_tokenizer(package: Path) -> None:
        tokenizer = json.loads((package / "tokenizer.json").read_text())
        tokenizer["model"]["merges"] = []
        (package / "tokenizer.json").write_text(json.dumps(tokenizer))

    store.switch(put(store, first))
    other = edited(first, tmp_path / "other", other_tokenizer)
    target = put(store, other)
    with serving(tmp_path, updates__drain_s=0) as daemon:
        events = daemon.stream(chat("Tell me a story", max_tokens=LONG))
        next(events)
        store.switch(target)
        last = list(events)[-1]
        assert last["error"]["code"] == "unavailable"
        assert "replaced" in last["error"]["message"]
        wait_until(serves(daemon, other))
        assert answer(daemon)
