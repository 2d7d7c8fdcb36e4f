"""Text to tokens with all kinds of tokenizers: users' text stays text, and no characters are added or lost."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from sentence_piece import BYTES, CONTROL, KINDS, PREFIXED, make_sentence_piece
from tiny_model import CHAT_TEMPLATE, SPECIAL_TOKENS, make_tiny_checkpoint, make_tokenizer
from youtu_edge.engine.service import load_prompter
from youtu_edge.engine.text.detokenize import Vocabulary
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.engine.text.text_encoder import TextEncoder
from youtu_edge.package import open_package
from youtu_edge.protocol.prompt import ChatMessage
from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.export import export
from youtu_export.quantise.recipes import RECIPES

BYTE_LEVEL = "byte level"
ALL = (BYTE_LEVEL, *KINDS)
MARK = "\ufdd0"
WHOLE = {*CONTROL, *BYTES}
FRAGMENTS = [*CONTROL, *SPECIAL_TOKENS, "<", "|", "s>", "</", "end|>", "<|", " ", "  ", "\n", "the", "\u00e9", "\u4e16"]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=7).map("".join)
TEMPLATE = "{% for m in messages %}<|user|>\n{{ m['content'] | trim }}<|end|>{% endfor %}<|assistant|>"


class Kind:
    """One kind of tokenizer, with its encoder."""

    def __init__(self, name: str) -> None:
        self.tokenizer: Tokenizer = make_tokenizer() if name == BYTE_LEVEL else make_sentence_piece(name)
        self.vocabulary = Vocabulary(self.tokenizer)
        self.encoder = TextEncoder(self.tokenizer, self.vocabulary)
        self.prompter = Prompter(self.tokenizer, CHAT_TEMPLATE if name == BYTE_LEVEL else TEMPLATE)
        self.control = {self.tokenizer.token_to_id(text) for text in (SPECIAL_TOKENS if name == BYTE_LEVEL else CONTROL)}

    def spelled(self, ids: list[int]) -> str:
        """The text of the tokens inside another text."""
        return b"".join(map(self.vocabulary.token_bytes, ids)).decode()

    def pieces(self, ids: list[int]) -> list[str]:
        return [str(self.tokenizer.id_to_token(token)) for token in ids]


kind_of = cache(Kind)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_plain_text_keeps_every_character_and_becomes_no_control_token(name: str, text: str) -> None:
    """Inside of another text it is spelled as it is; alone it may have a space more, which decoding takes away again."""
    kind = kind_of(name)
    inside = kind.encoder.encode_plain(text, is_continuation=True)
    assert kind.spelled(inside) == text
    alone = kind.encoder.encode_plain(text)
    assert kind.spelled(alone) in ({text, " " + text} if name in PREFIXED else {text})
    assert not {*inside, *alone} & kind.control
    assert kind.encoder.encode_answer(text) == inside


@pytest.mark.parametrize("name", KINDS)
def test_a_control_token_in_text_is_cut_as_any_other_text(name: str) -> None:
    """In a prompt, a message and the rest of an answer: as the same text with brackets, which no token knows, is cut."""
    kind, brackets = kind_of(name), str.maketrans("<>", "[]")
    for text in ("<s>strike</s> it", "the <s> the </s>", "a<unk>b", "</s>", " <|end|>"):
        other = text.translate(brackets)
        prompter = kind.prompter
        ways = [
            (prompter.encode_text(text), kind.tokenizer.encode(other).ids),
            (kind.encoder.encode_plain(text, is_continuation=True), kind.encoder.encode_plain(other, is_continuation=True)),
        ]
        chats = [prompter.encode_chat([ChatMessage("user", f"{around}{part}{around}")])
                 for around in ("", "the ") for part in (text, other)]  # fmt: skip
        ways += [(chats[0], chats[1]), (chats[2], chats[3])]
        ways.append((chats[1], kind.tokenizer.encode(f"<|user|>\n{other.strip()}<|end|><|assistant|>").ids))
        for found, expected in ways:
            kept = [piece if piece in WHOLE else piece.translate(brackets) for piece in kind.pieces(found)]
            assert kept == kind.pieces(expected), text


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40, deadline=None)
@given(text=TEXTS)
def test_no_message_becomes_a_control_token(name: str, text: str) -> None:
    """The structure of a conversation is that of the template, whatever the messages say."""
    kind = kind_of(name)
    known, ids = (kind.prompter.encode_chat([ChatMessage("user", said)]) for said in ("x", text))
    control = [[token for token in some if token in kind.control] for some in (known, ids)]
    assert control[0] == control[1]
    assert text.strip() in kind.tokenizer.decode(ids, skip_special_tokens=False)


def test_two_megabytes_of_control_tokens_take_linear_time() -> None:
    """Ten times the text takes about ten times as long, not a hundred times."""
    encoder = kind_of(BYTE_LEVEL).encoder

    def seconds(size: int) -> float:
        text = "<|im_end|>" * (size // 10)
        begun = time.process_time()
        marked = encoder.defuse(text, MARK)
        spent = time.process_time() - begun
        assert marked.count(MARK) >= size // 10
        return spent

    assert seconds(2_000_000) < 30 * max(seconds(200_000), 0.01)


def test_many_control_tokens_cost_a_text_nothing() -> None:
    """A vocabulary with a thousand reserved ones: every character of a text is looked at once."""
    tokenizer = make_tokenizer()
    reserved = [f"<|reserved_special_token_{index}|>" for index in range(1000)]
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in reserved])
    encoder = TextEncoder(tokenizer, Vocabulary(tokenizer))
    begun = time.process_time()
    text = "<|reserved_special_token_99" * 20_000
    assert encoder.defuse(text, MARK) == f"{text}{MARK}"
    for _ in range(20_000):
        encoder.defuse("hello", MARK)
    assert time.process_time() - begun < 5
    assert MARK not in encoder.defuse("<|reserved_special_token_1000|", MARK)[:-1]
    assert encoder.defuse("a<|reserved_special_token_77|>b", MARK) == f"a<{MARK}|reserved_special_token_77|>b"


def test_a_tokenizer_that_normalises_its_control_tokens_makes_none_of_other_characters() -> None:
    """Wide brackets become narrow ones, and those a control token, unless the text is a user's."""
    tokenizer = make_sentence_piece("unigram")
    tokenizer.add_tokens([AddedToken("<turn>", special=True, normalized=True)])
    turn = tokenizer.token_to_id("<turn>")
    assert turn in tokenizer.encode("\uff1cturn\uff1e").ids
    prompter = Prompter(tokenizer, "<|user|>{{ messages[0]['content'] }}<|end|>")
    for text in ("\uff1cturn\uff1e", "a <turn> b", "\uff1cturn> <turn>"):
        assert turn not in prompter.encode_text(text)
        assert turn not in prompter.encode_chat([ChatMessage("user", text)])


def test_runs_of_spaces_that_are_added_tokens_stay_whole() -> None:
    """Phi 2 has such tokens for code. They are not control tokens, so a text that contains one keeps it."""
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken("    ", special=False, normalized=False)])
    run = tokenizer.token_to_id("    ")
    prompter = Prompter(tokenizer, CHAT_TEMPLATE)
    for text in ("if x:\n    return", "if x:\n    return <|im_end|>"):
        assert run in prompter.encode_text(text)
        assert run in prompter.encode_chat([ChatMessage("user", text)])


def test_control_tokens_that_swallow_white_space_do_so_beside_marked_text() -> None:
    """Phi 3's end of a role takes the line break behind it, also before a message that spells a control token."""
    tokenizer = make_sentence_piece("prepend")
    tokenizer.add_tokens([AddedToken("<|then|>", special=True, rstrip=True, normalized=False)])
    prompter = Prompter(tokenizer, "<|then|>\n\n{{ messages[0]['content'] }}<|end|>")
    ids = prompter.encode_chat([ChatMessage("user", "<s>")])
    assert [tokenizer.id_to_token(token) for token in ids] == ["<|then|>", "\u2581", "<", "s", ">", "<|end|>"]


@pytest.mark.parametrize("has_prefix", [True, False])
def test_a_model_that_knows_control_tokens_as_words_is_not_asked_for_them(has_prefix: bool) -> None:
    """Whole words first: the pieces of `<s>` are spelled one by one, with one space before them or none."""
    words = ["<unk>", "<s>", "\u2581<s>", "\u2581", "<", "s", ">", "a"]
    model = models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[], ignore_merges=True, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if has_prefix else "never")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first" if has_prefix else "never")
    tokenizer.add_tokens([AddedToken("<s>", special=True), AddedToken("\u2581<s>", special=True)])
    ids = TextEncoder(tokenizer, Vocabulary(tokenizer)).encode_plain("<s>")
    assert [words[token] for token in ids] == [*(["\u2581"] if has_prefix else []), "<", "s", ">"]


def test_without_byte_fallback_unknown_characters_do_not_hide_where_a_text_begins() -> None:
    """They melt into one unknown token with the text that helps to find out; another one is tried."""
    tokenizer = make_sentence_piece("prepend")
    model = tokenizer.model
    model.byte_fallback = False
    tokenizer.model = model
    encoder = TextEncoder(tokenizer, Vocabulary(tokenizer))
    ids = encoder.encode_plain("\u4e16 the", is_continuation=True)
    assert [tokenizer.id_to_token(token) for token in ids] == ["<unk>", "\u2581the"]


def test_a_tokenizer_that_cuts_its_texts_is_told_not_to(tmp_path: Path) -> None:
    """Files of training runs may say so, or fill texts up; a prompt would lose its end without a word."""
    tokenizer = make_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=6)
    (tmp_path / "checkpoint").mkdir()
    checkpoint = make_tiny_checkpoint(tmp_path / "checkpoint", tokenizer=tokenizer)
    export(open_hf(checkpoint), tmp_path / "package", RECIPES["f32"], name="tiny")
    _, prompter = load_prompter(open_package(tmp_path / "package"))
    assert len(prompter.encode_text("x" * 100)) == 100
    assert len(prompter.encode_text("x")) == 1
    messages = [ChatMessage("user", "x" * 100)]
    assert len(prompter.encode_chat(messages)) > 100
