"""A download at its limits: bandwidth, time of day, a server that never finishes, a disk that becomes full."""

from __future__ import annotations

import datetime
import hashlib
import ssl
import subprocess
from pathlib import Path

import pytest

from updates.file_server import Fault, FileServer
from youtu_edge.errors import UpdateError
from youtu_edge.updates.download import Download, RemoteFile
from youtu_edge.updates.https_client import HttpsClient
from youtu_edge.updates.pace import ATTEMPTS, Pace
from youtu_edge.updates.time_window import TimeWindow

DATA = bytes(range(256)) * 2000
EVENING = datetime.datetime(2026, 3, 1, 23, 59, 30)


class Clock:
    """Time that only passes by sleeping."""

    def __init__(self, now: datetime.datetime = EVENING) -> None:
        self.start, self.now, self.slept = now, now, list[float]()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += datetime.timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return (self.now - self.start).total_seconds()

    def pace(self, rate: int | None = None, window: str = "") -> Pace:
        found = TimeWindow.parse(window) if window else None
        return Pace(rate, found, now=lambda: self.now, monotonic=self.monotonic, sleep=self.sleep)


@pytest.fixture
def directory(server: FileServer, tmp_path: Path) -> Path:
    """For the download; the server has DATA."""
    (server.root / "file.tar").write_bytes(DATA)
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads"


class Fetch:
    """A download of the server's file, and what it said."""

    def __init__(self, server: FileServer, pace: Pace, directory: Path) -> None:
        self.said, self.waited = list[str](), list[str]()
        self.progress = list[tuple[int, int]]()
        client = HttpsClient(ssl.create_default_context(cafile=server.ca_file))
        self.file = RemoteFile(f"{server.url}file.tar", hashlib.sha256(DATA).hexdigest(), len(DATA))
        self.download = Download(
            client,
            directory,
            pace,
            spare=lambda: 1 << 40,
            say=self.said.append,
            waiting=self.waited.append,
            progress=lambda done, total: self.progress.append((done, total)),
        )

    def run(self) -> bytes:
        return self.download.fetch(self.file).read_bytes()


def test_the_bandwidth_limit_holds_over_every_stretch_of_the_download(server: FileServer, directory: Path) -> None:
    """512,000 bytes at 64,000 per second take 8 seconds, in steps of a quarter of a second."""
    clock = Clock()
    assert Fetch(server, clock.pace(rate=64_000), directory).run() == DATA
    assert clock.monotonic() == pytest.approx(8, rel=1e-3)
    assert max(clock.slept) <= 0.25 + 1e-6


def test_outside_of_the_window_nothing_is_asked_for_until_it_opens(server: FileServer, directory: Path) -> None:
    clock = Clock()
    fetch = Fetch(server, clock.pace(window="01:00-05:00"), directory)
    assert fetch.run() == DATA
    assert clock.now == datetime.datetime(2026, 3, 2, 1, 0)
    assert fetch.waited == ["outside of 01:00-05:00: waiting until 2026-03-02 01:00"]


def test_a_window_that_ends_in_the_middle_pauses_the_download_until_the_next_night(
    server: FileServer, directory: Path
) -> None:
    """At 1,000 bytes per second it takes 512 s; the window is 60 s long, so it takes nine nights. Nothing is sent twice."""
    clock = Clock(datetime.datetime(2026, 3, 1, 1, 0))
    fetch = Fetch(server, clock.pace(rate=1000, window="01:00-01:01"), directory)
    assert fetch.run() == DATA
    assert clock.now.date() == datetime.date(2026, 3, 9)
    begins = [int((range_ or "bytes=0-")[6:-1]) for range_ in server.ranges]
    assert begins[0] == 0
    assert begins == sorted(set(begins))
    assert len(begins) == 9


def test_six_attempts_without_a_byte_end_it_and_keep_what_there_is(server: FileServer, directory: Path) -> None:
    """A byte in between begins a new count: six times nothing, not seven requests."""
    clock = Clock()
    server.faults = [Fault(status=503)] * 3 + [Fault(cut_after=1000)] + [Fault(status=503)] * ATTEMPTS
    fetch = Fetch(server, clock.pace(), directory)
    with pytest.raises(UpdateError, match="the server answers 503 Service Unavailable; 1000 bytes are kept"):
        fetch.run()
    assert len(server.ranges) == 3 + 1 + ATTEMPTS - 1
    assert clock.slept == [1, 2, 4, 1, 2, 4, 8, 16]
    server.faults = []
    assert fetch.run() == DATA
    assert server.ranges[-1] == "bytes=1000-"


def test_a_disk_that_becomes_full_is_given_back_what_was_written(server: FileServer, directory: Path) -> None:
    """There seemed to be room, and somebody else was faster."""
    disk = directory / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk requires root")
    try:
        with pytest.raises(UpdateError, match="No space left on device; `youtu-edge model prune` frees space"):
            Fetch(server, Clock().pace(), disk).run()
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_file_that_does_not_fit_is_not_begun(server: FileServer, directory: Path) -> None:
    fetch = Fetch(server, Clock().pace(), directory)
    fetch.download._spare = lambda: 1000
    with pytest.raises(UpdateError, match="its 512000 bytes do not fit on the disk, which has 1000 to spare"):
        fetch.run()
    assert not list(directory.glob("*.part"))


@pytest.mark.parametrize(
    ("window", "now", "seconds"),
    [
        ("01:00-05:00", "01:00:00", 0),
        ("01:00-05:00", "04:59:59", 0),
        ("01:00-05:00", "05:00:00", 20 * 3600),
        ("01:00-05:00", "00:59:30", 30),
        ("22:00-02:00", "23:30:00", 0),
        ("22:00-02:00", "01:59:59", 0),
        ("22:00-02:00", "02:00:00", 20 * 3600),
    ],
)
def test_a_window_may_span_midnight(window: str, now: str, seconds: float) -> None:
    at = datetime.datetime.fromisoformat(f"2026-03-01T{now}")
    assert TimeWindow.parse(window).seconds_until_open(at) == seconds


@pytest.mark.parametrize("text", ["", "1-5", "01:00", "24:00-05:00", "01:00-01:00", "01:60-02:00", "01:00-05:00 UTC"])
def test_other_windows_are_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"HH:MM-HH:MM|is empty"):
        TimeWindow.parse(text)
