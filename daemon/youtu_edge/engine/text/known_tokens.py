"""Encodes an earlier answer in a prompt with exactly the tokens that were sampled for it.

A text has many tokenisations, and a model does not always produce the tokenizer's. If an earlier answer were encoded again,
the prefix cache would match it only up to the first difference. So the answer is bracketed before the template is rendered,
and the text between the brackets is matched against its tokens:

    sampled  [ The| qu|ick| bro|wn| fox ]        sent, and so in the prompt:  "The quick br"
    prompt   [ The| qu|ick ]  + the tokenizer's tokens of " br"
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from youtu_edge.engine.text.detokenize import Vocabulary
from youtu_edge.protocol.prompt import ChatMessage

# Noncharacters like the marks of prompt.py, but different ones.
_BEGIN, _END = "\U0001fffe", "\U0001ffff"
_BRACKETED = re.compile(f"{_BEGIN}([^{_BEGIN}{_END}]*){_END}")


def bracket(messages: list[ChatMessage]) -> list[ChatMessage]:
    """The messages with brackets around every answer whose tokens are known; unchanged if they contain brackets."""
    if any(_BEGIN in message.content or _END in message.content for message in messages):
        return messages
    return [
        msgspec.structs.replace(message, content=f"{_BEGIN}{message.content}{_END}") if message.tokens else message
        for message in messages
    ]


def unbracket(text: str) -> str:
    """The text without the brackets."""
    return text.replace(_BEGIN, "").replace(_END, "")


def split(rendered: str, messages: list[ChatMessage], vocabulary: Vocabulary, mark: str) -> Iterator[list[int] | str]:
    """The rendered conversation as known token ids and, between them, text that is not encoded yet, in order.

    `messages` are those before `bracket`; `mark` may be anywhere in the text and is ignored. An answer that the template
    changed, or whose tokens do not match the text (they are from another model), is treated as text.
    """
    answers = [message for message in messages if message.tokens]
    position, text = 0, ""
    for found in _BRACKETED.finditer(rendered):
        text += unbracket(rendered[position : found.start()])
        position = found.end()
        content = found[1].replace(mark, "")
        index = next((index for index, answer in enumerate(answers) if answer.content == content), None)
        ids, length = list[int](), 0
        if index is not None:
            ids, length = known_beginning(answers[index].tokens, content, vocabulary)
            del answers[: index + 1]
        if ids:
            # A space that the template writes before the answer is the leading space of the first token.
            has_space = sum(len(vocabulary.token_bytes(token)) for token in ids) > len(content[:length].encode())
            yield text.removesuffix(" ") if has_space else text
            yield ids
            text = ""
        text += _skip(found[1], length, mark)
    yield text + unbracket(rendered[position:])


def known_beginning(tokens: list[int], text: str, vocabulary: Vocabulary) -> tuple[list[int], int]:
    """The longest prefix of `tokens` that matches a prefix of `text`, and its length in characters.

    It ends before the first control token: text never becomes one. If the vocabulary drops the leading space of an answer's
    first token, the tokens may have that space although the text does not.
    """
    ids, length = _beginning(tokens, text.encode(), vocabulary)
    if vocabulary.strips_first_space:
        spaced, reached = _beginning(tokens, b" " + text.encode(), vocabulary)
        if reached - 1 > length or (spaced and not ids):
            return spaced, max(reached - 1, 0)
    return ids, length


def _beginning(tokens: list[int], text: bytes, vocabulary: Vocabulary) -> tuple[list[int], int]:
    count = position = whole = 0
    for index, token in enumerate(tokens):
        piece = vocabulary.token_bytes(token)
        if not piece or not text.startswith(piece, position):
            break
        position += len(piece)
        if position == len(text) or text[position] & 0xC0 != 0x80:  # not inside a character
            count, whole = index + 1, position
    return tokens[:count], len(text[:whole].decode())


def _skip(text: str, length: int, mark: str) -> str:
    """`text` without its first `length` characters, not counting marks."""
    position = 0
    while length:
        length -= text[position] != mark
        position += 1
    return text[position:]
