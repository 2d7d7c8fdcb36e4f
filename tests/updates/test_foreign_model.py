"""Files mistaken for a model package, and the command that the error suggests."""

from __future__ import annotations

import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from updates_support import Command
from youtu_edge.errors import EXIT_CONFIG, EXIT_FAILURE, PackageError
from youtu_edge.package import open_package


def _gguf(path: Path) -> Path:
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(100))
    return path


def _safetensors(path: Path) -> Path:
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    return path


def _huggingface(path: Path) -> Path:
    path.mkdir()
    (path / "config.json").write_text("{}")
    _safetensors(path / "model.safetensors")
    return path


def _gguf_directory(path: Path) -> Path:
    path.mkdir()
    _gguf(path / "a model.gguf")
    return path


def _zip(path: Path) -> Path:
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    return path


def _tar(path: Path) -> Path:
    with tarfile.open(path, "w:gz"):
        pass
    return path


def _store(path: Path) -> Path:
    (path / "current").mkdir(parents=True)
    (path / "current" / "manifest.json").write_text("{}")
    return path


def _empty(path: Path) -> Path:
    path.mkdir()
    return path


def _dangling(path: Path) -> Path:
    path.symlink_to("versions/gone")
    return path


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _bytes(path: Path) -> Path:
    path.write_bytes(b"\x08\x07")
    return path


def _loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


KINDS = {
    "model.gguf": (
        _gguf,
        "a GGUF file, not a model package; make one from it: youtu-export gguf {path} OUT, then youtu-edge",
    ),
    "x.safetensors": (
        _safetensors,
        "weights, not a model package; make one from the whole checkpoint: youtu-export hf {parent}",
    ),
    "pytorch_model.bin": (
        _zip,
        "weights, not a model package; make one from the whole checkpoint: youtu-export hf {parent} OUT",
    ),
    "hf": (
        _huggingface,
        "no manifest.json: not a model package; make one from the Hugging Face checkpoint: youtu-export hf {path}",
    ),
    "ggufs": (
        _gguf_directory,
        "no manifest.json: not a model package; make one from the GGUF file: youtu-export gguf '{path}/a mo",
    ),
    "model.zip": (_zip, "a zip archive, not a model package; unpack it and give its directory"),
    "model.onnx": (_bytes, "an ONNX graph, not a model package; give the directory that"),
    "model.tar.gz": (_tar, "an archive, not the directory of a model package; install it: youtu-edge model install {path}"),
    "notes.txt": (_bytes, "a file, not the directory of a model package"),
    "models": (_store, "no manifest.json: not a model package; give the one inside it: {path}/current"),
    "empty": (
        _empty,
        "no manifest.json: not a model package; the directory is empty; install one: ",
    ),
    "nothing": (Path, "no such directory; install a model (youtu-edge model install FILE|DIR), or correct model.path"),
    "current": (_dangling, "a link to versions/gone, which does not exist; `youtu-edge model list` shows what does"),
    "loop": (_loop, "cannot be read: Too many levels of symbolic links"),
    "fifo": (_fifo, "a FIFO, not the directory of a model package"),
}
"""By name: how to make it, and the beginning of what is said of it."""


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_package_is_named_for_what_it_is(tmp_path: Path, name: str) -> None:
    make, said = KINDS[name]
    path = make(tmp_path / name)
    with pytest.raises(PackageError) as caught:
        open_package(path)
    expected = f"{path}: {said.format(path=path, parent=tmp_path)}"
    assert caught.value.message.startswith(expected)
    assert "\n" not in caught.value.message


@pytest.fixture
def special_files(tmp_path: Path) -> Iterator[dict[Path, str]]:
    """A FIFO, a socket and devices, with the words for them."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        yield {
            tmp_path / "fifo": "a FIFO",
            tmp_path / "socket": "a socket",
            Path("/dev/zero"): "a device",
            Path("/dev/null"): "a device",
        }


def test_a_source_that_is_no_plain_file_is_refused_and_never_waited_for(
    special_files: dict[Path, str], command: Command
) -> None:
    for path, kind in special_files.items():
        done = command("install", str(path))
        assert (done.returncode, done.stderr) == (EXIT_FAILURE, f"youtu-edge: {path}: it is {kind}, not a regular file\n")


@pytest.mark.parametrize(
    "name", ["model.gguf", "x.safetensors", "pytorch_model.bin", "hf", "ggufs", "model.zip", "empty", "models"]
)
def test_a_source_that_is_no_package_says_what_to_run(tmp_path: Path, command: Command, name: str) -> None:
    make, said = KINDS[name]
    path = make(tmp_path / name)
    done = command("install", str(path))
    assert done.returncode == EXIT_CONFIG
    assert done.stderr.startswith(f"youtu-edge: {path}: {said.format(path=path, parent=tmp_path)}")
    assert len(done.stderr.splitlines()) == 1


def test_a_package_with_a_fifo_in_it_is_refused_and_never_waited_for(tmp_path: Path, first: Path, command: Command) -> None:
    for name in ("manifest.json", "tokenizer.json", "manifest.json.sig"):
        package = tmp_path / f"with-{name}"
        subprocess.run(["cp", "-r", first, package], check=True)
        (package / name).unlink(missing_ok=True)
        os.mkfifo(package / name)
        done = command("install", str(package))
        assert done.returncode in (EXIT_CONFIG, EXIT_FAILURE)
        assert f"{package / name}: " in done.stderr
        assert "it is a FIFO, not a regular file" in done.stderr
        if name != "manifest.json.sig":
            with pytest.raises(PackageError, match="FIFO"):
                open_package(package)


def test_a_file_at_model_path_is_never_replaced_by_an_installation(tmp_path: Path, first: Path, command: Command) -> None:
    """`model.path` names the link that an installation renames its own over: a GGUF file there would be lost."""
    (tmp_path / "store").mkdir()
    gguf = _gguf(tmp_path / "store" / "current")
    before = gguf.read_bytes()
    done = command("install", str(first))
    assert done.returncode == EXIT_FAILURE
    assert done.stderr.startswith(f"youtu-edge: model.path: {gguf}: a GGUF file, not a model package; make one from it: ")
    assert gguf.read_bytes() == before
