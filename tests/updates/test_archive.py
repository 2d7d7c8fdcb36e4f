"""Archives brought to the device: what is extracted from them, and what is rejected by name."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from youtu_edge.errors import PackageError, UpdateError, YoutuEdgeError
from youtu_edge.package import PLAIN_NAME
from youtu_edge.updates.archive import unpack

LIMIT = 1 << 30


def archive(path: Path, *members: tuple[tarfile.TarInfo | str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(data) if info.isreg() else info.size
            tar.addfile(info, io.BytesIO(data))
    return path


def typed(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.mark.parametrize("prefix", ["", "./", "model/", "./model/"])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_of_a_package_is_unpacked_whatever_its_directory_is_called(
    tmp_path: Path, target: Path, prefix: str, mode: str
) -> None:
    members = [(f"{prefix}manifest.json", b"{}"), (f"{prefix}weights.bin", bytes(100_000))]
    unpack(archive(tmp_path / "a.tar", *members, mode=mode), target, LIMIT)
    assert files(target) == {"manifest.json": b"{}", "weights.bin": bytes(100_000)}


@pytest.mark.parametrize("options", [[], ["--format=gnu"], ["--format=pax"], ["--gzip"], ["--zstd"]])
def test_what_the_program_tar_makes_is_unpacked(first: Path, tmp_path: Path, target: Path, options: list[str]) -> None:
    """In each of its formats, with the directory itself as a member."""
    if "--zstd" in options and not shutil.which("zstd"):
        pytest.skip("the program zstd is not installed")
    subprocess.run(["tar", "-c", *options, "-f", tmp_path / "a.tar", "-C", first, "."], check=True)
    unpack(tmp_path / "a.tar", target, LIMIT)
    assert files(target) == files(first)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("../manifest.json", "not a path of a package"),
        ("a/../../b", "not a path of a package"),
        ("/etc/cron.d/x", "not a path of a package"),
        ("model/deeper/model.onnx", "not a path of a package"),
        (".hidden", "regular files only"),
        ("a\nb", "regular files only"),
        (typed("link", tarfile.SYMTYPE, "/etc/passwd"), "regular files only"),
        (typed("link", tarfile.LNKTYPE, "manifest.json"), "regular files only"),
        (typed("null", tarfile.CHRTYPE), "regular files only"),
        (typed("disk", tarfile.BLKTYPE), "regular files only"),
        (typed("pipe", tarfile.FIFOTYPE), "regular files only"),
        (typed("a/b/c", tarfile.DIRTYPE), "not a path of a package"),
    ],
)
def test_a_member_that_no_package_has_is_refused_by_name(
    tmp_path: Path, target: Path, member: tarfile.TarInfo | str, reason: str
) -> None:
    with pytest.raises(PackageError, match=reason):
        unpack(archive(tmp_path / "a.tar", ("manifest.json", b"{}"), (member, b"")), target, LIMIT)
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "target"}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("a", b""), ("a", b"")], "occurs twice"),
        ([("x/a", b""), ("y/a", b"")], "more than one package"),
        ([(f"f{number}", b"") for number in range(65)], "more than 64 files"),
    ],
)
def test_a_set_of_members_that_is_no_package_is_refused(
    tmp_path: Path, target: Path, members: list[tuple[str, bytes]], reason: str
) -> None:
    with pytest.raises(PackageError, match=reason):
        unpack(archive(tmp_path / "a.tar", *members), target, LIMIT)


def test_an_extended_header_of_any_size_is_not_read_into_memory(tmp_path: Path, target: Path) -> None:
    """A pax header may claim gigabytes; compressed it costs the sender nothing."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 4 << 30
    (tmp_path / "a.tar").write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20)))
    with pytest.raises(PackageError, match="extended header has 4294967296 bytes"):
        unpack(tmp_path / "a.tar", target, LIMIT)


def test_a_compressed_file_cannot_fill_the_disk(tmp_path: Path, target: Path) -> None:
    """100 MB of zeros are 100 kB of gzip; only what fits is written."""
    bomb = archive(tmp_path / "a.tar.gz", ("weights.bin", bytes(100_000_000)), mode="w:gz")
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(UpdateError, match="prune"):
        unpack(bomb, target, 1_000_000)
    assert sum(path.stat().st_size for path in target.iterdir()) <= 1_000_000


def test_a_source_that_is_larger_than_the_disk_is_refused_before_anything_is_written(
    first: Path, tmp_path: Path, target: Path
) -> None:
    for source in (first, archive(tmp_path / "a.tar", ("weights.bin", bytes(1000)))):
        with pytest.raises(UpdateError, match="do not fit"):
            unpack(source, target, 900)
    assert not files(target)


def test_a_link_in_a_directory_is_not_followed(first: Path, tmp_path: Path, target: Path) -> None:
    shutil.copytree(first, tmp_path / "copy")
    (tmp_path / "copy/weights.bin").unlink()
    (tmp_path / "copy/weights.bin").symlink_to(first / "weights.bin")
    with pytest.raises(UpdateError, match=r"weights\.bin"):
        unpack(tmp_path / "copy", target, LIMIT)


@pytest.fixture(scope="module")
def whole(first: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The package as archives of each kind, in bytes."""
    directory = tmp_path_factory.mktemp("archives")
    kinds: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress}
    subprocess.run(["tar", "-cf", directory / "a.tar", "-C", first, "."], check=True)
    return {name: pack((directory / "a.tar").read_bytes()) for name, pack in kinds.items()}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_is_an_error_of_ours_or_is_found_by_the_checksums(
    whole: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    """Cut anywhere or with any byte changed: no other exception, no file outside, no wrong file that looks right."""
    source = bytearray(whole[data.draw(st.sampled_from(sorted(whole)))])
    if data.draw(st.booleans()):
        del source[data.draw(st.integers(0, len(source) - 1)) :]
    else:
        # The first kilobytes are headers; elsewhere a changed byte is nearly always contents.
        source[data.draw(st.integers(0, min(4096, len(source) - 1)))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "a.tar").write_bytes(source)
    target = tmp_path / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    try:
        unpack(tmp_path / "a.tar", target, LIMIT)
    except YoutuEdgeError:
        pass
    else:
        assert all(PLAIN_NAME.fullmatch(name) for name in files(target))
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "target"}
