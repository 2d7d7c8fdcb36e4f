"""Tokenizers of the SentencePiece kind, as the checkpoints that people have bring them: small, and the same every time.

    <unk> <s> </s> <|end|>  | <0x00> ... <0xFF> | ▁ ! " ... ~ | ▁th ▁the ...
    control                 | bytes             | characters  | words and what they begin with

They differ in who puts the space before the first word, and where: a normalizer before every stretch of text, a
pre-tokenizer before the first or all of them, or nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from youtu_export.checkpoints.gguf_tokenizer import build_tokenizer

CONTROL = ("<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
CHARACTERS = ("\u2581", *(chr(code) for code in range(0x21, 0x7F)), "\u00e9", "\u4f60", "\u597d")
_WORDS = (
    *("the", "of", "and", "in", "is", "a", "to", "on", "it", "you", "what", "that", "this", "from", "with", "will"),
    *(
        "next",
        "days",
        "three",
        "weather",
        "light",
        "turn",
        "name",
        "tool",
        "call",
        "tools",
        "user",
        "place",
        "state",
        "city",
    ),
    *("string", "number", "integer", "boolean", "object", "array", "type", "properties", "required", "description"),
    *("parameters", "function", "arguments", "value", "true", "false", "null", "celsius", "Reply", "JSON", "degrees"),
    *("boiler", "cellar", "Describe", "Tell", "story", "lighthouse"),
)
_JOINED = (
    *('": "', '": ', '", "', '{"', '"}', '", '),
    *("maxLength", "minimum", "additionalProperties", "get_weather", "set_light"),
)


def _pieces() -> list[str]:
    """Every word with its space and every beginning of it, shortest first: each is a shorter one and a character."""
    words = [f"\u2581{word}" for word in _WORDS] + [text.replace(" ", "\u2581") for text in _JOINED]
    beginnings = dict.fromkeys(word[:size] for word in words for size in range(2, len(word) + 1))
    return sorted(beginnings, key=len)


PIECES = tuple(_pieces())
TOKENS = (*CONTROL, *BYTES, *CHARACTERS, *PIECES)


def gguf_metadata(*, add_space_prefix: bool | None = None) -> dict[str, Any]:
    """What a GGUF file of the kind `llama` says of this vocabulary; without the key when `add_space_prefix` is None."""
    kinds = [2, *[3] * (len(CONTROL) - 1), *[6] * 256, *[1] * (len(CHARACTERS) + len(PIECES))]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": None,
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.tokens": list(TOKENS),
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.scores": [float(-index) for index in range(len(TOKENS))],
        "tokenizer.ggml.bos_token_id": TOKENS.index("<s>"),
        "tokenizer.ggml.eos_token_id": TOKENS.index("</s>"),
        "tokenizer.ggml.unknown_token_id": 0,
    }
    if add_space_prefix is not None:
        metadata["tokenizer.ggml.add_space_prefix"] = add_space_prefix
    return metadata


def _of_gguf(add_space_prefix: bool | None) -> Tokenizer:
    metadata = gguf_metadata(add_space_prefix=add_space_prefix)
    return build_tokenizer(Path("model.gguf"), {key: value for key, value in metadata.items() if value is not None})


def _bpe() -> Tokenizer:
    vocab = {token: index for index, token in enumerate(TOKENS)}
    merges = [(piece[:-1], piece[-1]) for piece in PIECES]
    return Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))


def _prepend() -> Tokenizer:
    """Llama 2 and TinyLlama: the normalizer writes a space before every stretch between control tokens."""
    tokenizer = _bpe()
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def _replace() -> Tokenizer:
    """Gemma: spaces are replaced and none is written before a text; words are cut behind their space."""
    tokenizer = _bpe()
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def _metaspace(scheme: str) -> Tokenizer:
    """As newer converters write it; the decoder of the same name drops the space again."""
    tokenizer = _bpe()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=scheme != "always")
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme), decoders.Fuse()]
    )
    return tokenizer


def _unigram() -> Tokenizer:
    """ChatGLM's kind: the model takes the likeliest cut, knows control tokens as words, and the text is normalised."""
    rare = [(token, -20.0) for token in (*BYTES, *CHARACTERS)]
    vocab = [(token, 0.0) for token in CONTROL] + rare + [(piece, -2.0 - index / 1e3) for index, piece in enumerate(PIECES)]
    tokenizer = Tokenizer(models.Unigram(vocab, 0, True))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    return tokenizer


_KINDS: dict[str, Callable[[], Tokenizer]] = {
    "prepend": _prepend,
    "replace": _replace,
    "metaspace first": lambda: _metaspace("first"),
    "metaspace always": lambda: _metaspace("always"),
    "metaspace never": lambda: _metaspace("never"),
    "unigram": _unigram,
    "gguf": lambda: _of_gguf(None),
    "gguf without prefix": lambda: _of_gguf(add_space_prefix=False),
}
KINDS = tuple(_KINDS)
PREFIXED = tuple(kind for kind in KINDS if kind not in ("replace", "metaspace never", "gguf without prefix"))
"""Those that write a space before the first word."""


def make_sentence_piece(kind: str) -> Tokenizer:
    """One of `KINDS`; its control tokens are whole."""
    tokenizer = _KINDS[kind]()
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in CONTROL])
    return tokenizer
