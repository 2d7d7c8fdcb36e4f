"""ChatGLM-6B, the first generation: a bidirectional prompt, positions in pairs, and what they mean for the scheduler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export import chatglm_first as reference
from export.chatglm_first import GMASK, SOP, random_tensors, write_checkpoint
from export.small_families import Tensors
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.model.runner import Runner
from youtu_edge.engine.scheduler import Scheduler
from youtu_edge.engine.service import load_prompter, make_loop
from youtu_edge.package import open_package
from youtu_edge.protocol.from_engine import FromEngine, StepFrame
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.protocol.to_engine import SamplingParams, Submit
from youtu_export.__main__ import main

PAGE_TOKENS = 16
QUESTIONS = ["How high is the river?", "a b c", "Is the land above the water, or below it? And the house?"]


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return random_tensors()


@pytest.fixture(scope="module")
def package(tensors: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("chatglm")
    checkpoint = write_checkpoint(directory / "checkpoint", tensors)
    assert main(["hf", str(checkpoint), str(directory / "package"), "--recipe", "f32"]) == 0
    return directory / "package"


class Engine:
    """The real scheduler, loop and runner in this process."""

    def __init__(self, package: Path, pages: int) -> None:
        opened = open_package(package)
        runner = Runner(opened, page_tokens=PAGE_TOKENS, threads=1, spin_us=0, context_length=128)
        runner.allocate_cache(pages)
        tokenizer, self.prompter = load_prompter(opened)
        self.messages: list[FromEngine] = []
        self.scheduler = Scheduler(PagePool(pages, PAGE_TOKENS), max_sequences=4, step_tokens=160)
        self.loop = make_loop(runner, self.scheduler, tokenizer, self.prompter, self.messages.append, max_stall_s=1)

    def ask(self, name: str, prompt: str, tokens: int, sent: list[int] | None = None) -> None:
        self.loop.submit(Submit(name, SamplingParams(), tokens, prompt=prompt, ignore_eos=True, sent_tokens=sent or []))

    def run(self) -> None:
        while self.loop.has_work:
            self.loop.step()
            self.scheduler.pool.check_integrity()

    def answer(self, name: str) -> list[int]:
        deltas = [delta for message in self.messages if isinstance(message, StepFrame) for delta in message.deltas]
        return [token for delta in deltas if delta.id == name for token in delta.tokens]


def greedy(tensors: Tensors, ids: list[int], count: int) -> list[int]:
    """By the reference, which computes everything anew for every token."""
    ids = list(ids)
    for _ in range(count):
        ids.append(int(reference.logits(tensors, ids)[-1].argmax()))
    return ids[-count:]


def test_logits_of_prompt_and_answer_are_those_of_the_reference(tensors: Tensors, package: Path) -> None:
    """The prompt in one step, <sop> and a piece of the answer in another, then a single token."""
    ids = [*range(40, 63), GMASK, SOP, 70, 90, 41]
    expected = reference.logits(tensors, ids)
    runner = Runner(open_package(package), page_tokens=PAGE_TOKENS, threads=1, spin_us=0, context_length=128)
    runner.allocate_cache(4)
    prefix, found, pages = ids.index(SOP), [], [list(range(4))]
    for begin, end in ((0, prefix), (prefix, prefix + 3), (prefix + 3, len(ids))):
        rows = list(range(end - begin))
        found.append(runner.run(ids[begin:end], [end - begin], [begin], pages, rows, [prefix]).copy())
    np.testing.assert_allclose(np.concatenate(found), expected, atol=2e-4, rtol=0)


def test_requests_that_share_steps_answer_as_if_alone(tensors: Tensors, package: Path) -> None:
    """Prompts of different lengths join while others decode; texts with an equal beginning share no cached rows."""
    engine = Engine(package, pages=32)
    for index, question in enumerate([*QUESTIONS, QUESTIONS[0] + " And how low?"]):
        engine.ask(str(index), question, 12)
        engine.loop.step()
    engine.run()
    for index, question in enumerate([*QUESTIONS, QUESTIONS[0] + " And how low?"]):
        ids = engine.prompter.encode_text(question)
        assert ids[-2:] == [GMASK, SOP]
        assert engine.answer(str(index)) == greedy(tensors, ids, 12)


def test_a_preempted_or_resumed_answer_continues_the_same_way(tensors: Tensors, package: Path) -> None:
    """Recomputing takes the prompt in one bidirectional piece and the answer so far in a causal one."""
    engine = Engine(package, pages=4)
    expected = {q: greedy(tensors, engine.prompter.encode_text(q), 24) for q in QUESTIONS[:2]}
    for question in expected:
        engine.ask(question, question, 24)
    engine.run()
    assert engine.scheduler.num_preemptions > 0
    for question, tokens in expected.items():
        assert engine.answer(question) == tokens
        engine.ask(f"{question} again", question, 24, sent=tokens[:10])
    engine.run()
    for question, tokens in expected.items():
        assert engine.answer(f"{question} again") == tokens[10:]


def test_conversations_are_written_in_rounds(package: Path) -> None:
    """One question stands for itself; what follows is numbered, with the questions and answers that the model knows."""
    _, prompter = load_prompter(open_package(package))
    turns = [ChatMessage("user", "你好"), ChatMessage("assistant", "您好"), ChatMessage("user", "天气")]
    assert prompter.render(turns[:1]) == "你好"
    assert prompter.render(turns) == "[Round 0]\n问：你好\n答：您好\n[Round 1]\n问：天气\n答："
    system = [ChatMessage("system", "简短"), *turns[:1]]
    assert prompter.render(system) == "简短\n你好"
    assert prompter.encode_chat(turns)[-2:] == [GMASK, SOP]


def test_a_rounded_package_stays_close(tensors: Tensors, tmp_path: Path, package: Path) -> None:
    """Eight bits change logits of random weights a little; the float cache of recipe f32 is not needed."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", tensors)
    assert main(["hf", str(checkpoint), str(tmp_path / "q8"), "--recipe", "q8"]) == 0
    ids = [*range(40, 63), GMASK]
    found = []
    for path in (package, tmp_path / "q8"):
        runner = Runner(open_package(path), page_tokens=PAGE_TOKENS, threads=1, spin_us=0, context_length=128)
        runner.allocate_cache(2)
        found.append(runner.run(ids, [24], [0], [[0, 1]], [23], [24])[0].copy())
    assert 0 < np.abs(found[0] - found[1]).max() < 0.2 * found[0].std()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position_encoding_2d": False}, "position_encoding_2d: False is not supported"),
        ({"quantization_bit": 4}, "quantization_bit: 4 is not supported"),
        ({"pre_seq_len": 128}, "pre_seq_len: 128 is not supported"),
        ({"gmask_token_id": None}, "gmask_token_id is missing"),
        ({"bos_token_id": 99999}, "token id 99999 is outside the vocabulary"),
    ],
)
def test_what_would_change_the_mathematics_is_refused(
    changes: dict[str, object], message: str, tensors: Tensors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the key, exit 1, and no package."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", tensors, **changes)
    assert main(["hf", str(checkpoint), str(tmp_path / "package")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("options", [["--recipe", "q4-awq"], ["--report"]])
def test_what_needs_running_text_is_refused(
    options: list[str], tensors: Tensors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Calibration and quality figures would be measured on a prompt that sees its own future."""
    checkpoint = write_checkpoint(tmp_path / "checkpoint", tensors)
    assert main(["hf", str(checkpoint), str(tmp_path / "package"), *options]) == 1
    assert "with a bidirectional prompt" in capsys.readouterr().err
