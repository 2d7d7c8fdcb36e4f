"""Grammars of answers and calls over real tokenizers: what they allow, what they force, and where they end."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer

from engine.grammar_model import Model
from sentence_piece import KINDS
from youtu_edge.engine.grammar.answer_grammar import AnswerGrammar
from youtu_edge.engine.grammar.grammar import GrammarCompiler
from youtu_edge.engine.grammar.token_table import TokenTable
from youtu_edge.engine.text.detokenize import TextStream, Vocabulary
from youtu_edge.protocol.tags import THOUGHTS
from youtu_edge.protocol.to_engine import Grammar, JsonObject, JsonSchema, Lark, Regex
from youtu_edge.request_errors import InvalidRequestError

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 5}, "days": {"type": "integer", "minimum": 1, "maximum": 30}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
CLOCK = {"type": "function", "function": {"name": "clock"}}
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Oslo", "days": 3}}</tool_call>'


@pytest.fixture(scope="module")
def tagged() -> Model:
    """<think> and <tool_call> are tokens of the vocabulary."""
    return Model(has_tags=True)


@pytest.fixture(scope="module")
def plain() -> Model:
    """No tag is a token."""
    return Model(has_tags=False)


@pytest.fixture(scope="module", params=["tags", "no tags", *KINDS])
def model(request: pytest.FixtureRequest, tagged: Model, plain: Model) -> Model:
    """All kinds."""
    known = {"tags": tagged, "no tags": plain}
    return known[request.param] if request.param in known else Model(has_tags=False, kind=request.param)


@pytest.mark.parametrize(
    ("grammar", "good", "bad"),
    [
        (JsonObject("f"), '{"a": [1, "x"]}', "[1]"),
        (JsonSchema("f", SCHEMA), '{"city": "Oslo", "days": 3}', '{"city": "Trondheim"'),
        (JsonSchema("f", SCHEMA), '{"city":"Oslo","days":30}', '{"city": "Oslo", "days": 31'),
        (JsonSchema("f", {"enum": ["yes", "no"]}), '"yes"', '"maybe'),
        (Regex("f", "[a-z]+/[0-9]{2}"), "ab/12", "ab/1x"),
        (Lark("f", 'start: "on" | "off" /!!/'), "off!!", "of!"),
        (Regex("f", " the (light|tool)"), " the light", "the light"),
        (Regex("f", "<s>\u00e9\u4e16(a|b)</s>"), "<s>\u00e9\u4e16b</s>", "<s>\u00e9\u4e17"),
    ],
    ids=str,
)
def test_an_answer_follows_its_grammar_to_the_end(model: Model, grammar: Grammar, good: str, bad: str) -> None:
    """A valid answer is allowed token by token and may end there and not before; an invalid one is stopped."""
    state = model.grammar(grammar)
    for token in model.ids(good):
        assert not model.may_end(state)
        assert token in model.allowed(state)
        state.accept(token)
    assert model.may_end(state)
    assert model.refused(model.grammar(grammar), bad) is not None


def test_a_grammar_may_ask_for_characters_that_the_tokenizer_never_makes(model: Model) -> None:
    """A normalizer writes `a` for a wide one; the bytes of the grammar are what counts."""
    text = "\uff41\ufb01 \u2460".encode()
    state = model.grammar(Regex("f", text.decode()), may_think=False)
    while text:
        allowed = model.allowed(state) - {model.eos}
        token = max(allowed, key=lambda token: len(model.vocabulary.token_bytes(token)))
        data = model.vocabulary.token_bytes(token)
        assert text.startswith(data)
        state.accept(token)
        text = text[len(data) :]
    assert model.may_end(state)


@pytest.mark.parametrize("begin", ['{ "city"', '{\n"city"', '{"city" :', '{"city":  "', '{"city": "Oslo",\n'])
def test_json_is_one_line(model: Model, begin: str) -> None:
    """One blank at most, behind commas and colons; small models would go on writing white space for ever."""
    assert model.refused(model.grammar(JsonSchema("f", SCHEMA)), begin) is not None


def test_a_walk_that_takes_any_allowed_token_ends_in_valid_json(model: Model) -> None:
    """Whatever the model prefers, the answer satisfies the schema."""
    rng = np.random.default_rng(5)
    for _ in range(30):
        state, out = model.grammar(JsonSchema("f", SCHEMA), may_think=False), list[int]()
        while not state.is_complete:
            token = int(rng.choice(sorted(model.allowed(state) - {model.eos})))
            state.accept(token)
            out.append(token)
        text = b"".join(model.vocabulary.token_bytes(token) for token in out).decode()
        jsonschema.validate(json.loads(text), SCHEMA)


@pytest.mark.parametrize(
    ("grammar", "words"),
    [
        (JsonSchema("response_format", {"type": "wizard"}), "wizard"),
        (JsonSchema("response_format", {"type": "object", "not": {"type": "string"}}), "not"),
        (JsonSchema("response_format", False), "no answer"),
        (Regex("regex", "(("), "regex"),
        (Regex("regex", "(?=x)y"), "look-ahead"),
        (Lark("grammar", "start: nothing"), "nothing"),
    ],
    ids=str,
)
def test_what_cannot_be_compiled_is_refused_by_the_name_of_its_field(plain: Model, grammar: Grammar, words: str) -> None:
    """The message has the compiler's reason."""
    with pytest.raises(InvalidRequestError, match=words) as refused:
        plain.grammar(grammar)
    assert refused.value.param == grammar.param


def test_the_tool_that_cannot_be_compiled_is_named(plain: Model) -> None:
    """Also beside a grammar of the answer."""
    bad = {"type": "function", "function": {"name": "x", "parameters": {"type": "wizard"}}}
    for grammar in (None, Regex("regex", "a")):
        with pytest.raises(InvalidRequestError, match="wizard") as refused:
            plain.grammar(grammar, tools=(WEATHER, bad))
        assert refused.value.param == "tools[1]"


def test_a_free_answer_is_masked_only_within_a_call(model: Model) -> None:
    """Text may be anything and end anywhere; a call that has begun has to be finished as its schema says."""
    state = model.grammar(tools=(WEATHER, CLOCK))
    assert model.refused(state, "Let me look. ") is None
    assert model.may_end(state)
    assert model.refused(state, CALL[:-20]) is None
    assert not model.may_end(state)
    assert model.refused(state, CALL[-20:] + "\n" + CALL) is None
    assert model.may_end(state)
    assert model.refused(model.grammar(tools=(WEATHER,)), CALL.replace("Oslo", "Helsinki")) is not None
    assert model.refused(model.grammar(tools=(WEATHER,)), '<tool_call>{"name": "clock"') is not None
    assert model.refused(model.grammar(tools=(CLOCK,)), '<tool_call>{"name": "clock", "arguments": {}}</tool_call>') is None
    assert model.refused(model.grammar(tools=(CLOCK,)), '<tool_call>{"name": "clock", "arguments": {"a"') is not None


def test_a_required_call_leaves_no_choice(model: Model) -> None:
    """The answer begins with a call of one of the named tools, and may have more of them if they may be parallel."""
    state = model.grammar(tools=(WEATHER, CLOCK), must_call=("weather",), may_think=False)
    assert model.refused(state, "Let me") is not None
    state = model.grammar(tools=(WEATHER, CLOCK), must_call=("weather",))
    assert model.refused(state, '<tool_call>{"name": "clock"') is not None
    state = model.grammar(tools=(WEATHER, CLOCK), must_call=("weather",))
    assert model.refused(state, CALL) is None
    assert model.may_end(state)
    assert model.refused(state, "\n" + CALL) is None


def test_one_call_is_the_end_when_calls_may_not_be_parallel(model: Model) -> None:
    """In a free answer too."""
    for must_call in ((), ("weather",)):
        state = model.grammar(tools=(WEATHER,), must_call=must_call, parallel=False)
        assert model.refused(state, CALL) is None
        assert state.is_complete


def test_a_bound_answer_may_be_a_call_instead(model: Model) -> None:
    """With a grammar and tools, nothing else is possible."""
    bound = Regex("regex", "yes|no")
    for text in ("yes", CALL):
        state = model.grammar(bound, tools=(WEATHER,))
        assert model.refused(state, text) is None
        assert model.may_end(state)
    assert model.refused(model.grammar(bound, tools=(WEATHER,)), "maybe") is not None


def test_a_thought_is_free_and_the_answer_behind_it_is_bound(tagged: Model) -> None:
    """Inside of a thought only the end of the answer is forbidden."""
    state = tagged.grammar(Regex("regex", "yes|no"))
    assert tagged.refused(state, "<think>\nmaybe {") is None
    assert not tagged.may_end(state)
    assert tagged.refused(state, "</think>\n") is None
    assert tagged.refused(state, "maybe") is not None
    assert tagged.refused(state, "no") is None
    assert tagged.may_end(state)
    assert tagged.refused(tagged.grammar(Regex("regex", "yes|no"), in_thought=True), "hm</think>yes") is None
    assert tagged.refused(tagged.grammar(Regex("regex", "yes|no"), may_think=False), "<think>") is not None


@pytest.mark.parametrize(("begin", "end"), THOUGHTS.items())
def test_every_kind_of_thought_may_precede_a_required_call(begin: str, end: str, tagged: Model) -> None:
    """It ends with its own tag."""
    other = next(tag for tag in THOUGHTS.values() if tag != end)
    state = tagged.grammar(tools=(CLOCK,), must_call=("clock",))
    assert tagged.refused(state, f"{begin}so {other} ") is None
    assert tagged.refused(state, f"{end}\n<tool_call>") is None
    assert tagged.refused(state, "nonsense") is not None


def test_a_call_inside_of_a_thought_is_not_a_call(model: Model) -> None:
    """The model may think about tools as it likes, also where it has to spell the tags."""
    state = model.grammar(tools=(WEATHER,))
    assert model.refused(state, "<think>a <tool_call> would do</think>\n\nSo: ") is None
    assert model.refused(state, "<tool_call>nonsense") is not None


def test_a_token_that_runs_over_the_end_of_the_tag_is_taken_apart(plain: Model) -> None:
    """Models without a token for <tool_call> may write the end of the tag and the brace in one."""
    tokenizer = plain.tokenizer
    model = Model(has_tags=False)
    model.tokenizer = Tokenizer.from_str(tokenizer.to_str())
    model.tokenizer.add_tokens([AddedToken('>{"', special=False, normalized=False)])
    model.vocabulary, model.size = Vocabulary(model.tokenizer), model.tokenizer.get_vocab_size()
    model.table = TokenTable(model.vocabulary, model.size, frozenset({model.eos}), model.ids)
    model.compiler = GrammarCompiler(model.table, model.vocabulary, frozenset({model.eos}), frozenset())
    state = model.grammar(tools=(CLOCK,))
    assert model.refused(state, "<tool_call") is None
    state.accept(model.tokenizer.token_to_id('>{"'))
    assert model.allowed(state) <= set(model.ids("n") + model.ids("name"))


def test_a_grammar_that_takes_too_long_is_given_up(plain: Model) -> None:
    """An ambiguous one takes longer with every token."""
    state = AnswerGrammar(
        plain.table,
        plain.vocabulary.token_bytes,
        answer=plain.table.matcher('start: a\na: "x" | a a\n'),
        call=None,
        eos=frozenset({plain.eos}),
        max_token_s=0.004,
    )
    with pytest.raises(InvalidRequestError, match="less ambiguous"):
        plain.refused(state, "x" * 2000)


def written(model: Model, text: str, stop: str) -> tuple[str, str | None]:
    """The text sent for an answer with tools, and the stop string that ended it."""
    grammar = model.grammar(tools=(WEATHER,))
    stream = TextStream(model.vocabulary, [stop], call_begin="<tool_call>")
    shown = ""
    for token in model.ids(text):
        shown += stream.push(token, in_call=grammar.accept(token))
        if stream.stopped:
            break
    return shown + stream.finish(), stream.stop_text


@pytest.mark.parametrize("stop", ["Oslo", '"', "{", "3}}", "<", ">", "</", "tool_call>", "call", "d<tool", "weather", ">{"])
def test_a_stop_text_does_not_count_in_a_call_nor_in_its_tags(model: Model, stop: str) -> None:
    """Whether the tag is a single token or spelled out, and in the second call too."""
    answer = f"Good{CALL}\n{CALL}"
    assert written(model, answer, stop) == (answer, None)


@pytest.mark.parametrize(
    ("answer", "stop", "shown"),
    [
        (f"One two{CALL}", "two", "One "),
        (f"One{CALL} two", "two", f"One{CALL} "),
        ("a <b> c", "<", "a "),
        ("a <tool> c", "ool", "a <t"),
        ("a <tool", "<", "a "),
        ("a <", "<", "a "),
    ],
)
def test_a_stop_text_counts_in_the_text_around_calls(model: Model, answer: str, stop: str, shown: str) -> None:
    """Also where the text looks as if a call began, and did not."""
    assert written(model, answer, stop) == (shown, stop)
