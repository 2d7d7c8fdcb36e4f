"""An interrupted download resumes where it stopped; the target does not exist until everything is checked."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from export.hub_fixtures import FIRST, INDEX, NEEDED, SECOND, cache_directory, checkpoint, hub
from export.hub_server import COMMIT, MODEL, HubServer, files_of
from youtu_export.__main__ import main
from youtu_export.errors import ExportError
from youtu_export.hubs.download import HubModel, default_cache, download

__all__ = ["checkpoint", "hub"]
WANTED = HubModel(hub="huggingface", model=MODEL)
_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from youtu_export.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def _start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "youtu_export", "hf", MODEL, str(tmp_path / "package"), "--no-golden", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _wait_until_fetched(process: subprocess.Popen[str], megabytes: float) -> None:
    """Read its progress until so much is there."""
    assert process.stderr is not None
    for line in process.stderr:
        found = re.match(r"fetched ([\d.]+) of", line)
        if found and float(found[1]) >= megabytes:
            return
    raise AssertionError("the process ended before")


def test_a_download_that_is_killed_three_times_goes_on_where_it_was(hub: HubServer, tmp_path: Path) -> None:
    """By SIGKILL and by SIGTERM, in the middle of a file; every byte comes once, and the checksums are right."""
    file, directory = "tokenizer.json", cache_directory(tmp_path)
    part = directory / f"{file}.part"
    hub.files[file] += b" " * 4_000_000
    total = sum(len(hub.files[path]) for path in NEEDED)
    before_it = total - len(hub.files[file]) - len(hub.files["tokenizer_config.json"])
    hub.holds[file] = [total // 4] * 3
    parts = [0]
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        with _start(tmp_path) as process:
            _wait_until_fetched(process, (before_it + parts[-1] + total / 10) / 1e6)
            process.send_signal(how)
            assert process.stderr is not None
            errors = process.stderr.read().splitlines()
        assert process.returncode == (130 if how == signal.SIGTERM else -how)
        if how == signal.SIGTERM:
            kept = f"{directory} keeps what was fetched; run the same command to continue"
            assert errors[-1] == f"youtu-export: interrupted; {kept}"
        assert not [path for path in tmp_path.iterdir() if "package" in path.name]
        parts.append(part.stat().st_size)
    assert parts == sorted(set(parts))
    assert main(["hf", MODEL, str(tmp_path / "package"), "--no-golden"]) == 0
    assert hub.asked_for(file) == parts
    assert hub.asked_for(SECOND) == [0]
    assert files_of(directory) == {path: hub.files[path] for path in NEEDED}


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_connections_that_break_are_made_again_in_the_same_run(name: str, hub: HubServer, tmp_path: Path) -> None:
    """As often as need be, as long as each brings something."""
    hub.cuts = {SECOND: [10_000] * 7, "config.json": [1, 1, 1]}
    assert main(["hf", MODEL, str(tmp_path / "package"), "--no-golden", "--from", name]) == 0
    assert hub.asked_for(SECOND) == [10_000 * number for number in range(8)]
    assert hub.asked_for("config.json") == [0, 1, 2, 3]
    assert files_of(cache_directory(tmp_path, name)) == {path: hub.files[path] for path in NEEDED}


def test_a_server_that_cannot_continue_a_file_begins_it_again(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.has_ranges = False
    hub.files[INDEX] += b" " * 1_000_000
    hub.cuts = {SECOND: [10_000, 20_000], INDEX: [500_000]}
    assert main(["hf", MODEL, str(tmp_path / "package"), "--no-golden"]) == 0
    assert hub.asked_for(SECOND) == [0, 10_000, 20_000]
    assert files_of(cache_directory(tmp_path)) == {path: hub.files[path] for path in NEEDED}
    last = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fetched ")][-1]
    megabytes = f"{sum(len(hub.files[path]) for path in NEEDED) / 1e6:.1f}"
    assert last == f"fetched {megabytes} of {megabytes} MB of {MODEL}"


def test_a_network_that_stays_away_is_told_with_the_files_to_copy(hub: HubServer, tmp_path: Path) -> None:
    """Copied to where the error says, they are taken without a network, if they are the right ones."""
    hub.cuts = {FIRST: [1_000, 0, 0, 0]}
    with pytest.raises(ExportError) as refused:
        download(WANTED, default_cache(), pauses_s=(0.0, 0.0))
    assert hub.asked_for(FIRST) == [0, 1_000, 1_000, 1_000]
    directory = cache_directory(tmp_path)
    missing = [path for path in hub.files if path in NEEDED and not (directory / path).exists()]
    said = refused.value.message
    assert said.startswith(f"{MODEL}: {FIRST}: {hub.address} can no longer be reached: ")
    assert said.endswith(
        f"; run the same command to continue; or fetch {', '.join(missing)} from {hub.address}/{MODEL}/tree/{COMMIT} "
        f"elsewhere, copy to {directory}, and add --revision {COMMIT}"
    )
    assert SECOND in missing
    assert (directory / f"{FIRST}.part").stat().st_size == 1_000
    hub.requests.clear()
    for path in missing:
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_bytes(hub.files[path])
    assert main(["hf", MODEL, str(tmp_path / "package"), "--no-golden", "--revision", COMMIT]) == 0
    assert hub.requests == []


def test_a_user_without_a_home_has_to_name_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path would leave a directory called ~ wherever the command runs."""
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(ExportError, match="no home directory to keep downloads in: name a directory with --cache"):
        default_cache()


def test_a_busy_server_is_asked_again(hub: HubServer, tmp_path: Path) -> None:
    hub.refusals = {SECOND: (503, "")}
    with pytest.raises(ExportError, match=r"status 503 Service Unavailable"):
        download(WANTED, default_cache(), pauses_s=(0.0, 0.0))
    asked = [request for request in hub.requests if request.target.endswith(f"/resolve/{COMMIT}/{SECOND}")]
    assert len(asked) == 3


@pytest.mark.parametrize("extra", [b"", b"more than there is"])
def test_a_rest_of_something_else_is_not_continued(extra: bytes, hub: HubServer, tmp_path: Path) -> None:
    """As long as the file or longer, or of another content: found by size and checksum, and fetched whole."""
    directory = cache_directory(tmp_path)
    directory.mkdir(parents=True)
    (directory / f"{SECOND}.part").write_bytes(bytes(len(hub.files[SECOND])) + extra)
    arguments = ["hf", MODEL, str(tmp_path / "package"), "--no-golden"]
    assert main(arguments) == (0 if extra else 1)
    assert main(["hf", MODEL, str(tmp_path / "again"), "--no-golden"]) == 0
    assert hub.asked_for(SECOND) == [0]
    assert (directory / SECOND).read_bytes() == hub.files[SECOND]


def test_a_disk_that_fills_up_in_the_middle(hub: HubServer, tmp_path: Path) -> None:
    """As the limit of the size of a file, which the kernel reports from the same call; what came is kept and continued."""
    size = len(hub.files[SECOND])
    limit = size // 2
    arguments = ["hf", MODEL, str(tmp_path / "package"), "--no-golden"]
    ran = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(limit), *arguments], check=False, stderr=subprocess.PIPE, text=True
    )
    lines = [line for line in ran.stderr.splitlines() if not line.startswith("fetched ")]
    part = cache_directory(tmp_path) / f"{SECOND}.part"
    assert lines == [f"youtu-export: {part}: cannot be written: File too large; what was fetched is kept"]
    assert ran.returncode == 1
    assert not [path for path in tmp_path.iterdir() if "package" in path.name]
    assert part.stat().st_size == limit
    assert main(arguments) == 0
    assert hub.asked_for(SECOND) == [0, limit]


def test_a_cache_that_cannot_be_written(hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    assert main(["hf", MODEL, str(tmp_path / "package"), "--no-golden"]) == 1
    said = capsys.readouterr().err.splitlines()
    advice = "choose another directory: --cache DIR"
    assert said == [f"youtu-export: {cache_directory(tmp_path)}.json: cannot be written: Not a directory; {advice}"]
    assert main(["hf", MODEL, str(tmp_path / "package"), "--no-golden", "--cache", str(tmp_path / "other")]) == 0
    assert [path.name for path in (tmp_path / "other" / "huggingface").iterdir()] == [MODEL.replace("/", "--")]


def test_two_at_once_do_not_write_into_one_file(hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = cache_directory(tmp_path) / f"{SECOND}.part"
    part.parent.mkdir(parents=True)
    with part.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert main(["hf", MODEL, str(tmp_path / "package"), "--no-golden"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"youtu-export: {part}: another youtu-export is fetching this file; wait for it"
    assert not os.path.lexists(tmp_path / "package")


def test_exporting_leaves_no_identifier_of_this_machine(checkpoint: Path, tmp_path: Path) -> None:
    """ONNX Runtime makes one in the cache of its user, and reports, unless it is told not to before it is loaded."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / "cache")}
    command = [sys.executable, "-m", "youtu_export", "hf", str(checkpoint), str(tmp_path / "package")]
    assert subprocess.run(command, check=False, env=environment).returncode == 0
    assert (tmp_path / "package" / "golden.json").is_file()
    assert not (tmp_path / "home").exists()
