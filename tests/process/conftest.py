"""Fixtures of the tests that run real processes: packages and daemons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import Daemon
from process.doctors import settings_of
from process.openai_models import Model, serve
from process.sentence_piece_models import make_chatglm, make_gguf_llama, make_tinyllama
from smollm2 import export_smollm2
from youtu_export.__main__ import main as youtu_export


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of random weights in 4 bits, with a byte-level tokenizer and a context of 512 tokens."""
    from tiny_model import make_tiny_package

    return make_tiny_package(tmp_path_factory.mktemp("tiny") / "package", recipe="q4", context_length=512)


@pytest.fixture
def settings(tiny_package: Path, tmp_path: Path) -> dict[str, object]:
    """Of a healthy installation of the tiny model, for the doctor."""
    return settings_of(tiny_package, tmp_path)


@pytest.fixture
def daemon(tiny_package: Path, tmp_path: Path) -> Iterator[Daemon]:
    """A ready daemon that serves the tiny model."""
    with Daemon(tiny_package, tmp_path) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="session")
def smollm2_f32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M dequantised to float32."""
    return export_smollm2("f32", tmp_path_factory)


@pytest.fixture(scope="session")
def youtu_nano(nano_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained model of the Youtu family, in 4 bits: it thinks, and its template knows tools."""
    out = tmp_path_factory.mktemp("nano") / "package"
    assert youtu_export(["hf", str(nano_checkpoint), str(out), "--recipe", "q4"]) == 0
    return out


@pytest.fixture(scope="session")
def smollm2_model(smollm2_q4: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """SmolLM2 behind a daemon: no thoughts, a template without tools."""
    with serve("smollm2", smollm2_q4, tmp_path_factory.mktemp("smollm2-daemon")) as model:
        yield model


@pytest.fixture(scope="session")
def nano_model(youtu_nano: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """youtu-nano behind a daemon."""
    with serve("youtu-nano", youtu_nano, tmp_path_factory.mktemp("nano-daemon")) as model:
        yield model


@pytest.fixture(scope="session")
def tinyllama_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A llama with the tokenizer of TinyLlama's kind behind a daemon; random weights, as the next two."""
    directory = tmp_path_factory.mktemp("tinyllama")
    with serve("tinyllama", make_tinyllama(directory), directory) as model:
        yield model


@pytest.fixture(scope="session")
def chatglm_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """ChatGLM's layers with a unigram tokenizer behind a daemon."""
    directory = tmp_path_factory.mktemp("chatglm")
    with serve("chatglm", make_chatglm(directory), directory) as model:
        yield model


@pytest.fixture(scope="session")
def gguf_llama_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A GGUF llama that writes no space before the first word behind a daemon."""
    directory = tmp_path_factory.mktemp("gguf-llama")
    with serve("gguf-llama", make_gguf_llama(directory), directory) as model:
        yield model


@pytest.fixture(params=["smollm2_model", "tinyllama_model", "chatglm_model", "gguf_llama_model"])
def plain_model(request: pytest.FixtureRequest) -> Model:
    """Those that never think."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(params=["smollm2_model", "nano_model", "tinyllama_model", "chatglm_model", "gguf_llama_model"])
def model(request: pytest.FixtureRequest) -> Model:
    """All of them, one after the other."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]
