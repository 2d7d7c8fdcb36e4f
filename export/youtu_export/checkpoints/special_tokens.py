"""Which tokens begin a prompt and end an answer. The one place that decides, whatever file they are named in.

end     every token that any source names: an end too many is never drawn, an end too few lets answers run on unseen
        to the limit. Left out, with a warning, is what cannot be one while other sources name better ones: a stale
        number that means an ordinary token of this tokenizer, or none.
begin   what the tokenizer itself puts in front of a text, unless add_bos_token says otherwise.
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
"""How tokens are written that no text contains, for tokenizers that do not mark them."""


@dataclass(frozen=True)
class Claim:
    """What one source says: tokens by id or by text."""

    path: Path
    key: str
    tokens: tuple[int | str, ...]

    @property
    def source(self) -> str:
        """File and key, as notes name them."""
        return f"{self.path.name} {self.key}"


def claim(path: Path, key: str, value: Any) -> list[Claim]:
    """What `value` names, as no claim or one: null, [] and "" say nothing.

    A key that ends in _id has an id or several, any other a text, perhaps as the content of an object. Raises ExportError
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
    """Ids that end an answer. `rows`: of the token table. `additions`: tokens that end one in every model of the family.

    Raises ExportError when no source names one that the model has; `where` is the file and the key that should.
    """
    control = tokenizer.get_added_tokens_decoder()
    sources: dict[int, list[Claim]] = {}
    doubtful: dict[int, tuple[Claim, str]] = {}
    for said in claims:
        for token in said.tokens:
            token_id = tokenizer.token_to_id(token) if isinstance(token, str) else token
            if token_id is None:
                findings.warnings.append(f"{said.path}: {said.key}: the tokenizer has no token {token!r}; left out")
                continue
            text = tokenizer.id_to_token(token_id) if 0 <= token_id < rows else None
            if text is not None and (token_id in control or _CONTROL_FORM.fullmatch(text)):
                sources.setdefault(token_id, []).append(said)
            elif text is not None:
                doubtful.setdefault(token_id, (said, f"is the ordinary token {text!r}"))
            elif token_id < 0 or token_id >= rows:
                doubtful.setdefault(token_id, (said, f"is outside of the vocabulary of {rows}"))
            else:
                doubtful.setdefault(token_id, (said, "is no token of the tokenizer"))
    if not sources:
        _take_doubtful(where, doubtful, rows, sources, findings)
    else:
        for token_id, (said, why) in doubtful.items():
            findings.warnings.append(f"{said.path}: {said.key}: token id {token_id} {why}; left out")
    _warn_if_different(tokenizer, sources, findings)
    ids = list(sources)
    added = [token_id for text in additions if (token_id := tokenizer.token_to_id(text)) is not None]
    findings.notes += [f"end of answer: {_name(tokenizer, end)} ({_sources(said)})" for end, said in sources.items()]
    findings.notes += [f"end of answer: {_name(tokenizer, end)} (model family)" for end in added if end not in sources]
    return list(dict.fromkeys([*ids, *added]))


def start_token(
    path: Path, tokenizer: Tokenizer, rows: int, claims: Sequence[Claim], wanted: Claim | None, findings: Findings
) -> int | None:
    """The id in front of every prompt, or None. `claims` name it, the strongest first; `wanted` is add_bos_token as it is
    set (its one token 1 or 0), which wins over the tokenizer's own way.

    Raises ExportError naming `path` where it has no row in the token table, or it is wanted and nothing says what it is.
    """
    own = _put_in_front(tokenizer)
    named = [
        (said, token_id)
        for said in claims
        for token in said.tokens[:1]
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
            f"the tokenizer begins texts with several tokens ({names}); prompts get none but what the chat template writes"
        )
        return None
    if own:
        found, source = own[0], "the tokenizer's own way"
    elif wanted is None:
        return None
    elif named:
        found, source = named[0][1], f"{named[0][0].source}, {wanted.key}"
    else:
        raise ExportError(f"{path}: {wanted.key}: prompts begin with a token, but nothing says with which (bos_token)")
    if not 0 <= found < rows:
        raise ExportError(f"{path}: token id {found} is outside of the vocabulary of {rows}")
    others = {said.source: token_id for said, token_id in named if token_id != found}
    findings.warnings += [
        f"{source} names {_name(tokenizer, token_id)} as beginning; prompts begin with {_name(tokenizer, found)}"
        for source, token_id in others.items()
    ]
    findings.notes.append(f"beginning of prompt: {_name(tokenizer, found)} ({source})")
    return found


def _take_doubtful(
    where: str, doubtful: dict[int, tuple[Claim, str]], rows: int, sources: dict[int, list[Claim]], findings: Findings
) -> None:
    """Nothing better is there: an ordinary token may be what the model was trained to end with."""
    for token_id, (said, why) in doubtful.items():
        if "ordinary" not in why:
            raise ExportError(f"{said.path}: {said.key}: token id {token_id} {why}")
        findings.warnings.append(f"{said.path}: {said.key}: token id {token_id} {why}; answers end with it")
        sources[token_id] = [said]
    if not sources:
        raise ExportError(f"{where} is missing, and nothing else says which token ends an answer")


def _warn_if_different(tokenizer: Tokenizer, sources: dict[int, list[Claim]], findings: Findings) -> None:
    said: dict[str, list[int]] = {}
    for token_id, claims in sources.items():
        for one in claims:
            said.setdefault(one.source, []).append(token_id)
    if len({frozenset(ids) for ids in said.values()}) > 1:
        each = "; ".join(f"{name}: {', '.join(_name(tokenizer, end) for end in ids)}" for name, ids in said.items())
        findings.warnings.append(f"sources disagree about what ends an answer, and each of these does: {each}")


def _put_in_front(tokenizer: Tokenizer) -> list[int]:
    """Ids that the tokenizer's post-processor puts in front of a text."""
    bare: list[int] = tokenizer.encode("a", add_special_tokens=False).ids
    whole: list[int] = tokenizer.encode("a").ids
    for begin in range(len(whole) - len(bare) + 1):
        if whole[begin : begin + len(bare)] == bare:
            return whole[:begin]
    return []


def _sources(claims: Sequence[Claim]) -> str:
    return ", ".join(dict.fromkeys(said.source for said in claims))


def _name(tokenizer: Tokenizer, token_id: int) -> str:
    return f"{token_id} {tokenizer.id_to_token(token_id)!r}"
