"""Configurations of well-known models of 0.1 to 8 billion parameters, with the keys and values that were published.

Each has the family that serves it, or the reason why it is refused.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]
_SAVED = {
    "attention_dropout": 0.0, "initializer_range": 0.02, "torch_dtype": "bfloat16", "transformers_version": "4.51.3",
    "use_cache": True, "hidden_act": "silu",
}  # fmt: skip
"""Keys that transformers writes for every model."""


def _config(model_type: str, sizes: tuple[int, ...], context: int, epsilon: float, **rest: Any) -> Config:
    """sizes: hidden, feed-forward, layers, heads, heads of keys, vocabulary."""
    keys = (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
    )  # fmt: skip
    return {
        **_SAVED, "model_type": model_type, **dict(zip(keys, sizes, strict=True)),
        "max_position_embeddings": context, "rms_norm_eps": epsilon, **rest,
    }  # fmt: skip


_NO_BIAS = {"attention_bias": False, "mlp_bias": False, "pretraining_tp": 1}


def _llama3_rope(factor: float) -> Config:
    scaling = {
        "factor": factor, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    }  # fmt: skip
    return {"rope_scaling": scaling, "rope_theta": 500000.0, "bos_token_id": 128000, **_NO_BIAS}


def _qwen(model_type: str, sizes: tuple[int, ...], context: int, *, tied: bool, windows: int, **rest: Any) -> Config:
    return _config(
        model_type, sizes, context, 1e-6, bos_token_id=151643, eos_token_id=151645, max_window_layers=windows,
        use_sliding_window=False, tie_word_embeddings=tied, **({"rope_theta": 1000000.0} | rest),
    )  # fmt: skip


_QWEN3: Config = {"attention_bias": False, "head_dim": 128, "rope_scaling": None, "sliding_window": None}
_FACTORS = {f"{part}_factor": [1.0 + index / 16 for index in range(48)] for part in ("short", "long")}
"""As many as published, of other values."""
_PHI3: Config = {
    "bos_token_id": 1, "eos_token_id": 32000, "pad_token_id": 32000, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
    "original_max_position_embeddings": 4096, "rope_theta": 10000.0, "tie_word_embeddings": False, "attention_bias": False,
    "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"},
}  # fmt: skip


def _phi(sizes: tuple[int, ...], factor: float) -> Config:
    values = _config(
        "phi", sizes, 2048, 0, layer_norm_eps=1e-5, embd_pdrop=0.0, resid_pdrop=0.0, partial_rotary_factor=factor,
        qk_layernorm=False, rope_scaling=None, rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=50256,
    )  # fmt: skip
    del values["rms_norm_eps"]
    return values | {"hidden_act": "gelu_new"}


def _gemma3(sizes: tuple[int, ...], **rest: Any) -> Config:
    values = _config(
        "gemma3_text", sizes, 32768, 1e-6, attn_logit_softcapping=None, final_logit_softcapping=None, head_dim=256,
        query_pre_attn_scalar=256, hidden_activation="gelu_pytorch_tanh", rope_local_base_freq=10000, rope_scaling=None,
        rope_theta=1000000, sliding_window=512, attention_bias=False, eos_token_id=[1, 106], **rest,
    )  # fmt: skip
    del values["hidden_act"]
    return values


KNOWN_CONFIGS: dict[str, tuple[Config, str]] = {
    "SmolLM2-135M-Instruct": (
        _config(
            "llama", (576, 1536, 30, 9, 3, 49152), 8192, 1e-5, rope_theta=100000, rope_scaling=None,
            rope_interleaved=False, is_llama_config=True, tie_word_embeddings=True, **_NO_BIAS,
        ),
        "llama",
    ),
    "SmolLM2-1.7B-Instruct": (
        _config(
            "llama", (2048, 8192, 24, 32, 32, 49152), 8192, 1e-5, rope_theta=130000, rope_scaling=None,
            tie_word_embeddings=True, **_NO_BIAS,
        ),
        "llama",
    ),
    "TinyLlama-1.1B-Chat": (
        _config(
            "llama", (2048, 5632, 22, 32, 4, 32000), 2048, 1e-5, rope_theta=10000.0, rope_scaling=None,
            tie_word_embeddings=False, attention_bias=False, pretraining_tp=1,
        ),
        "llama",
    ),
    "Llama-3.2-1B-Instruct": (
        _config(
            "llama", (2048, 8192, 16, 32, 8, 128256), 131072, 1e-5, head_dim=64, tie_word_embeddings=True,
            eos_token_id=[128001, 128008, 128009], **_llama3_rope(32.0),
        ),
        "llama",
    ),
    "Llama-3.2-3B-Instruct": (
        _config(
            "llama", (3072, 8192, 28, 24, 8, 128256), 131072, 1e-5, head_dim=128, tie_word_embeddings=True,
            eos_token_id=[128001, 128008, 128009], **_llama3_rope(32.0),
        ),
        "llama",
    ),
    "DeepSeek-R1-Distill-Llama-8B": (
        _config(
            "llama", (4096, 14336, 32, 32, 8, 128256), 131072, 1e-5, tie_word_embeddings=False, eos_token_id=128001,
            **_llama3_rope(8.0),
        ),
        "llama",
    ),
    "Yi-6B-Chat": (
        _config(
            "llama", (4096, 11008, 32, 32, 4, 64000), 4096, 1e-5, rope_theta=5000000.0, rope_scaling=None,
            tie_word_embeddings=False, pretraining_tp=1, pad_token_id=0,
        ),
        "llama",
    ),
    "Qwen2.5-0.5B-Instruct": (
        _qwen("qwen2", (896, 4864, 24, 14, 2, 151936), 32768, tied=True, windows=21, sliding_window=32768), "qwen2"
    ),
    "Qwen2.5-7B-Instruct": (
        _qwen("qwen2", (3584, 18944, 28, 28, 4, 152064), 32768, tied=False, windows=28, sliding_window=131072), "qwen2"
    ),
    "DeepSeek-R1-Distill-Qwen-1.5B": (
        _qwen(
            "qwen2", (1536, 8960, 28, 12, 2, 151936), 131072, tied=False, windows=21, sliding_window=4096, use_mrope=False,
            rope_theta=10000,
        ),
        "qwen2",
    ),
    "Qwen3-0.6B": (_qwen("qwen3", (1024, 3072, 28, 16, 8, 151936), 40960, tied=True, windows=28, **_QWEN3), "qwen3"),
    "Qwen3-4B": (_qwen("qwen3", (2560, 9728, 36, 32, 8, 151936), 40960, tied=True, windows=36, **_QWEN3), "qwen3"),
    "Qwen3-8B": (_qwen("qwen3", (4096, 12288, 36, 32, 8, 151936), 40960, tied=False, windows=36, **_QWEN3), "qwen3"),
    "Mistral-7B-Instruct-v0.1": (
        _config(
            "mistral", (4096, 14336, 32, 32, 8, 32000), 32768, 1e-5, rope_theta=10000.0, sliding_window=4096,
            tie_word_embeddings=False,
        ),
        "mistral",
    ),
    "Mistral-7B-Instruct-v0.3": (
        _config(
            "mistral", (4096, 14336, 32, 32, 8, 32768), 32768, 1e-5, rope_theta=1000000.0, sliding_window=None,
            tie_word_embeddings=False,
        ),
        "mistral",
    ),
    "Ministral-8B-Instruct-2410": (
        _config(
            "mistral", (4096, 12288, 36, 32, 8, 131072), 32768, 1e-5, head_dim=128, rope_theta=100000000.0,
            sliding_window=32768, tie_word_embeddings=False,
        ),
        "mistral",
    ),
    "SmolLM3-3B": (
        _config(
            "smollm3", (2048, 11008, 36, 16, 4, 128256), 65536, 1e-6, rope_theta=5000000.0, rope_scaling=None,
            layer_types=["full_attention"] * 36, no_rope_layers=[1, 1, 1, 0] * 9, no_rope_layer_interval=4,
            max_window_layers=28, sliding_window=None, use_sliding_window=False, pad_token_id=128004, **_NO_BIAS,
        ),
        "smollm3",
    ),
    "phi-1_5": (_phi((2048, 8192, 24, 32, 32, 51200), 0.5), "phi"),
    "phi-2": (_phi((2560, 10240, 32, 32, 32, 51200), 0.4), "phi"),
    "Phi-3-mini-4k-instruct": (
        _config("phi3", (3072, 8192, 32, 32, 32, 32064), 4096, 1e-5, sliding_window=2047, rope_scaling=None, **_PHI3),
        "phi3",
    ),
    "Phi-3.5-mini-instruct": (
        _config(
            "phi3", (3072, 8192, 32, 32, 32, 32064), 131072, 1e-5, sliding_window=262144,
            rope_scaling={"type": "longrope", **_FACTORS}, **_PHI3,
        ),
        "phi3",
    ),
    "Phi-4-mini-instruct": (
        _config(
            "phi3", (3072, 8192, 32, 24, 8, 200064), 131072, 1e-5, sliding_window=262144, partial_rotary_factor=0.75,
            rope_scaling={"type": "longrope", **_FACTORS}, full_attn_mod=1, interpolate_factor=1, lm_head_bias=False,
            mlp_bias=False, **(_PHI3 | {"tie_word_embeddings": True, "eos_token_id": 199999, "pad_token_id": 199999}),
        ),
        "phi3",
    ),
    "chatglm3-6b": (
        {
            "model_type": "chatglm", "add_bias_linear": False, "add_qkv_bias": True, "apply_query_key_layer_scaling": True,
            "apply_residual_connection_post_layernorm": False, "attention_dropout": 0.0, "attention_softmax_in_fp32": True,
            "bias_dropout_fusion": True, "ffn_hidden_size": 13696, "fp32_residual_connection": False, "hidden_dropout": 0.0,
            "hidden_size": 4096, "kv_channels": 128, "layernorm_epsilon": 1e-5, "multi_query_attention": True,
            "multi_query_group_num": 2, "num_attention_heads": 32, "num_layers": 28, "original_rope": True,
            "padded_vocab_size": 65024, "post_layer_norm": True, "rmsnorm": True, "seq_length": 8192, "use_cache": True,
            "torch_dtype": "float16", "transformers_version": "4.30.2", "tie_word_embeddings": False, "eos_token_id": 2,
        },
        "chatglm",
    ),
    "Qwen3-4B with yarn": (
        _qwen(
            "qwen3", (2560, 9728, 36, 32, 8, 151936), 40960, tied=True, windows=36,
            **(_QWEN3 | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}),
        ),
        "rope_scaling: type 'yarn' is not supported",
    ),
    "gemma-3-270m-it": (
        _gemma3(
            (640, 2048, 18, 4, 1, 262144), layer_types=(["sliding_attention"] * 5 + ["full_attention"]) * 3,
            _sliding_window_pattern=6, use_bidirectional_attention=False,
        ),
        "gemma3",
    ),
    "gemma-3-1b-it": (
        _gemma3((1152, 6912, 26, 4, 1, 262144), sliding_window_pattern=6, cache_implementation="hybrid"), "gemma3"
    ),
    "embeddinggemma-300m": (
        _gemma3((768, 1152, 24, 3, 1, 262144), use_bidirectional_attention=True),
        "use_bidirectional_attention: True is not supported",
    ),
    "gemma-3-4b-it": (
        {
            "model_type": "gemma3", "eos_token_id": [1, 106], "image_token_index": 262144, "mm_tokens_per_image": 256,
            "text_config": {
                "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
            },
            "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model", "num_hidden_layers": 27},
        },
        "gemma3",
    ),
    "gemma-2-2b-it": (
        _config("gemma2", (2304, 9216, 26, 8, 4, 256000), 8192, 1e-6), "the nearest is gemma3, but this one has soft caps"
    ),
    "OLMo-2-0425-1B": (
        _config("olmo2", (2048, 8192, 16, 16, 16, 100352), 4096, 1e-6, rope_theta=500000), "the nearest is qwen3, but"
    ),
    "granite-3.3-2b-instruct": (
        _config(
            "granite", (2048, 8192, 40, 32, 8, 49159), 131072, 1e-5, embedding_multiplier=12.0, logits_scaling=8.0,
            attention_multiplier=0.015625, residual_multiplier=0.22, rope_theta=10000000.0, rope_scaling=None,
            tie_word_embeddings=True, attention_bias=False, mlp_bias=False,
        ),
        "granite",
    ),
    "granite-4.0-h-1b": (
        _config("granitemoehybrid", (1536, 4096, 40, 12, 4, 100352), 131072, 1e-5), "but this one has state-space layers"
    ),
    "MiniCPM-2B": (
        _config(
            "minicpm", (2304, 5760, 40, 36, 36, 122753), 4096, 1e-5, scale_emb=12, scale_depth=1.4, dim_model_base=256,
            auto_map={"AutoConfig": "configuration_minicpm.MiniCPMConfig"}, rope_scaling=None,
        ),
        "minicpm",
    ),
    "MiniCPM4-0.5B": (
        _config(
            "minicpm", (1024, 4096, 24, 16, 2, 73448), 32768, 1e-6, scale_emb=12, scale_depth=1.4, dim_model_base=256,
            mup_denominator=32, pad_token_id=2, rope_scaling={
                "rope_type": "longrope", "original_max_position_embeddings": 32768,
                "long_factor": _FACTORS["long_factor"][:32], "short_factor": _FACTORS["short_factor"][:32],
            },
        ),
        "minicpm",
    ),
    "internlm2-chat-1_8b": (
        _config(
            "internlm2", (2048, 8192, 24, 16, 8, 92544), 32768, 1e-5, bias=False, attn_implementation="eager",
            rope_theta=1000000, rope_scaling={"factor": 2.0, "type": "dynamic"}, tie_word_embeddings=False, pad_token_id=2,
        ),
        "internlm",
    ),
    "internlm3-8b-instruct": (
        _config(
            "internlm3", (4096, 10240, 48, 32, 2, 128512), 32768, 1e-5, bias=False, qkv_bias=False, head_dim=128,
            rope_theta=50000000, rope_scaling={"factor": 6.0, "rope_type": "dynamic"}, tie_word_embeddings=False,
        ),
        "internlm",
    ),
    "Mixtral, renamed": (
        _config(
            "mistral", (2048, 7168, 24, 32, 8, 32000), 32768, 1e-5, rope_theta=1e6, sliding_window=None, num_local_experts=8
        ),
        "num_local_experts: 8 is unknown",
    ),
    "LFM2-1.2B": (_config("lfm2", (2048, 12288, 16, 32, 8, 65536), 128000, 1e-5), "but this one has convolutions"),
}  # fmt: skip
"""By name: the configuration, and the family or the reason."""
