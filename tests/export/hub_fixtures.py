"""A model on a local hub, and an environment in which no other hub is reachable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from export.changed_files import INDEX, split, tiny_checkpoint
from export.hub_server import COMMIT, MODEL, HubServer, files_of, running

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
NEEDED = {
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    INDEX,
    FIRST,
    SECOND,
    "additional_chat_templates/rag.jinja",
    "chat_template.jinja",
}
NOT_NEEDED = (
    "README.md",
    ".gitattributes",
    "pytorch_model.bin",
    "onnx/model.onnx",
    "onnx/config.json",
    "original/consolidated.00.pth",
    "model.safetensors",  # a copy of what is in the shards
    "additional_chat_templates/deeper/other.jinja",
)


def sharded_checkpoint(directory: Path) -> Path:
    """A small checkpoint in two files with everything that a directory may have besides the weights."""
    source = tiny_checkpoint(directory)
    split(source, FIRST, SECOND)
    template = json.loads((source / "tokenizer_config.json").read_text())["chat_template"]
    (source / "chat_template.jinja").write_text(template)
    (source / "additional_chat_templates").mkdir()
    (source / "additional_chat_templates" / "rag.jinja").write_text(template)
    (source / "generation_config.json").write_text('{"temperature": 0.25}')
    assert set(files_of(source)) == NEEDED
    return source


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "original").mkdir()
    return sharded_checkpoint(tmp_path / "original")


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The checkpoint and unneeded files on a hub, which also receives, as proxy, every request to the outside."""
    files = files_of(checkpoint) | dict.fromkeys(NOT_NEEDED, b"not needed")
    with running(HubServer(files)) as server:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.address)
        for name in (
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "MODELSCOPE_API_TOKEN",
            "HF_HUB_OFFLINE",
            "ALL_PROXY",
            "all_proxy",
        ):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, server.address)
            monkeypatch.setenv(name.lower(), server.address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()
        left = [one.target for one in server.requests if not one.target.startswith("/")]
        assert not left, f"requests to other machines: {left}"


def cache_directory(tmp_path: Path, hub: str = "huggingface") -> Path:
    """Where the files of the model's commit are."""
    return tmp_path / "cache" / "youtu-edge" / "hub" / hub / MODEL.replace("/", "--") / COMMIT
