"""Random weights for every config.json of tiny-random/, and the logits that transformers computes from them.

    python tests/data/make_tiny_random.py                     # writes model.safetensors and reference.json again
    python tests/data/make_tiny_random.py qwen3-tied          # only of this one
    python tests/data/make_tiny_random.py --compare DIR       # DIR's reference.json against transformers; writes nothing

Needs torch, transformers and safetensors: pip install 'youtu-edge[verify,export]'. Another version of torch may draw other
weights, so weights and references are only written together.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GlmConfig, PreTrainedModel

ROOT = Path(__file__).parent / "tiny-random"
PROMPTS = (
    "<|begin_of_text|><|User|>What is 3+4?<|Assistant|>",
    "The quick brown fox jumps over 13 lazy dogs. 你好，世界。",
)
TEXT = Path(__file__).with_name("eval_en.txt")
TEXT_CHARACTERS, PARTS, PART_TOKENS = 4096, 3, 256
GREEDY_TOKENS = 16
LEAST_MARGIN = 0.045
"""Between the best two logits of every greedy step: far above the rounding of float32, whatever the order of sums."""
NOTE = (
    "float32 forward of transformers (torch on a CPU, eager attention) from the bfloat16 weights; last_logits = logits of "
    "the last token of the prompt; greedy16 = 16 argmax steps that no end token stops, each over the whole sequence; "
    "greedy_min_margin = the least difference of the best two logits in all these steps; "
    "long = the last logits of more tokens than the short factors are for; "
    "text = mean negative log-likelihood in nats over parts of eval_en.txt, the first token of each not scored"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="directories of tiny-random (default: all)")
    parser.add_argument("--compare", type=Path, metavar="DIR", help="a directory like tiny-random, with its tokenizer")
    options = parser.parse_args()
    root = options.compare
    torch.set_grad_enabled(False)
    for path in sorted((root or ROOT).glob("*/config.json")):
        if options.names and path.parent.name not in options.names:
            continue
        config = json.loads(path.read_text())
        print(f"{path.parent.name}: {compare(path.parent, config) if root else write(path.parent, config)}")


def tokenizer(root: Path) -> Any:
    """The one that all of them share."""
    return AutoTokenizer.from_pretrained(root / "tokenizer")


def compare(directory: Path, config: dict[str, Any]) -> str:
    """The references of a checkpoint against transformers, in words."""
    found = references(make_model(config, load_file(directory / "model.safetensors")), tokenizer(directory.parent))
    return difference(found, json.loads((directory / "reference.json").read_text()))


def write(directory: Path, config: dict[str, Any]) -> str:
    """Weights and references of the first seed whose greedy steps all have the margin; the seed, in words."""
    for seed in range(1000):
        model = make_model(config, None)
        randomise(model, torch.Generator().manual_seed(seed))
        found = references(model, tokenizer(directory.parent))
        if found["greedy_min_margin"] >= LEAST_MARGIN:
            break
    else:
        raise SystemExit(f"{directory.name}: no seed below 1000 gives a margin of {LEAST_MARGIN}")
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in stored(model, config).items()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "reference.json").write_text(json.dumps(found) + "\n")
    return f"seed {seed}, least margin {found['greedy_min_margin']}"


def make_model(config: dict[str, Any], tensors: dict[str, torch.Tensor] | None) -> PreTrainedModel:
    """In float32; with these weights, if there are any. ChatGLM is transformers' GLM under other names."""
    if config["model_type"] == "chatglm":
        made = glm_config(config)
        tensors = dict(glm_tensors(tensors, made)) if tensors else None
    else:
        values = {key: value for key, value in config.items() if key not in ("model_type", "dtype")}
        made = AutoConfig.for_model(config["model_type"], **values)
    model = AutoModelForCausalLM.from_config(made, dtype=torch.float32, attn_implementation="eager")
    if tensors:
        missing = model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
        assert not missing.unexpected_keys, missing
        assert set(missing.missing_keys) <= {"lm_head.weight"}, missing
        model.tie_weights()
    return model.eval()


def randomise(model: PreTrainedModel, generator: torch.Generator) -> None:
    """Weights that make a model depend on all of its parts; rounded to bfloat16, as they are stored."""
    is_gemma = model.config.model_type == "gemma3_text"  # its gains are 1 more than weights, its embeddings are scaled
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("norm.weight"):
            value = 0.15 * noise + (0 if is_gemma else 1)
        elif name.endswith(".bias"):
            value = 0.2 * noise
        elif "embed" in name and not model.config.tie_word_embeddings:
            value = 0.5 * noise
        else:
            size = 1.2 if "_proj" in name or "fc" in name else 1 if is_gemma else 2
            value = noise * size / parameter.shape[-1] ** 0.5
        parameter.copy_(value.to(torch.bfloat16))


def references(model: PreTrainedModel, words: Any) -> dict[str, Any]:
    """What a reference.json holds."""
    least, prompts = float("inf"), []
    for prompt in PROMPTS:
        ids = words.encode(prompt, add_special_tokens=False)
        tokens, first = list(ids), None
        for _ in range(GREEDY_TOKENS):
            logits = model(torch.tensor([tokens])).logits[0, -1]
            first = logits if first is None else first
            best = logits.topk(2)
            least = min(least, float(best.values[0] - best.values[1]))
            tokens.append(int(best.indices[0]))
        rounded = [round(float(value), 6) for value in first]
        prompts.append({"prompt": prompt, "prompt_ids": ids, "last_logits": rounded, "greedy16": tokens[len(ids) :]})
    found = {"note": NOTE, "greedy_min_margin": round(least, 6), "prompts": prompts}
    rope = getattr(model.config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        tokens = (prompts[0]["prompt_ids"] + prompts[1]["prompt_ids"]) * 2
        assert len(tokens) > rope["original_max_position_embeddings"]
        logits = [round(float(value), 6) for value in model(torch.tensor([tokens])).logits[0, -1]]
        found["long"] = {"prompt_ids": tokens, "last_logits": logits}
    if getattr(model.config, "sliding_window", None):
        text = TEXT.read_text(encoding="utf-8")[:TEXT_CHARACTERS]
        found["text"] = text_loss(model, words.encode(text, add_special_tokens=False))
    return found


def text_loss(model: PreTrainedModel, ids: list[int]) -> dict[str, Any]:
    """Mean negative log-likelihood in nats over the first parts of a text, the first token of each not scored."""
    losses = []
    for begin in range(0, PARTS * PART_TOKENS, PART_TOKENS):
        part = torch.tensor(ids[begin : begin + PART_TOKENS])
        losses.append(torch.nn.functional.cross_entropy(model(part[None]).logits[0, :-1], part[1:]))
    return {"parts": PARTS, "tokens": PART_TOKENS, "mean_nll": round(float(torch.stack(losses).mean()), 6)}


def difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """In words."""
    pairs = list(zip(found["prompts"], expected["prompts"], strict=True))
    for key in ("prompt", "prompt_ids", "greedy16"):
        if any(one[key] != other[key] for one, other in pairs):
            return f"{key} differs"
    largest = max(abs(a - b) for one, other in pairs for a, b in zip(one["last_logits"], other["last_logits"], strict=True))
    return f"the same greedy tokens; logits differ by {largest:.1e} at most"


def glm_config(config: dict[str, Any]) -> GlmConfig:
    """That of transformers' GLM for a ChatGLM of the second or third generation."""
    return GlmConfig(
        vocab_size=config["padded_vocab_size"], hidden_size=config["hidden_size"],
        intermediate_size=config["ffn_hidden_size"], num_hidden_layers=config["num_layers"],
        num_attention_heads=config["num_attention_heads"], num_key_value_heads=config["multi_query_group_num"],
        head_dim=config["kv_channels"], attention_bias=True,
        rms_norm_eps=config["layernorm_epsilon"], max_position_embeddings=config["seq_length"], tie_word_embeddings=False,
        pad_token_id=None, eos_token_id=config["eos_token_id"], bos_token_id=config["bos_token_id"],
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    )  # fmt: skip


_GLM_NAMES = {
    "model.embed_tokens": "transformer.embedding.word_embeddings",
    "model.norm": "transformer.encoder.final_layernorm",
    "lm_head": "transformer.output_layer",
    "model.layers": "transformer.encoder.layers",
    "self_attn.o_proj": "self_attention.dense",
    "mlp.gate_up_proj": "mlp.dense_h_to_4h",
    "mlp.down_proj": "mlp.dense_4h_to_h",
}
"""Of GLM in transformers, and of ChatGLM."""


def stored(model: PreTrainedModel, config: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors under the names of their checkpoint."""
    tensors = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    if config["model_type"] != "chatglm":
        return tensors
    found = {}
    for name, tensor in tensors.items():
        if ".q_proj." in name:
            parts = [tensors[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            found[name.replace("self_attn.q_proj", "self_attention.query_key_value")] = torch.cat(parts)
        elif ".k_proj." not in name and ".v_proj." not in name:
            found[name] = tensor
    width = config["kv_channels"] // 2
    inverse = 1 / 10000 ** (torch.arange(0, width, 2).float() / width)
    return {chatglm_name(name): tensor for name, tensor in found.items()} | {"transformer.rotary_pos_emb.inv_freq": inverse}


def chatglm_name(name: str) -> str:
    """ChatGLM's for GLM's."""
    for new, original in _GLM_NAMES.items():
        name = name.replace(new, original)
    return name


def glm_tensors(tensors: dict[str, torch.Tensor], config: GlmConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """GLM's tensors of ChatGLM's."""
    key_width = config.num_key_value_heads * config.head_dim
    widths = [config.num_attention_heads * config.head_dim, key_width, key_width]
    for name, tensor in tensors.items():
        if name.endswith("inv_freq"):
            continue
        for new, original in _GLM_NAMES.items():
            name = name.replace(original, new)
        if ".query_key_value." in name:
            for part, rows in zip("qkv", tensor.split(widths), strict=True):
                yield name.replace("self_attention.query_key_value", f"self_attn.{part}_proj"), rows
        else:
            yield name, tensor


if __name__ == "__main__":
    main()
