"""From text to token ids: control tokens where the template wrote them, plain text where a user did.

Text from users is data: `<s>` in a message must reach the model as three characters, never as the control token, and with
the tokens that it would have in a vocabulary without control tokens. A noncharacter, the mark, is inserted into such a text
before the template is rendered, and marked text between two control tokens of the template is encoded separately:

    content    a <s> b     ->   a <¦s> b    ->   template   ->   <|user|>\\n a <¦s> b <|end|>
    encoded                                                      control |  plain   | control

Most conversations contain no mark; the tokenizer encodes them whole.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer

from youtu_edge.engine.text.detokenize import Vocabulary

_LEADS = ("\ufdd0", "\n", ".", "0", "a", "\u4e00")
"""Texts put before another one to encode it; at least one of them does not merge with it into one token."""
_MOST_LEAD_TOKENS = 8
_UNKNOWN = "\ufdd0\U000ffffd"
"""Not in any vocabulary: a model without byte fallback encodes them as its unknown token."""


class TextEncoder:
    """Encodes for one `tokenizers.Tokenizer`, whose components it shares."""

    def __init__(self, tokenizer: Any, vocabulary: Vocabulary) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        control = {i: token for i, token in tokenizer.get_added_tokens_decoder().items() if _is_control(token)}
        contents = [token.content for token in control.values()]
        self._ids = frozenset(control)
        self._control = re.compile(f"({_alternatives(contents)})") if contents else None
        self._trims_behind = {token.content for token in control.values() if token.rstrip}
        self._trims_before = {token.content for token in control.values() if token.lstrip}
        self._beginnings = {content[:cut] for content in contents for cut in range(1, len(content))}
        self._endings = {content[cut:] for content in contents for cut in range(1, len(content))}
        self._longest = max(map(len, contents), default=0)
        self._is_normalised = tokenizer.normalizer is not None and any(token.normalized for token in control.values())
        self._plain = _without_control_tokens(tokenizer)
        self._unknown = self._ids.intersection(self._plain.encode(_UNKNOWN).ids)
        self._leads: list[str] = []
        if self._spelled(self._plain.encode("a").ids) != b"a":
            self._leads = [lead for lead in _LEADS if self._spelled(self._behind(lead, "a") or []) == b"a"]
        whole = [token.content for token in control.values() if not token.single_word]
        self._begins_anew = not whole or self._is_prefixed_behind(whole[0])

    def defuse(self, text: str, mark: str) -> str:
        """Insert `mark` after the first character of every control token, and at an end of the text that could form one
        with adjacent text of the template. Takes linear time."""
        if self._control is None:
            return text
        # Templates may trim a message, so its ends are those of the stripped text.
        body = text.strip()
        begin = text.index(body)
        most = min(self._longest, len(body) + 1)
        cuts = {begin} if any(body[:size] in self._endings for size in range(1, most)) else set()
        cuts |= {begin + len(body)} if any(body[-size:] in self._beginnings for size in range(1, most)) else set()
        found = self._control.search(text)
        if found is None and self._is_normalised and self._control.search(self._tokenizer.normalizer.normalize_str(text)):
            return mark.join(["", *text, ""])  # normalising turns other characters into a control token
        while found is not None:
            cuts.add(found.start() + 1)
            found = self._control.search(text, found.start() + 1)
        if not cuts:
            return text
        return mark.join(text[i:j] for i, j in itertools.pairwise([0, *sorted(cuts), len(text)]))

    def encode(self, text: str, mark: str, *, is_continuation: bool = False) -> list[int]:
        """Ids of a rendered text in which `mark` separates the users' control tokens."""
        if mark not in text and not is_continuation:
            return self._encode(text)
        ids: list[int] = []
        whole = ""  # text collected for the tokenizer itself
        parts = [text] if self._control is None else self._control.split(text)
        for index, part in enumerate(parts):
            if index % 2 or (mark not in part and (index or not is_continuation)):
                whole += part
                continue
            before, behind = parts[index - 1] if index else "", parts[index + 1] if index + 1 < len(parts) else ""
            part = part.lstrip() if before in self._trims_behind else part
            part = part.rstrip() if behind in self._trims_before else part
            begins = self._begins_anew if index else not is_continuation
            ids += self._encode(whole) + self.encode_plain(part.replace(mark, ""), is_continuation=not begins)
            whole = ""
        return ids + self._encode(whole)

    def encode_plain(self, text: str, *, is_continuation: bool = False) -> list[int]:
        """Ids of a text in which no control token is recognised.

        is_continuation: the text continues another one, so no space is added before its first word.
        """
        ids = self._without_prefix(text) if is_continuation else self._plain.encode(text).ids
        found = self._ids.intersection(ids)
        if found <= self._unknown and not (found and self._control and self._control.search(text)):
            return ids
        # The control token is also a word of the BPE model: encode it character by character.
        ids = []
        for index, piece in enumerate(self._broken(text)):
            ids += self._without_prefix(piece) if index or is_continuation else self._plain.encode(piece).ids
        return [token for token in ids if token not in self._ids or token in self._unknown]

    def encode_answer(self, text: str) -> list[int]:
        """Ids of a text as a model would produce it inside an answer.

        Tags such as <tool_call> become their control tokens, and no space is added before the first word.
        """
        ids: list[int] = []
        waiting = ""
        for part in self._control.split(text) if self._control else [text]:
            token = self._tokenizer.token_to_id(part)
            if token not in self._ids or self._vocabulary.token_bytes(token) != part.encode():
                waiting += part
                continue
            ids += [*self.encode_plain(waiting, is_continuation=True), token]
            waiting = ""
        return ids + self.encode_plain(waiting, is_continuation=True)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids if text else []
        return ids

    def _broken(self, text: str) -> list[str]:
        """The text in pieces; every character of a control token is a separate piece."""
        if self._control is None or self._control.search(text) is None:
            return list(text)
        parts = self._control.split(text)
        return [piece for index, part in enumerate(parts) if part for piece in (part if index % 2 else [part])]

    def _without_prefix(self, text: str) -> list[int]:
        """Ids of a text inside another one."""
        for lead in self._leads:
            ids = self._behind(lead, text)
            if ids is not None:
                return ids
        plain: list[int] = self._plain.encode(text).ids
        return plain

    def _behind(self, lead: str, text: str) -> list[int] | None:
        """Ids of a text after `lead`, without those of `lead`; None if a token spans both.

        If no token crosses the boundary, merges and best paths on each side do not depend on the other side.
        """
        encoding = self._plain.encode(lead + text)
        size = len(encoding)
        for index in range(min(size, _MOST_LEAD_TOKENS)):
            begin, end = encoding.token_to_chars(index) or (0, 0)
            if begin >= len(lead):
                ids: list[int] = encoding.ids[index:]
                return ids
            if end > len(lead):
                return None
        return [] if size <= _MOST_LEAD_TOKENS else None

    def _is_prefixed_behind(self, control: str) -> bool:
        """Whether a text gets the prefix space after a control token too, not only at the beginning."""
        ids = self._encode(f"{control}a")
        return ids[1:] == self._plain.encode("a").ids

    def _spelled(self, ids: Iterable[int]) -> bytes:
        return b"".join(map(self._vocabulary.token_bytes, ids))


def _is_control(token: Any) -> bool:
    """Whether text must not become this added token; blank tokens that are not special only compress white space."""
    return len(token.content) > 1 and (token.special or bool(token.content.replace("\u2581", " ").strip()))


def _without_control_tokens(tokenizer: Any) -> Tokenizer:
    """A tokenizer that recognises no control tokens. The vocabulary is shared, not copied."""
    plain = Tokenizer(tokenizer.model)
    if tokenizer.normalizer is not None:
        plain.normalizer = tokenizer.normalizer
    if tokenizer.pre_tokenizer is not None:
        plain.pre_tokenizer = tokenizer.pre_tokenizer
    for token_id, token in sorted(tokenizer.get_added_tokens_decoder().items()):
        known = plain.token_to_id(token.content)
        if not _is_control(token) and (plain.get_vocab_size() if known is None else known) == token_id:
            plain.add_tokens([token])
    return plain


def _alternatives(texts: Iterable[str]) -> str:
    """A pattern that matches the longest of the texts and reads every character once: a prefix tree."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[:1], []).append(text)
    found = []
    for group in (group for begin, group in groups.items() if begin):
        first, last = min(group), max(group)
        same = first[: next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))]
        rests = _alternatives({text[len(same) :] for text in group})
        found.append(re.escape(same) + rests)
    if not found:
        return ""
    pattern = f"(?:{'|'.join(found)})"
    return f"{pattern}?" if "" in groups else pattern
