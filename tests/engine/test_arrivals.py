"""Requests wait for their grammar while other requests' steps continue."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from score import open_model
from tiny_model import make_tiny_package
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.loop import Loop
from youtu_edge.engine.scheduler import Scheduler
from youtu_edge.engine.service import make_loop
from youtu_edge.protocol.from_engine import Accepted, Delta, Failed, Finished, FromEngine, StepFrame
from youtu_edge.protocol.to_engine import JsonSchema, Regex, SamplingParams, Submit


class Engine:
    """A loop over the tiny model, and the messages that it sent."""

    def __init__(self, package: Path) -> None:
        runner, prompter, tokenizer = open_model(package, 256)
        self.sent: list[FromEngine] = []
        self.tokens = prompter.encode_text
        scheduler = Scheduler(PagePool(64, 32), max_sequences=4, step_tokens=256)
        self.loop: Loop = make_loop(runner, scheduler, tokenizer, prompter, self.sent.append, max_stall_s=1.0)

    def run(self) -> None:
        """Run until there is no work left."""
        deadline = time.monotonic() + 60
        while self.loop.has_work or self.loop.is_compiling:
            assert time.monotonic() < deadline
            self.loop.admit()
            if self.loop.has_work:
                self.loop.step()

    def about(self, request: str) -> list[FromEngine | Delta | Finished]:
        """Messages about one request, steps taken apart."""
        apart: list[FromEngine | Delta | Finished] = []
        for message in self.sent:
            apart += [*message.deltas, *message.finished] if isinstance(message, StepFrame) else [message]
        return [message for message in apart if getattr(message, "id", "") == request]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_package(tmp_path_factory.mktemp("arrivals") / "package")


def bound(name: str, grammar: Regex | JsonSchema, stop: tuple[str, ...] = ()) -> Submit:
    return Submit(name, SamplingParams(temperature=1.0, seed=1), 60, prompt="x", grammar=grammar, stop=list(stop))


def test_another_request_runs_while_a_grammar_is_compiled(package: Path) -> None:
    """Both end; the bound one matches."""
    engine = Engine(package)
    engine.loop.submit(bound("bound", Regex("regex", "[ab]{3}")))
    engine.loop.submit(Submit("free", SamplingParams(), 5, prompt="y"))
    assert engine.loop.has_work
    engine.run()
    for name, reason in (("bound", "stop"), ("free", "length")):
        accepted, *_, finished = engine.about(name)
        assert isinstance(accepted, Accepted)
        assert isinstance(finished, Finished)
        assert finished.reason == reason
    text = "".join(message.text for message in engine.about("bound") if isinstance(message, Delta))
    assert len(text) == 3
    assert set(text) <= set("ab")


def test_a_request_can_be_cancelled_before_its_grammar_is_there(package: Path) -> None:
    """It is accepted and ended, once each, and nothing of it is left."""
    engine = Engine(package)
    engine.loop.submit(bound("gone", Regex("regex", "[ab]{3}")))
    engine.loop.cancel("gone")
    engine.run()
    accepted, finished = engine.about("gone")
    assert isinstance(accepted, Accepted)
    assert isinstance(finished, Finished)
    assert finished.reason == "cancelled"


def test_a_grammar_that_cannot_be_compiled_fails_its_request(package: Path) -> None:
    """The field is named; it was never accepted."""
    engine = Engine(package)
    engine.loop.submit(bound("bad", JsonSchema("response_format", {"type": "wizard"})))
    engine.run()
    (failed,) = engine.about("bad")
    assert isinstance(failed, Failed)
    assert (failed.code, failed.param) == ("invalid_request", "response_format")


def test_a_resumed_answer_goes_on_in_the_state_of_its_grammar(package: Path) -> None:
    """Tokens that were sent before are shown to the grammar, not emitted; the whole is what it would have been."""
    grammar = JsonSchema("f", {"enum": ["first", "second", "third"]})
    whole = Engine(package)
    whole.loop.submit(bound("r", grammar))
    whole.run()
    deltas = [message for message in whole.about("r") if isinstance(message, Delta)]
    tokens = [token for message in deltas for token in message.tokens]
    text = "".join(message.text for message in deltas)
    assert text in ('"first"', '"second"', '"third"')
    engine = Engine(package)
    for cut in range(1, len(tokens)):
        engine.sent.clear()
        request = bound("r", grammar)
        request.sent_tokens = tokens[:cut]
        engine.loop.submit(request)
        engine.run()
        rest = [token for message in engine.about("r") if isinstance(message, Delta) for token in message.tokens]
        assert tokens[:cut] + rest == tokens


def test_a_stop_text_does_not_cut_what_a_grammar_binds(package: Path) -> None:
    """The grammar tells where the answer ends."""
    engine = Engine(package)
    engine.loop.submit(bound("bound", Regex("regex", "[ab]{5}"), stop=("a", "b", "ab")))
    engine.run()
    text = "".join(message.text for message in engine.about("bound") if isinstance(message, Delta))
    finished = engine.about("bound")[-1]
    assert isinstance(finished, Finished)
    assert (len(text), finished.reason, finished.stop_text) == (5, "stop", None)


def test_token_ids_are_a_prompt_as_they_are(package: Path) -> None:
    """Control tokens are meant; the answer is that to the text of the same tokens."""
    engine = Engine(package)
    engine.loop.submit(Submit("text", SamplingParams(), 4, prompt="the thing"))
    tokens = engine.tokens("the thing")
    engine.loop.submit(Submit("ids", SamplingParams(), 4, prompt_tokens=tokens))
    engine.loop.submit(Submit("control", SamplingParams(), 4, prompt_tokens=[1, *tokens]))
    engine.run()
    drawn = {
        name: [token for message in engine.about(name) if isinstance(message, Delta) for token in message.tokens]
        for name in ("text", "ids", "control")
    }
    assert drawn["ids"] == drawn["text"]
    accepted = engine.about("control")[0]
    assert isinstance(accepted, Accepted)
    assert accepted.prompt_tokens == len(tokens) + 1


@pytest.mark.parametrize("token", [276, 2**31 - 1, -1])
def test_an_id_that_the_model_has_not_fails_the_request_by_name(package: Path, token: int) -> None:
    """It never reaches the graph."""
    engine = Engine(package)
    engine.loop.submit(Submit("bad", SamplingParams(), 4, prompt_tokens=[5, 6, token]))
    engine.run()
    (failed,) = engine.about("bad")
    assert isinstance(failed, Failed)
    assert (failed.code, failed.param) == ("invalid_request", "prompt[2]")
    assert f"{token} is not one of the 276 tokens" in failed.message
