"""`youtu-edge model install https://…` against a real server with TLS: what arrives in the end, and what never does."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from updates.file_server import Fault, FileServer
from updates.installed_packages import checksum, installed, served
from updates.published import install, publish
from updates_support import Command
from youtu_edge.errors import EXIT_CONFIG, EXIT_FAILURE
from youtu_edge.updates.store import ModelStore
from youtu_edge.updates.update_state import read_state
from youtu_export.sign import keygen, read_private_key


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Of the maker, whom the board trusts."""
    (tmp_path / "trust").mkdir(exist_ok=True)
    keygen(tmp_path / "maker").rename(tmp_path / "trust" / "maker.pub")
    return tmp_path / "maker"


def nothing_installed(store: ModelStore, done: subprocess.CompletedProcess[str], reason: str, code: int) -> None:
    """One line with the reason; neither a version nor bytes that could be taken for one."""
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert reason in done.stderr
    assert (installed(store), store.target()) == ([], None)
    assert not list(store.versions_directory.glob(".*"))
    assert not list((store.root / "downloads").glob("*.part"))
    state = read_state(store.root)
    assert state is not None
    assert state.note in done.stderr


def edit_index(server: FileServer, **fields: object) -> None:
    """Change its first release, without a key."""
    index = json.loads((server.root / "rollout.json").read_text())
    index["releases"][0] |= fields
    (server.root / "rollout.json").write_text(json.dumps(index))


def test_what_was_cut_three_times_is_continued_and_served(
    first: Path, store: ModelStore, command: Command, server: FileServer, key: Path
) -> None:
    """Each request asks for what is missing, and nothing is fetched twice."""
    publish(first, server, "--key", str(key))
    server.faults = [Fault(cut_after=40_000), Fault(cut_after=30_000), Fault(cut_after=20_000)]
    done = install(command, server)
    assert done.returncode == 0, done.stderr
    begins = [int((range_ or "bytes=0-")[6:-1]) for range_ in server.ranges]
    assert begins[0] == 0
    assert begins == sorted(set(begins))
    assert len(begins) == 4
    assert "rollout.json: signed by maker.pub" in done.stdout
    assert served(store) == checksum(first)
    assert not list((store.root / "downloads").glob("*.part"))
    state = read_state(store.root)
    assert state is not None
    assert (state.stage, state.model, state.release, state.note) == ("installed", "tiny", 1, installed(store)[0])


def test_another_command_continues_what_an_earlier_one_began(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    """As after a power cut."""
    publish(first, server)
    server.faults = [Fault(cut_after=100_000), Fault(status=404)]
    done = install(command, server)
    assert done.returncode == EXIT_FAILURE
    part = next((store.root / "downloads").glob("*.part"))
    assert 0 < part.stat().st_size <= 100_000
    begin = part.stat().st_size
    assert install(command, server).returncode == 0
    assert server.ranges[-1] == f"bytes={begin}-"
    assert served(store) == checksum(first)


def test_bytes_that_a_power_cut_damaged_are_fetched_again(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    publish(first, server)
    server.faults = [Fault(cut_after=100_000), Fault(status=404)]
    install(command, server)
    part = next((store.root / "downloads").glob("*.part"))
    part.write_bytes(bytes(part.stat().st_size))
    done = install(command, server)
    assert "the bytes of the earlier attempt are damaged" in done.stdout
    assert served(store) == checksum(first)


def test_an_archive_that_was_replaced_in_the_middle_is_fetched_whole(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    """Its ETag is another one, so the server ignores the range."""
    publish(first, server)
    archive = server.root / "tiny-1.tar"
    good = archive.read_bytes()
    archive.write_bytes(bytes(len(good)))
    server.faults = [Fault(cut_after=100_000), Fault(status=404)]
    install(command, server)
    archive.write_bytes(good)
    assert install(command, server).returncode == 0
    assert served(store) == checksum(first)


def test_a_server_without_etags_is_asked_for_everything_again(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    """Without If-Range a range could be of another file."""
    publish(first, server)
    server.etag = False
    server.faults = [Fault(cut_after=100_000)]
    assert install(command, server).returncode == 0
    assert server.ranges == [None, None]
    assert served(store) == checksum(first)


def test_a_wrong_signature_of_the_index_stops_before_the_archive(
    first: Path, store: ModelStore, command: Command, server: FileServer, key: Path, tmp_path: Path
) -> None:
    """Of another maker, of an index that was changed, and none."""
    keygen(tmp_path / "another")
    publish(first, server, "--key", str(tmp_path / "another"))
    nothing_installed(store, install(command, server), "made by none of the 1 keys", EXIT_CONFIG)
    shutil.rmtree(server.root)
    publish(first, server, "--key", str(key))
    edit_index(server, percent=99)
    nothing_installed(store, install(command, server), "rollout.json was changed after signing", EXIT_CONFIG)
    (server.root / "rollout.json.sig").unlink()
    nothing_installed(store, install(command, server), "the index is not signed", EXIT_CONFIG)
    assert server.ranges == []


def test_a_wrong_hash_is_found_before_anything_is_unpacked(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    publish(first, server)
    archive = server.root / "tiny-1.tar"
    damaged = bytearray(archive.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    archive.write_bytes(damaged)
    nothing_installed(store, install(command, server), "its sha256 is ", EXIT_FAILURE)


def test_a_package_without_a_signature_inside_is_refused_however_it_came(
    first: Path, store: ModelStore, command: Command, server: FileServer, key: Path
) -> None:
    """The index is signed; the package in the archive is not."""
    publish(first, server)
    (server.root / "rollout.json.sig").write_bytes(read_private_key(key).sign((server.root / "rollout.json").read_bytes()))
    nothing_installed(store, install(command, server), "the package is not signed", EXIT_CONFIG)
    again = install(command, server)
    assert again.returncode == 0
    assert "release 1 was rejected here: the package is not signed" in again.stdout
    assert f"to try it again: youtu-edge model install {server.url}tiny-1.tar" in again.stdout
    assert len(server.ranges) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(length=10_000_000), "the server has 10000000 bytes, but the index says"),
        (Fault(length=1000), "the server has 1000 bytes, but the index says"),
        (Fault(headers={"Content-Length": "many"}), "does not say how large it is"),
        (Fault(headers={"Content-Encoding": "gzip"}), "compresses the file although"),
    ],
    ids=["more", "less", "no number", "compressed"],
)
def test_a_server_that_lies_about_the_length_is_believed_nothing(
    first: Path, store: ModelStore, command: Command, server: FileServer, fault: Fault, reason: str
) -> None:
    publish(first, server)
    server.faults = [fault]
    nothing_installed(store, install(command, server), reason, EXIT_FAILURE)


def test_an_archive_that_ends_before_its_size_in_the_index_is_refused(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    """The server says the size of the index, and sends less, again and again."""
    publish(first, server)
    archive = server.root / "tiny-1.tar"
    size = archive.stat().st_size
    archive.write_bytes(archive.read_bytes()[: size // 2])
    server.faults = [Fault(length=size)]
    nothing_installed(store, install(command, server), f"ends after {size // 2} bytes, too early", EXIT_FAILURE)


def test_a_redirect_is_followed_to_https_only(
    first: Path, store: ModelStore, command: Command, server: FileServer, tmp_path: Path
) -> None:
    """No byte is asked of a server without TLS."""
    publish(first, server)
    asked = []

    class Plain(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    plain = http.server.HTTPServer(("127.0.0.1", 0), Plain)
    thread = threading.Thread(target=plain.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        target = f"http://127.0.0.1:{plain.server_port}/tiny-1.tar"
        server.faults = [Fault(status=302, location=target)]
        nothing_installed(store, install(command, server), f"redirects to {target}, which is not https", EXIT_FAILURE)
    finally:
        plain.shutdown()
        thread.join()
        plain.server_close()
    assert asked == []
    server.faults = [Fault(status=302, location=f"{server.url}tiny-1.tar")]
    assert install(command, server).returncode == 0
    assert served(store) == checksum(first)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://files.test/", "models are fetched over https only"),
        ("ftp://files.test/m.tar", "models are fetched over https only"),
        ("https://", "write https://HOST/PATH"),
        ("https://me:secret@files.test/", "a password in a URL is seen by every user"),
    ],
)
def test_other_urls_are_refused(command: Command, url: str, reason: str) -> None:
    done = command("install", url)
    assert (done.returncode, len(done.stderr.splitlines())) == (EXIT_FAILURE, 1)
    assert reason in done.stderr
    assert "secret" not in done.stderr


def test_a_certificate_that_nobody_vouches_for_is_refused(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    publish(first, server)
    nothing_installed(store, command("install", server.url), "certificate is not trusted: self-signed", EXIT_FAILURE)


def test_a_full_disk_is_one_line_and_stays_usable(
    first: Path, store: ModelStore, command: Command, server: FileServer, tmp_path: Path
) -> None:
    """Too small for the archive, and for what is in it: 2 MiB are free besides the reserve of 64 MiB."""
    disk = tmp_path / "store"
    disk.mkdir()
    size = (66 << 20) + 4096
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk requires root")
    try:
        publish(first, server)
        archive = server.root / "tiny-1.tar"
        archive.write_bytes(archive.read_bytes() + bytes(3 << 20))
        edit_index(server, size=archive.stat().st_size)
        nothing_installed(store, install(command, server), "do not fit on the disk", EXIT_FAILURE)
        assert server.ranges == [None]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_archive_named_by_its_sha256_needs_no_index(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    publish(first, server)
    sha256 = json.loads((server.root / "rollout.json").read_text())["releases"][0]["sha256"]
    for path in server.root.glob("rollout.json*"):
        path.unlink()
    done = install(command, server, path="tiny-1.tar")
    nothing_installed(store, done, "or name an archive and --sha256", EXIT_FAILURE)
    assert install(command, server, "--sha256", sha256, path="tiny-1.tar").returncode == 0
    assert served(store) == checksum(first)


def test_an_index_that_says_another_release_than_the_package_is_refused(
    first: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    """Else the board would fetch it every night."""
    publish(first, server)
    edit_index(server, release=9)
    nothing_installed(store, install(command, server), "contains release 1 of tiny, but the index says", EXIT_CONFIG)
