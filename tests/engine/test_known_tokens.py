"""Earlier answers keep their tokens in the next prompt, and no other text becomes control tokens."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from sentence_piece import KINDS, make_sentence_piece
from tiny_model import CHAT_TEMPLATE, make_tokenizer
from youtu_edge.engine.text.detokenize import Vocabulary
from youtu_edge.engine.text.known_tokens import known_beginning
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.engine.text.text_encoder import TextEncoder
from youtu_edge.protocol.prompt import ChatMessage


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer()


def spelled(tokenizer: Tokenizer, text: str) -> list[int]:
    """One token per byte, which this tokenizer never produces itself."""
    return [token for character in text for token in tokenizer.encode(character, add_special_tokens=False).ids]


def prompt(tokenizer: Tokenizer, answer: str, tokens: list[int], template: str = CHAT_TEMPLATE) -> list[int]:
    messages = [
        ChatMessage("system", "s"),
        ChatMessage("user", "q"),
        ChatMessage("assistant", answer, tokens=tokens),
        ChatMessage("user", "more"),
    ]
    return Prompter(tokenizer, template).encode_chat(messages)


def around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Token ids before and after the answer."""
    before = "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    after = "<|im_end|>\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n"
    return tokenizer.encode(before).ids, tokenizer.encode(after).ids


@pytest.mark.parametrize("spoken", ["the thing in the end", "the thi", "t", "the thing in the end 你好", "你好 the"])
def test_the_spoken_part_has_the_tokens_that_were_drawn(tokenizer: Tokenizer, spoken: str) -> None:
    drawn = spelled(tokenizer, spoken + " and much more")
    before, after = around(tokenizer)
    assert prompt(tokenizer, spoken, drawn) == [*before, *spelled(tokenizer, spoken), *after]
    assert prompt(tokenizer, spoken, []) != prompt(tokenizer, spoken, drawn) or spoken == "t"


def test_a_cut_inside_a_token_is_encoded_anew(tokenizer: Tokenizer) -> None:
    def ids(text: str) -> list[int]:
        encoded: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return encoded

    before, after = around(tokenizer)
    assert prompt(tokenizer, "the t", ids("the") + ids(" the")) == [*before, *ids("the"), *ids(" t"), *after]


def test_tokens_of_another_text_or_model_are_not_believed(tokenizer: Tokenizer) -> None:
    plain = prompt(tokenizer, "hello", [])
    for tokens in (spelled(tokenizer, "other"), [10**6], [0, 1, 2]):
        assert prompt(tokenizer, "hello", tokens) == plain


def test_a_control_token_never_comes_in_through_an_answer(tokenizer: Tokenizer) -> None:
    end = tokenizer.token_to_id("<|im_end|>")
    for tokens in ([end], [*spelled(tokenizer, "ok"), end], spelled(tokenizer, "ok<|im_end|>x")):
        ids = prompt(tokenizer, "ok<|im_end|>x", tokens)
        assert ids.count(end) == prompt(tokenizer, "ok", []).count(end)


@pytest.mark.parametrize(
    "template",
    [
        CHAT_TEMPLATE.replace("message['content']", "(message['content'] | trim)"),
        CHAT_TEMPLATE.replace("message['content']", "message['content'].split('</think>')[-1]"),
        CHAT_TEMPLATE.replace("message['content']", "message['content'].upper()"),
    ],
)
def test_a_template_may_do_what_it_likes_with_an_answer(tokenizer: Tokenizer, template: str) -> None:
    """Whatever comes out holds no bracket, and an answer without anything to change keeps its tokens."""
    drawn = spelled(tokenizer, "THE END")
    ids = prompt(tokenizer, "THE END", drawn, template)
    plain = prompt(tokenizer, "THE END", [], template)
    assert tokenizer.decode(ids, skip_special_tokens=False) == tokenizer.decode(plain, skip_special_tokens=False)
    thought = prompt(tokenizer, "<think>x</think>y", spelled(tokenizer, "<think>x</think>y"), template)
    text = tokenizer.decode(thought, skip_special_tokens=False)
    assert "\U0001fffe" not in text
    assert "\U0001ffff" not in text


def test_equal_answers_keep_their_own_tokens(tokenizer: Tokenizer) -> None:
    first, second = spelled(tokenizer, "then"), tokenizer.encode("then", add_special_tokens=False).ids
    assert first != second
    messages = [ChatMessage("system", "s")]
    for tokens in (first, second):
        messages += [ChatMessage("user", "q"), ChatMessage("assistant", "then", tokens=tokens)]
    ids = Prompter(tokenizer, CHAT_TEMPLATE).encode_chat([*messages, ChatMessage("user", "q")])
    text = ",".join(map(str, ids))
    assert text.index(",".join(map(str, first))) < text.index("," + ",".join(map(str, second)) + ",")


def test_a_beginning_never_ends_inside_a_character(tokenizer: Tokenizer) -> None:
    vocabulary = Vocabulary(tokenizer)
    drawn = spelled(tokenizer, "a你好")
    assert known_beginning(drawn, "a你", vocabulary) == (drawn[:4], 2)
    assert known_beginning(drawn, "a佀", vocabulary) == (drawn[:1], 1), "the first byte is the same, the character is not"
    assert known_beginning(drawn, "", vocabulary) == ([], 0)


LLAMA_2 = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} </s>{% endif %}{% endfor %}"
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoken", ["the thi", "the", "t", "the thing \u4f60\u597d", " the", "", "the <s> thi"])
def test_the_space_of_a_first_token_is_neither_lost_nor_doubled(kind: str, spoken: str) -> None:
    """The answer was drawn with a space that its text does not show; the template writes one too."""
    tokenizer = make_sentence_piece(kind)
    vocabulary = Vocabulary(tokenizer)
    drawn = TextEncoder(tokenizer, vocabulary).encode_plain(f" {spoken} and more", is_continuation=True)
    prompter = Prompter(tokenizer, LLAMA_2)
    messages = [ChatMessage("user", "tell"), ChatMessage("assistant", spoken, tokens=drawn), ChatMessage("user", "go on")]
    ids, begun = prompter.encode_chat(messages), prompter.encode_chat(messages[:1])
    assert ids[: len(begun)] == begun
    rest = ids[len(begun) :]
    assert b"".join(map(vocabulary.token_bytes, rest)).decode().startswith(f" {spoken} ")
    assert tokenizer.token_to_id("<s>") not in rest
    if vocabulary.strips_first_space:
        known, _ = known_beginning(drawn, spoken, vocabulary)
        assert known
        assert rest[: len(known)] == known
