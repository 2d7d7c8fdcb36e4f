"""Decides which tokens begin a prompt and end an answer, whatever file names them.

end     every token that any source names: an extra one is never sampled, a missing one lets answers run to the limit.
        Ignored with a warning if other sources name better ones: a stale id of an ordinary token of this tokenizer, or
        of none.
begin   what the tokenizer itself prepends to a text, unless add_bos_token says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from youtu_export.errors import ExportError
from youtu_export.findings import Findings

_CONTROL_FORM = re.compile(r"<(?!0x).*>|\[.*\]", re.DOTALL)
"""The form of control tokens, for tokenizers that do not mark them."""


@dataclass(frozen=True)
class Claim:
    """The tokens that one source names, by id or by text."""

    path: Path
    key: str
    tokens: tuple[int | str, ...]

    @property
    def source(self) -> str:
        """File and key, for notes."""
        return f"{self.path.name} {self.key}"


def claim(path: Path, key: str, value: Any) -> list[Claim]:
    """The claim that `value` makes, if any: null, [] and "" make none.

    A key that ends in _id has an id or several, any other a string, perhaps as the content of an object. Raises ExportError
    for anything else.
    """
    value = value.get("content") if isinstance(value, Mapping) else value
    tokens = value if isinstance(value, list) else [] if value in (None, "") else [value]
    for token in tokens:
        is_id = isinstance(token, int) and not isinstance(token, bool) and token >= 0
        is_token = is_id if key.endswith("_id") else isinstance(token, str)
        if not is_token or (isinstance(value, list) and not is_id):
            raise ExportError(f"{path}: {key}: {token!r} is not the {'id' if key.endswith('_id') else 'text'} of a token")
    return [Claim(path, key, tuple(tokens))] if tokens else []


def end_tokens(
    where: str,
    tokenizer: Tokenizer,
    rows: int,
    claims: Sequence[Claim],
    additions: Iterable[str],
    findings: Findings,
) -> list[int]:
    """Ids that end an answer. `rows`: of the token table. `additions`: end tokens of every model of the family.

    Raises ExportError if no source names one that the model has; `where` is the file and key that should.
    """
    control = tokenizer.get_added_tokens_decoder()
    sources: dict[int, list[Claim]] = {}
    doubtful: dict[int, tuple[Claim, str]] = {}
    for one in claims:
        for token in one.tokens:
            token_id = tokenizer.token_to_id(token) if isinstance(token, str) else token
            if token_id is None:
                findings.warnings.append(f"{one.path}: {one.key}: the tokenizer has no token {token!r}; ignored")
                continue
            text = tokenizer.id_to_token(token_id) if 0 <= token_id < rows else None
            if text is not None and (token_id in control or _CONTROL_FORM.fullmatch(text)):
                sources.setdefault(token_id, []).append(one)
            elif text is not None:
                doubtful.setdefault(token_id, (one, f"is the ordinary token {text!r}"))
            elif token_id < 0 or token_id >= rows:
                doubtful.setdefault(token_id, (one, f"is outside the vocabulary of {rows}"))
            else:
                doubtful.setdefault(token_id, (one, "is not a token of the tokenizer"))
    if not sources:
        _accept_doubtful(where, doubtful, rows, sources, findings)
    else:
        for token_id, (one, why) in doubtful.items():
            findings.warnings.append(f"{one.path}: {one.key}: token id {token_id} {why}; ignored")
    _warn_if_different(tokenizer, sources, findings)
    ids = list(sources)
    added = [token_id for text in additions if (token_id := tokenizer.token_to_id(text)) is not None]
    findings.notes += [f"end of answer: {_name(tokenizer, end)} ({_sources(named)})" for end, named in sources.items()]
    findings.notes += [f"end of answer: {_name(tokenizer, end)} (model family)" for end in added if end not in sources]
    return list(dict.fromkeys([*ids, *added]))


def start_token(
    path: Path, tokenizer: Tokenizer, rows: int, claims: Sequence[Claim], wanted: Claim | None, findings: Findings
) -> int | None:
    """The id that begins every prompt, or None. `claims` name it, in order of precedence; `wanted` is add_bos_token as it
    is set (its one token is 1 or 0), which overrides the tokenizer's own behaviour.

    Raises ExportError naming `path` if the id has no row in the token table, or if it is wanted but not named.
    """
    own = _prepended(tokenizer)
    named = [
        (one, token_id)
        for one in claims
        for token in one.tokens[:1]
        if (token_id := tokenizer.token_to_id(token) if isinstance(token, str) else token) is not None
    ]
    if wanted is not None and not wanted.tokens[0]:
        if own:
            names = ", ".join(_name(tokenizer, token_id) for token_id in own)
            findings.warnings.append(f"{wanted.path}: {wanted.key}: false, but the tokenizer begins texts with {names}")
        return None
    if len(own) > 1:
        names = ", ".join(_name(tokenizer, token_id) for token_id in own)
        findings.warnings.append(
            f"the tokenizer begins texts with several tokens ({names}); prompts get only what the chat template writes"
        )
        return None
    if own:
        found, source = own[0], "the tokenizer itself"
    elif wanted is None:
        return None
    elif named:
        found, source = named[0][1], f"{named[0][0].source}, {wanted.key}"
    else:
        raise ExportError(f"{path}: {wanted.key}: prompts begin with a token, but no source names it (bos_token)")
    if not 0 <= found < rows:
        raise ExportError(f"{path}: token id {found} is outside the vocabulary of {rows}")
    others = {one.source: token_id for one, token_id in named if token_id != found}
    findings.warnings += [
        f"{source} names {_name(tokenizer, token_id)} as the first token; prompts begin with {_name(tokenizer, found)}"
        for source, token_id in others.items()
    ]
    findings.notes.append(f"beginning of prompt: {_name(tokenizer, found)} ({source})")
    return found


def _accept_doubtful(
    where: str, doubtful: dict[int, tuple[Claim, str]], rows: int, sources: dict[int, list[Claim]], findings: Findings
) -> None:
    """There is nothing better: the model may have been trained to end with an ordinary token."""
    for token_id, (one, why) in doubtful.items():
        if "ordinary" not in why:
            raise ExportError(f"{one.path}: {one.key}: token id {token_id} {why}")
        findings.warnings.append(f"{one.path}: {one.key}: token id {token_id} {why}; answers end with it")
        sources[token_id] = [one]
    if not sources:
        raise ExportError(f"{where} is missing, and no other source names the token that ends an answer")


def _warn_if_different(tokenizer: Tokenizer, sources: dict[int, list[Claim]], findings: Findings) -> None:
    by_source: dict[str, list[int]] = {}
    for token_id, claims in sources.items():
        for one in claims:
            by_source.setdefault(one.source, []).append(token_id)
    if len({frozenset(ids) for ids in by_source.values()}) > 1:
        each = "; ".join(f"{name}: {', '.join(_name(tokenizer, end) for end in ids)}" for name, ids in by_source.items())
        findings.warnings.append(f"sources disagree about what ends an answer; all of these do: {each}")


def _prepended(tokenizer: Tokenizer) -> list[int]:
    """Ids that the tokenizer's post-processor prepends to a text."""
    bare: list[int] = tokenizer.encode("a", add_special_tokens=False).ids
    whole: list[int] = tokenizer.encode("a").ids
    for begin in range(len(whole) - len(bare) + 1):
        if whole[begin : begin + len(bare)] == bare:
            return whole[:begin]
    return []


def _sources(claims: Sequence[Claim]) -> str:
    return ", ".join(dict.fromkeys(one.source for one in claims))


def _name(tokenizer: Tokenizer, token_id: int) -> str:
    return f"{token_id} {tokenizer.id_to_token(token_id)!r}"
