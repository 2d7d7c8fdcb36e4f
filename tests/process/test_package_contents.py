"""Packages with correct checksums and wrong contents: exit code 78 at once, not four crashes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from daemon_process import Daemon, chat
from export.package_weights import initializers, place
from process.test_damaged_package import refused
from tiny_model import CHAT_TEMPLATE, make_tiny_package, make_tokenizer
from updates_support import edited, export_tiny
from youtu_edge.errors import EXIT_CONFIG

SIZE = make_tokenizer().get_vocab_size()
TABLE = "/model/embed_tokens/weight"


@pytest.fixture(scope="module")
def float_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights are plain float32."""
    return make_tiny_package(tmp_path_factory.mktemp("float") / "package", recipe="f32")


def _write(name: str, text: str | bytes) -> Callable[[Path], None]:
    return lambda copy: (copy / name).write_bytes(text.encode() if isinstance(text, str) else text) and None


def _spoil(name: str, rows: slice) -> Callable[[Path], None]:
    """NaN in rows of a float32 weight, 64 values each."""

    def spoil(copy: Path) -> None:
        offset, length = place(initializers(copy)[name])
        weights = np.memmap(copy / "weights.bin", np.float32, "r+", offset, (length // 4 // 64, 64))
        weights[rows] = np.nan
        weights.flush()

    return spoil


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_write("chat_template.jinja", "\n{% for m in messages %}"), "chat_template.jinja: line 2: Unexpected end"),
        (_write("chat_template.jinja", "{{ x | no_such_filter }}"), "chat_template.jinja: line 1: No filter named"),
        (_write("chat_template.jinja", "{% for x in y %}" * 30 + "{% endfor %}" * 30), "chat_template.jinja: SyntaxError"),
        (_write("chat_template.jinja", b"\xff\xfe{{ x }}"), "chat_template.jinja: not a text file"),
        (_spoil(TABLE, slice(None)), "weights.bin: the model computes logits that are NaN or infinite"),
        (_spoil("/model/norm/weight", slice(None)), "/model/norm/weight has a NaN or an infinity"),
    ],
    ids=["cut", "filter", "nesting", "encoding", "table", "norm"],
)  # fmt: skip
def test_the_daemon_refuses_them_by_name_with_78(
    float_package: Path, tmp_path: Path, edit: Callable[[Path], None], reason: str
) -> None:
    """A chat template that does not compile ended the engine four times and the daemon with 70."""
    said = refused(edited(float_package, tmp_path / "copy", edit))
    assert reason in said
    assert said.count("engine_refuses") == 1


def test_scores_that_become_no_numbers_fail_their_request_alone(float_package: Path, tmp_path: Path) -> None:
    """Such as those behind a token whose row is damaged: 500, not an empty answer with 200; the engine lives."""
    bad = make_tokenizer().token_to_id("Z")
    package = edited(float_package, tmp_path / "copy", _spoil(TABLE, slice(bad, bad + 1)))
    with Daemon(package, tmp_path) as daemon:
        daemon.wait_ready()
        engine = daemon.engine_pid
        for temperature in (0, 1):
            status, answer = daemon.post("/v1/completions", {"prompt": "aZ", "max_tokens": 4, "temperature": temperature})
            assert (status, answer["error"]["code"]) == (500, "internal_error")
            assert "NaN or infinite" in answer["error"]["message"]
        assert daemon.post("/v1/completions", {"prompt": "ab", "max_tokens": 1})[0] == 200
        assert daemon.engine_pid == engine


def test_the_generation_tag_is_served(float_package: Path, tmp_path: Path) -> None:
    """It marks for training what the assistant said, and changes no prompt."""
    template = CHAT_TEMPLATE.replace("{{ '<|im_start|>' +", "{% generation %}{{ '<|im_start|>' +")
    template = template.replace("+ '\n' }}{% endfor %}", "+ '\n' }}{% endgeneration %}{% endfor %}")
    assert template.count("generation %}") == 2
    package = edited(float_package, tmp_path / "copy", _write("chat_template.jinja", template))
    answers = []
    for served in (package, float_package):
        with Daemon(served, tmp_path) as daemon:
            daemon.wait_ready()
            answers.append(daemon.post("/v1/chat/completions", chat("Hello", max_tokens=8))[1]["choices"])
    assert answers[0] == answers[1]


def test_sizes_of_tokenizer_and_table_may_differ_in_both_directions(float_package: Path, tmp_path: Path) -> None:
    """A row without a token is never drawn, though it be the likeliest; a token without a row is none of the model's."""
    head = "/lm_head/weight"

    def more_tokens(copy: Path) -> None:
        values = json.loads((copy / "tokenizer.json").read_text())
        values["added_tokens"].append(values["added_tokens"][0] | {"id": SIZE, "content": "<|none|>"})
        (copy / "tokenizer.json").write_text(json.dumps(values))

    def fewer_tokens(copy: Path) -> None:
        values = json.loads((copy / "tokenizer.json").read_text())
        last = max(values["model"]["vocab"], key=values["model"]["vocab"].__getitem__)
        del values["model"]["vocab"][last]
        values["model"]["merges"].pop()
        (copy / "tokenizer.json").write_text(json.dumps(values))
        offset, length = place(initializers(copy)[head])
        weights = np.memmap(copy / "weights.bin", np.float32, "r+", offset, (64, length // 4 // 64))
        weights[:, SIZE - 1] = 20 * weights[:, 40]  # wins, or its negative would
        weights.flush()

    with Daemon(edited(float_package, tmp_path / "more", more_tokens), tmp_path) as daemon:
        daemon.wait_ready()
        status, answer = daemon.post("/v1/completions", {"prompt": "a", "max_tokens": 2, "logit_bias": {str(SIZE): 5}})
        assert (status, answer["error"]["param"]) == (400, f"logit_bias.{SIZE}")
        assert daemon.post("/detokenize", {"tokens": [SIZE]})[0] == 400
        schema = {"type": "json_object"}
        assert daemon.post("/v1/chat/completions", chat("a", max_tokens=8, response_format=schema))[0] == 200
        assert daemon.post("/tokenize", {"content": "<|none|>"})[1]["tokens"][-1] < SIZE
    with Daemon(edited(float_package, tmp_path / "fewer", fewer_tokens), tmp_path) as daemon:
        daemon.wait_ready()
        for temperature in (0, 2):
            body = {
                "prompt": "abc",
                "max_tokens": 24,
                "temperature": temperature,
                "logprobs": 2,
                "seed": 1,
                "ignore_eos": True,
            }
            status, answer = daemon.post("/v1/completions", body)
            assert status == 200, answer
            assert len(answer["choices"][0]["logprobs"]["tokens"]) == 24
            assert all(answer["choices"][0]["logprobs"]["tokens"])
        status, answer = daemon.post(
            "/v1/completions", {"prompt": "a", "max_tokens": 2, "logit_bias": {str(SIZE - 1): 100}}
        )
        assert (status, answer["error"]["param"]) == (400, f"logit_bias.{SIZE - 1}")


@pytest.mark.parametrize("score", ["null", "NaN", "1e999"])
def test_model_verify_refuses_golden_answers_without_scores(tmp_path: Path, score: str) -> None:
    """An exporter that computed NaN wrote null, and verification said ok."""
    good = export_tiny(tmp_path, "tiny", 1)

    def spoil(copy: Path) -> None:
        golden = json.loads((copy / "golden.json").read_text())
        golden["prompts"][1]["likely"][2][3][1] = 12345.5
        (copy / "golden.json").write_text(json.dumps(golden).replace("12345.5", score))

    for package, code in ((good, 0), (edited(good, tmp_path / "bad", spoil), EXIT_CONFIG)):
        command = [sys.executable, "-m", "youtu_edge", "model", "verify", str(package)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        assert ("golden.json: " in done.stderr) == (code != 0)
        assert "Traceback" not in done.stderr
