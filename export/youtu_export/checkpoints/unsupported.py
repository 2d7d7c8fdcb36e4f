"""Architectures that are not supported: the nearest one that is, and what this one has in addition, as data.

Names are those of config.json and of GGUF, whose words are joined: qwen3_moe there is qwen3moe.
"""

from __future__ import annotations

from collections.abc import Iterable

_EXPERTS = "experts"
_IMAGES = "images"
NEAREST: dict[str, tuple[str, str]] = {
    "qwen2_moe": ("qwen2", _EXPERTS),
    "qwen2_vl": ("qwen2", _IMAGES),
    "qwen2_5_vl": ("qwen2", _IMAGES),
    "qwen3_moe": ("qwen3", _EXPERTS),
    "qwen3_vl": ("qwen3", _IMAGES),
    "qwen3_next": ("qwen3", "linear attention and experts"),
    "qwen3_5": ("qwen3", "linear attention in most layers"),
    "qwen3_5_text": ("qwen3", "linear attention in most layers"),
    "mixtral": ("mistral", _EXPERTS),
    "mistral3": ("mistral", "images, or queries that are scaled by their position"),
    "ministral3": ("mistral", "queries that are scaled by their position, and yarn"),
    "llama4": ("llama", _EXPERTS),
    "mllama": ("llama", _IMAGES),
    "gemma": ("gemma3", "no norms after the blocks and none of queries and keys"),
    "gemma2": ("gemma3", "soft caps, and no norms of queries and keys"),
    "gemma3n": ("gemma3", "embeddings per layer"),
    "gemma4": ("gemma3", "layers that share keys, and two widths of heads"),
    "minicpm3": ("youtu", "scaled embeddings, residuals and logits"),
    "granitemoe": ("granite", _EXPERTS),
    "granitemoehybrid": ("granite", "state-space layers, and experts"),
    "granitehybrid": ("granite", "state-space layers, and experts"),
    "internlm": ("internlm", "biases, and the first generation's code"),
    "olmo2": ("qwen3", "norms after each block, and over all heads together"),
    "cohere2": ("llama", "parallel blocks and layer norms"),
    "exaone4": ("qwen3", "norms after each block"),
    "stablelm": ("phi", "SwiGLU"),
    "phimoe": ("phi3", _EXPERTS),
    "phi3_v": ("phi3", _IMAGES),
    "phi4mm": ("phi3", "images and speech"),
    "glm": ("chatglm", "the tensor names of transformers"),
    "glm4": ("chatglm", "norms after each block"),
    "deepseek": ("llama", _EXPERTS),
    "deepseek_v2": ("youtu", _EXPERTS),
    "deepseek_v3": ("youtu", _EXPERTS),
    "lfm2": ("qwen3", "convolutions in most layers"),
}
_BY_PLAIN_NAME = {name.replace("_", ""): found for name, found in NEAREST.items()}


def unsupported(architecture: object, supported: Iterable[str]) -> str:
    """The reason why a model is refused, which names the nearest supported architecture if one is known."""
    reason = f"architecture {architecture!r} is not supported; supported: {', '.join(supported)}"
    nearest = _BY_PLAIN_NAME.get(architecture.replace("_", "").replace("-", "")) if isinstance(architecture, str) else None
    return reason if nearest is None else f"{reason}; the nearest is {nearest[0]}, but this one has {nearest[1]}"
