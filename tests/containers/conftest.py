"""One image for all tests, and a model for it; made only if a test needs them."""

from __future__ import annotations

import contextlib
import fcntl
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.container import Container
from containers.image import Image, build, why_not
from made_once import made_once
from tiny_model import make_tiny_package
from wheelhouse import ROOT, make_wheelhouse


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """For this machine's processor; the processes of a run share it, and the last one removes its 240 MB."""
    if reason := why_not():
        pytest.skip(reason)
    users = made_once(tmp_path_factory, "image-users", Path.touch)
    with users.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        directory = made_once(tmp_path_factory, "image", lambda out: build(out, ready=ready_wheels(tmp_path_factory)))
        yield Image(directory)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory)


def ready_wheels(factory: pytest.TempPathFactory) -> dict[str, str]:
    """What other tests make too, by its place in the build stage: the same scripts find it there."""
    machine = platform.machine()
    made, ready = make_wheelhouse(machine), factory.mktemp("ready")
    shutil.copytree(made, ready / f"build/container/wheelhouse-{machine}")
    (wheel,) = (ROOT / "dist").glob(f"*_{machine}.whl")
    for name in (f"build/wheels/{machine}/.made-of", f"dist/{wheel.name}"):
        (ready / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, ready / name)
    return {str(ready / name): f"/source/{name}" for name in ("dist", "build")}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of packages that everybody may read, with a tiny one as `current`."""
    directory = tmp_path_factory.mktemp("models")
    directory.chmod(0o755)
    make_tiny_package(directory / "current", recipe="q4", context_length=8192)
    return directory


@pytest.fixture(scope="module")
def container(image: Image, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """As compose.yaml runs it, with 700 MB, ready."""
    with Container(image, tmp_path_factory.mktemp("container"), models, YOUTU_EDGE_MEMORY="700m") as one:
        one.wait_ready()
        yield one
