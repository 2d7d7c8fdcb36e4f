"""The forms in which Gemma 3 is published: older and newer keys, inside of a checkpoint with images, as GGUF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from export.package_runner import PackageRunner
from export.small_families import CONFIGS, Tensors, random_tensors, write_checkpoint
from youtu_edge.package import open_package
from youtu_export.__main__ import main
from youtu_export.checkpoints.gguf_architectures import ARCHITECTURES

CONFIG = CONFIGS["gemma3"]
LINEAR = CONFIG["rope_scaling"]
PROMPT = list(range(30, 54))
"""More tokens than a window has."""


def _export(root: Path, config: dict[str, Any], tensors: Tensors) -> Path:
    checkpoint = write_checkpoint(root / "checkpoint", config, tensors)
    assert main(["hf", str(checkpoint), str(root / "package"), "--recipe", "f32"]) == 0
    return root / "package"


@pytest.fixture
def logits(tmp_path: Path, runner_of: type[PackageRunner]) -> npt.NDArray[np.float32]:
    """Of the small checkpoint as it is."""
    (tmp_path / "plain").mkdir()
    return runner_of(_export(tmp_path / "plain", CONFIG, random_tensors(CONFIG)), 128).logits(PROMPT)


@pytest.mark.parametrize(
    "changes",
    [
        {"sliding_window_pattern": None, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"]},
        {
            "rope_theta": None, "rope_local_base_freq": None, "rope_scaling": None,
            "rope_parameters": {
                "full_attention": LINEAR | {"rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
        {"rope_theta": None, "rope_local_base_freq": None, "tie_word_embeddings": True, "hidden_activation": None},
    ],
    ids=["layer types", "rope parameters", "defaults"],
)  # fmt: skip
def test_keys_of_all_releases_say_the_same(
    changes: dict[str, Any], logits: npt.NDArray[np.float32], tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    package = _export(tmp_path, CONFIG | changes, random_tensors(CONFIG))
    np.testing.assert_array_equal(runner_of(package, 128).logits(PROMPT), logits)


@pytest.mark.parametrize("window", [6, 8])
def test_a_window_counts_the_token_itself(
    window: int, logits: npt.NDArray[np.float32], tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """As many tokens as the shorter window has see the same; the next one does not."""
    package = _export(tmp_path, CONFIG | {"sliding_window": window}, random_tensors(CONFIG))
    same = (runner_of(package, 128).logits(PROMPT) == logits).all(axis=1)
    alike = min(window, CONFIG["sliding_window"])
    assert same[:alike].all()
    assert not same[alike:].any()


def test_layers_without_a_listed_kind_attend_to_everything_every_sixth(tmp_path: Path) -> None:
    """The frequencies of a local layer are not scaled, those of the sixth are."""
    config = CONFIG | {"num_hidden_layers": 6, "sliding_window_pattern": None}
    package = open_package(_export(tmp_path, config, random_tensors(config)))
    manifest = package.manifest
    assert manifest.local_rope is not None
    assert manifest.rope.inverse_frequencies[0] == 1 / LINEAR["factor"]
    assert manifest.local_rope.inverse_frequencies[0] == 1
    graph = package.path("model.onnx").read_bytes()
    assert graph.count(b"local_cos_cache") == 5 + 1  # and the input itself


@pytest.mark.parametrize("prefixes", [("language_model.model.", "language_model."), ("model.language_model.", "")])
def test_of_a_checkpoint_with_images_the_text_model_is_taken(
    prefixes: tuple[str, str], logits: npt.NDArray[np.float32], tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Under the names of both releases; the tower that sees is left out."""
    inner, outer = prefixes
    tensors = {
        inner + name.removeprefix("model.") if name.startswith("model.") else outer + name: tensor
        for name, tensor in random_tensors(CONFIG).items()
    }
    seen = "model." if inner.startswith("model.") else ""
    tensors[f"{seen}vision_tower.vision_model.post_layernorm.weight"] = np.ones(8, np.float32)
    tensors[f"{seen}multi_modal_projector.mm_input_projection_weight"] = np.ones((8, 8), np.float32)
    config = {"model_type": "gemma3", "eos_token_id": 2, "text_config": CONFIG, "vision_config": {"hidden_size": 8}}
    package = _export(tmp_path, config, tensors)
    np.testing.assert_array_equal(runner_of(package, 128).logits(PROMPT), logits)
    assert open_package(package).manifest.eos_token_ids == [2]


@pytest.mark.parametrize(("layers", "scalar"), [(26, 256), (62, 5376 / 32)])
def test_a_gguf_scales_scores_as_the_size_of_the_model_does(layers: int, scalar: float) -> None:
    """The largest one divides them by the square root of hidden / heads, the others by that of a head's width."""
    config: dict[str, Any] = {
        "num_hidden_layers": layers, "hidden_size": 5376, "num_attention_heads": 32, "head_dim": 256,
    }  # fmt: skip
    ARCHITECTURES["gemma3"].derive({"attention.value_length": 256}, config)
    assert config["query_pre_attn_scalar"] == scalar
