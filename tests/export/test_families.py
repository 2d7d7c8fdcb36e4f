"""The graph of every family against reference figures, and against the same model read from another file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from export.expanded_youtu import expanded_logits
from export.package_runner import PackageRunner
from export.small_families import CONFIGS, RANK, ROPE, random_tensors, write_checkpoint
from export.small_family_gguf import gguf_tensors, write_family_gguf
from reference_data import TINY_RANDOM, copy_tiny_random, tiny_random_figures
from score import log_softmax
from youtu_edge.config import ModelConfig
from youtu_edge.engine.model.rope_scaling import served_rope
from youtu_edge.package import open_package
from youtu_export.__main__ import main

YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}
PROMPT = [75, 104, 111, 111, 114, 35, 80, 90, 9, 40]


def _export(source: Path, out: Path, *options: str) -> Path:
    assert main(["gguf" if source.is_file() else "hf", str(source), str(out), "--recipe", "f32", *options]) == 0
    return out


@pytest.fixture(params=TINY_RANDOM)
def reference(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A random checkpoint with the tokenizer that they share, and its known logits."""
    return copy_tiny_random(request.param, tmp_path / "checkpoint"), tiny_random_figures(request.param)


def test_float_logits_and_greedy_tokens_are_those_of_the_reference(
    reference: tuple[Path, dict[str, Any]], tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Every logit of the last prompt token within 2e-4, and sixteen greedy tokens."""
    checkpoint, figures = reference
    runner = runner_of(_export(checkpoint, tmp_path / "package"))
    assert runner.computes(figures["prompts"])


def test_rounded_recipes_stay_close_to_the_reference(
    reference: tuple[Path, dict[str, Any]], tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """KL divergence from the reference in nats; random weights suffer more from four bits than trained ones do."""
    checkpoint, figures = reference
    for recipe, bound in (("q8", 0.02), ("q4", 1.0)):
        runner = runner_of(_export(checkpoint, tmp_path / recipe, "--recipe", recipe))
        for case in figures["prompts"]:
            ids = case["prompt_ids"]
            p = log_softmax(np.array(case["last_logits"], np.float32)[None])
            q = log_softmax(runner.logits(ids, 0, [len(ids) - 1]))
            assert (np.exp(p) * (p - q)).sum() < bound


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("recipe", ["f32", "q8"])
def test_a_gguf_computes_what_the_same_checkpoint_computes(
    family: str, recipe: str, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Other names, split or transposed matrices and derived sizes, the same logits."""
    config = CONFIGS[family]
    tensors = random_tensors(config)
    sources = (
        write_checkpoint(tmp_path / "hf", config, tensors),
        write_family_gguf(tmp_path / "gguf.gguf", config, tensors),
    )
    packages = [_export(source, tmp_path / f"p-{source.stem}", "--recipe", recipe) for source in sources]
    expected, found = (runner_of(package, 128).logits(PROMPT) for package in packages)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    manifests = [open_package(package).manifest for package in packages]
    assert manifests[0].rope == manifests[1].rope
    assert manifests[0].cache == manifests[1].cache


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
@pytest.mark.parametrize("family", CONFIGS)
def test_codes_of_a_gguf_are_kept_when_its_rows_move(
    family: str, kind: str, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Youtu's q_b is reordered and its k_b and v_b become eight bits; logits stay those of the dequantised file."""
    config = CONFIGS[family]
    tensors = random_tensors(config)
    matrices = (name for name, tensor in gguf_tensors(config, tensors).items() if tensor.ndim > 1)
    kinds = {name: kind for name in matrices if name.startswith("blk.")}
    source = write_family_gguf(tmp_path / "model.gguf", config, tensors, kinds)
    integer = runner_of(_export(source, tmp_path / "q4", "--recipe", "q4"), 128).logits(PROMPT)
    exact = runner_of(_export(source, tmp_path / "f32"), 128).logits(PROMPT)
    assert np.sqrt(np.mean((integer - exact) ** 2)) < 0.06 * exact.std()


@pytest.mark.parametrize("family", CONFIGS)
def test_a_prompt_in_pieces_gives_the_logits_of_the_whole(
    family: str, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Positions, cache rows and chosen rows are the same when the past comes from the cache."""
    runner = runner_of(
        _export(write_checkpoint(tmp_path / "hf", CONFIGS[family], random_tensors(CONFIGS[family])), tmp_path / "p"), 128
    )
    whole = runner.logits(PROMPT)
    np.testing.assert_allclose(runner.logits(PROMPT, 0, [9, 2]), whole[[9, 2]], atol=1e-4)
    assert runner.logits(PROMPT[:4], 0, []).shape == (0, whole.shape[1])
    np.testing.assert_allclose(runner.logits(PROMPT[4:], 4), whole[4:], atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention_bias": True},
        {"rope_interleave": False},
        {"q_lora_rank": None, "attention_bias": True},
        {"tie_word_embeddings": False},
        {"rms_norm_eps": 0.1},
        {
            "model_type": "youtu_llm",
            "rope_parameters": None,
            "rope_theta": 1600000,
            "rope_scaling": {
                "type": "yarn",
                "factor": 1.0,
                "original_max_position_embeddings": 4096,
                "mscale_all_dim": 0,
            },
        },
        {"rope_parameters": None, "rope_theta": 100.0, "rope_scaling": YARN},
        {"rope_parameters": None, "rope_theta": 100.0, "rope_scaling": YARN | {"mscale": 1.0, "mscale_all_dim": 0.7}},
    ],
    ids=lambda changes: (
        "-".join([*changes, *(["mscale"] if "mscale" in changes.get("rope_scaling", {}) else [])]) or "plain"
    ),
)
def test_absorbed_attention_is_the_expanded_one(
    changes: dict[str, Any], tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Every switch of Youtu's configuration, against the model as it is written down."""
    config = CONFIGS["youtu"] | changes
    tensors = random_tensors(config)
    package = _export(write_checkpoint(tmp_path / "hf", config, tensors), tmp_path / "p")
    np.testing.assert_allclose(runner_of(package, 128).logits(PROMPT), expanded_logits(config, tensors, PROMPT), atol=2e-4)


@pytest.mark.parametrize("step", [40, 7, 1])
def test_what_lies_before_all_windows_changes_nothing(step: int, tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """Two layers that see nine tokens each reach 16 tokens back, whether keys are of this step or in the cache."""
    package = _export(copy_tiny_random("mistral", tmp_path / "checkpoint"), tmp_path / "p")
    found = []
    for first in (100, 200):
        ids, runner = [first, *range(300, 339)], runner_of(package)
        pieces = [runner.logits(ids[begin : begin + step], begin) for begin in range(0, len(ids), step)]
        found.append(np.concatenate(pieces))
    differences = np.abs(found[0] - found[1]).max(axis=1)
    assert (differences[:17] > 0).all()
    assert (differences[17:] == 0).all()


def test_longer_contexts_use_the_long_rope(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """Configured for more tokens than the short factors are for, a Phi-4-mini computes what transformers does there."""
    package = _export(copy_tiny_random("phi-4-mini", tmp_path / "checkpoint"), tmp_path / "p")
    manifest = open_package(package).manifest
    assert manifest.context_length == 64
    rope, context = served_rope(manifest, msgspec.structs.replace(ModelConfig(), context_length=512))
    assert context == 512
    case = tiny_random_figures("phi-4-mini")["long"]
    last = runner_of(package, context, rope).logits(case["prompt_ids"], 0, [len(case["prompt_ids"]) - 1])[0]
    np.testing.assert_allclose(last, case["last_logits"], atol=2e-4, rtol=0)


def test_layers_without_rope_are_every_fourth_unless_listed(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """The list decides; without list and interval it is the fourth of five."""
    config = CONFIGS["smollm3"]
    changes: list[dict[str, Any]] = [
        {},
        {"no_rope_layers": None, "no_rope_layer_interval": None, "tie_word_embeddings": None},
        {"no_rope_layers": [1] * 5},
    ]
    logits = []
    for index, change in enumerate(changes):
        checkpoint = write_checkpoint(tmp_path / f"{index}", config | change, random_tensors(config))
        logits.append(runner_of(_export(checkpoint, tmp_path / f"p{index}"), 128).logits(PROMPT))
    np.testing.assert_array_equal(logits[0], logits[1])
    assert np.abs(logits[0] - logits[2]).max() > 1e-2


def test_youtu_caches_one_latent_row_per_token(tmp_path: Path) -> None:
    """All heads share [c | k_rope]; only the rotated part has frequencies."""
    config = CONFIGS["youtu"]
    manifest = open_package(
        _export(write_checkpoint(tmp_path / "hf", config, random_tensors(config)), tmp_path / "p")
    ).manifest
    cache = manifest.cache
    assert (cache.layout, cache.kv_heads, cache.width, cache.dtype) == ("LATENT", 1, RANK + ROPE, "float32")
    assert cache.input_names == ["kv.0", "kv.1"]
    assert len(manifest.rope.inverse_frequencies) == ROPE // 2


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("recipe", ["f32", "q8"])
def test_a_package_is_reproducible_when_its_graph_has_only_exact_operators(
    family: str, recipe: str, tmp_path: Path
) -> None:
    """Float products and layer norms are added up in an order that depends on the processor."""
    config = CONFIGS[family]
    checkpoint = write_checkpoint(tmp_path / "hf", config, random_tensors(config))
    manifest = open_package(_export(checkpoint, tmp_path / "p", "--recipe", recipe)).manifest
    assert manifest.reproducible == (recipe == "q8" and family != "phi")


def test_chatglm_answers_end_where_the_next_turn_begins(tmp_path: Path) -> None:
    """Its configuration names only eos; <|user|> and <|observation|> end an answer too, if the tokenizer has them."""
    config = CONFIGS["chatglm"]
    checkpoint = write_checkpoint(tmp_path / "hf", config, random_tensors(config))
    assert open_package(_export(checkpoint, tmp_path / "plain")).manifest.eos_token_ids == [2]
    text = (checkpoint / "tokenizer.json").read_text().replace("<|im_start|>", "<|user|>")
    (checkpoint / "tokenizer.json").write_text(text)
    assert open_package(_export(checkpoint, tmp_path / "turns")).manifest.eos_token_ids == [2, 1]
