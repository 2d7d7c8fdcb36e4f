"""The tokenizer inside a GGUF file, rebuilt with the `tokenizers` library.

A pre-tokenizer sets the boundaries that merges must not cross. A wrong one still produces text but silently costs quality,
so an unknown name is rejected and never replaced by a similar one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from youtu_export.errors import ExportError

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4  # tokenizer.ggml.token_type

# The pattern that Llama 3 adopted from cl100k; Qwen 2 differs in one place: single digits.
_CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _gpt2() -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _smollm() -> Any:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2()])


_YOUTU_SCRIPTS = r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"


def _words(suffix: str, digits: str) -> str:
    """The pattern of o200k, which cuts where capitals begin: words with English suffixes, and numbers."""
    return (
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{suffix}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{suffix}"
        rf"|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def _isolated(*patterns: str) -> Any:
    cuts = [pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in patterns]
    return pre_tokenizers.Sequence([*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _youtu() -> Any:
    """East Asian scripts split off first, then words and single digits (llama.cpp, `youtu`)."""
    return _isolated(_YOUTU_SCRIPTS, _words(_SUFFIX, r"\p{N}"))


def _llama3() -> Any:
    return _isolated(_CL100K % r"\p{N}{1,3}")


def _qwen2() -> Any:
    return _isolated(_CL100K % r"\p{N}")


_PRE_TOKENIZERS: dict[str, Callable[[], Any]] = {
    "youtu": _youtu,
    "gpt-2": _gpt2,
    "phi-2": _gpt2,
    "smollm": _smollm,
    "llama-bpe": _llama3,
    "llama3": _llama3,
    "llama-v3": _llama3,
    "chatglm-bpe": _llama3,
    "smaug-bpe": _llama3,  # SmolLM3
    "qwen2": _qwen2,
    "deepseek-r1-qwen": _qwen2,
    "tekken": lambda: _isolated(_words("", r"\p{N}")),  # Ministral
    "gpt-4o": lambda: _isolated(_words(_SUFFIX, r"\p{N}{1,3}")),  # Phi-4-mini
}
_STARTS_WITH_BOS = ("llama-bpe", "llama3", "llama-v3", "tekken")
"""The default, unless the file says otherwise."""
_WHOLE_WORDS_FIRST = (*_STARTS_WITH_BOS, "smaug-bpe", "youtu")
"""A word that is a token is used as that token, even if merges do not produce it."""


def build_tokenizer(path: Path, metadata: dict[str, Any]) -> Tokenizer:
    """The tokenizer of a GGUF file. Raises ExportError if it is missing or of an unknown kind."""
    kind, tokens = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.tokens")
    if kind is None or not tokens:
        raise ExportError(f"{path}: tokenizer.ggml.tokens: the file contains no tokenizer")
    types = metadata.get("tokenizer.ggml.token_type") or [_NORMAL] * len(tokens)
    if len(types) != len(tokens):
        raise ExportError(f"{path}: tokenizer.ggml.token_type: {len(types)} entries for {len(tokens)} tokens")
    if kind == "gpt2":
        tokenizer = _byte_level(path, metadata, tokens)
    elif kind == "llama":
        tokenizer = _sentence_piece(path, metadata, tokens, types)
    else:
        raise ExportError(f"{path}: tokenizer.ggml.model: {kind!r} is not supported, only gpt2 and llama")
    added = [
        AddedToken(token, special=type_ == _CONTROL, normalized=False)
        for token, type_ in zip(tokens, types, strict=True)
        if type_ in (_CONTROL, _USER_DEFINED) and token
    ]
    tokenizer.add_tokens(added)
    if tokenizer.get_vocab_size() > len(tokens):
        raise ExportError(f"{path}: tokenizer.ggml.tokens: a control token is listed twice")
    return tokenizer


def begins_with_bos(metadata: Mapping[str, Any]) -> bool:
    """Whether prompts of this kind of model begin with BOS by default."""
    return metadata.get("tokenizer.ggml.model") == "llama" or metadata.get("tokenizer.ggml.pre") in _STARTS_WITH_BOS


def _byte_level(path: Path, metadata: dict[str, Any], tokens: list[str]) -> Tokenizer:
    """GPT-2's scheme: bytes written as printable characters, split by a pattern, merged by rank."""
    name = metadata.get("tokenizer.ggml.pre")
    if name not in _PRE_TOKENIZERS:
        known = ", ".join(_PRE_TOKENIZERS)
        raise ExportError(f"{path}: tokenizer.ggml.pre: pre-tokenizer {name!r} is not supported; supported: {known}")
    merges = [merge.partition(" ")[::2] for merge in metadata.get("tokenizer.ggml.merges", [])]
    tokenizer = Tokenizer(_bpe(path, tokens, merges, ignore_merges=name in _WHOLE_WORDS_FIRST))
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _PRE_TOKENIZERS[name]()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentence_piece(path: Path, metadata: dict[str, Any], tokens: list[str], types: list[int]) -> Tokenizer:
    """Llama 2's scheme: spaces become U+2581, pieces merge by score, unknown characters fall back to bytes."""
    scores = metadata.get("tokenizer.ggml.scores")
    if scores is None or len(scores) != len(tokens):
        raise ExportError(f"{path}: tokenizer.ggml.scores: missing or not one per token")
    unknown = metadata.get("tokenizer.ggml.unknown_token_id", next((i for i, t in enumerate(types) if t == _UNKNOWN), None))
    normal = {token: index for index, token in enumerate(tokens) if types[index] == _NORMAL}
    unk_token = None if unknown is None else tokens[unknown]
    model = _bpe(path, tokens, _merges(normal, scores), byte_fallback=True, fuse_unk=True, unk_token=unk_token)
    tokenizer = Tokenizer(model)
    has_prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
    prefix = [normalizers.Prepend("▁")] if has_prefix else []
    tokenizer.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(" ", 1, 0)] if has_prefix else []
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    return tokenizer


def _merges(ids: dict[str, int], scores: list[float]) -> list[tuple[str, str]]:
    """Every way to join two pieces into a third, best score first: sentencepiece merges this way but stores no merges."""
    found = []
    for token, index in ids.items():
        for cut in range(1, len(token)):
            left, right = ids.get(token[:cut]), ids.get(token[cut:])
            if left is not None and right is not None:
                found.append((-scores[index], index, left, right, cut, token))
    return [(token[:cut], token[cut:]) for *_, cut, token in sorted(found)]


def _bpe(path: Path, tokens: list[str], merges: list[tuple[str, str]], **options: Any) -> Any:
    vocab = {token: index for index, token in enumerate(tokens)}
    if len(vocab) != len(tokens):
        raise ExportError(f"{path}: tokenizer.ggml.tokens: a token is listed twice")
    try:
        return models.BPE(vocab=vocab, merges=merges, **options)
    except Exception as error:  # the library raises plain Exception
        raise ExportError(f"{path}: tokenizer.ggml.merges: {error}") from None
