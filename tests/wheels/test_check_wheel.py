"""The check that a library loads everywhere, on libraries that do not."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wheelhouse import ROOT

CHECK = ROOT / "scripts/wheel/check_wheel.py"
VIEW = ROOT / "scripts/wheel/glibc_view.py"
TAG = f"py3-none-manylinux_2_28_{platform.machine()}"
ANSWER = 'extern "C" __attribute__((visibility("default"))) int youtu_edge_ops_answer() { return 42; }\n'
ALONE = ("-static-libgcc", "-static-libstdc++", "-Wl,--exclude-libs,ALL", "-fvisibility=hidden")
THREADS = """
#include <stdexcept>
#include <string>
#include <thread>
extern "C" __attribute__((visibility("default"))) int youtu_edge_ops_answer() {
  int answer = 0;
  std::thread worker([&] {
    try {
      throw std::runtime_error(std::string(42, 'x'));  // unwound by the compiler's own library, inside ours
    } catch (const std::exception& error) {
      answer = static_cast<int>(std::string(error.what()).size());
    }
  });
  worker.join();
  return answer;
}
"""

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not installed")


def build(directory: Path, source: str, *options: str) -> Path:
    """A shared library of this machine."""
    path = directory / "library.so"
    command = ["g++", "-shared", "-fPIC", "-O1", "-x", "c++", "-", "-o", str(path), *options]
    subprocess.run(command, input=source, text=True, check=True)
    return path


def checked(
    directory: Path, library: Path, tag: str = TAG, inside: str = "youtu_edge/ops/libyoutu_edge_ops.so", *also: str
) -> subprocess.CompletedProcess[str]:
    """The check of a wheel with this library, and with empty files besides."""
    wheel = directory / f"youtu_edge-0.1-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(library, inside)
        archive.writestr("youtu_edge-0.1.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {TAG}\n")
        for name in also:
            archive.writestr(name, "")
    done = subprocess.run([sys.executable, CHECK, wheel], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if done.stderr else 0)
    return done


def check(directory: Path, library: Path, tag: str = TAG, inside: str = "youtu_edge/ops/libyoutu_edge_ops.so") -> str:
    """The problems of a wheel with this library; empty if it passes."""
    return checked(directory, library, tag, inside).stderr


def test_a_library_of_ours_alone_passes(tmp_path: Path) -> None:
    assert check(tmp_path, build(tmp_path, ANSWER, "-nostdlib")) == ""


def test_a_wheel_that_was_built_without_npm_passes_and_is_told(tmp_path: Path) -> None:
    """Its page lacks what the libraries do."""
    library = build(tmp_path, ANSWER, "-nostdlib")
    assert "built without npm: the page shows code and formulas as plain text" in checked(tmp_path, library).stdout
    inside = "youtu_edge/ops/libyoutu_edge_ops.so"
    assert checked(tmp_path, library, TAG, inside, "youtu_edge/front/libraries/temml.js").stdout == ""


def test_a_symbol_newer_than_the_wheels_glibc_is_named(tmp_path: Path) -> None:
    """Threads on a system of today: pthread_create is part of the C library since 2.34."""
    if tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 34):
        pytest.skip("this machine's glibc is older than 2.34")
    said = check(tmp_path, build(tmp_path, THREADS, *ALONE))
    assert "needs pthread_create@GLIBC_2.34, newer than glibc 2.28" in said


def test_a_library_of_somebody_else_is_named(tmp_path: Path) -> None:
    said = check(tmp_path, build(tmp_path, THREADS, "-fvisibility=hidden"))
    assert "needs libstdc++.so.6, which may be missing; link it statically" in said


def test_a_symbol_that_others_would_find_is_named(tmp_path: Path) -> None:
    """An operator new of ours, and the libraries of the process mix up theirs."""
    foreign = "#include <cstdlib>\nvoid* operator new(unsigned long size) { return std::malloc(size); }\n"
    assert "exports _Znwm, which is not ours" in check(tmp_path, build(tmp_path, foreign + ANSWER))


def test_what_the_name_says_and_the_wheel_is_not_is_named(tmp_path: Path) -> None:
    library = build(tmp_path, ANSWER, "-nostdlib")
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[platform.machine()]
    said = check(tmp_path, library, f"py3-none-manylinux_2_28_{other}")
    assert f"is for {platform.machine()}, not for {other}" in said
    assert f"has the tag {TAG}, not py3-none-manylinux_2_28_{other}" in said
    assert "is not named youtu_edge-VERSION-py3-none-manylinux" in check(tmp_path, library, "cp312-cp312-linux_x86_64")
    assert "has the libraries x.so.1 instead of" in check(tmp_path, library, inside="x.so.1")
    library.write_text("no library")
    assert "cannot be read" in check(tmp_path, library)


def test_an_old_glibc_is_linked_with_on_a_new_one(tmp_path: Path) -> None:
    """The same threads and exceptions, linked with a view of 2.28: the library passes, loads and works."""
    view = tmp_path / "view"
    subprocess.run([sys.executable, VIEW, "g++", "2.28", view], check=True)
    exports = f"-Wl,--version-script={ROOT / 'scripts/wheel/exports.map'}"
    library = build(tmp_path, THREADS, f"-L{view}", exports, "-Wl,--no-undefined", *ALONE)
    assert check(tmp_path, library) == ""
    assert ctypes.CDLL(str(library)).youtu_edge_ops_answer() == 42


def test_what_the_old_glibc_did_not_have_cannot_be_linked(tmp_path: Path) -> None:
    """It is reported when the wheel is built, not on a user's board."""
    view = tmp_path / "view"
    subprocess.run([sys.executable, VIEW, "g++", "2.24", view], check=True)
    source = "#include <unistd.h>\n" + ANSWER.replace("return 42", "char c; return getentropy(&c, 1)")
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", tmp_path / "x.so", f"-L{view}", "-Wl,--no-undefined"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "undefined reference to `getentropy'" in done.stderr
