"""Text in the middle: `suffix`, for models whose tokenizer has the tokens for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tokenizers import Tokenizer

from daemon_process import Daemon
from updates_support import edited

NAMES = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
BEFORE, AFTER = "def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n"


def give_tokens(package: Path) -> None:
    """Three merged words of the vocabulary become the control tokens, so that the model's shape stays."""
    path = package / "tokenizer.json"
    document = json.loads(path.read_text())
    model = document["model"]
    for name, word in zip(NAMES, sorted(model["vocab"], key=model["vocab"].get)[-3:], strict=True):
        model["vocab"][name] = model["vocab"].pop(word)
        model["merges"] = [merge for merge in model["merges"] if "".join(merge).replace(" ", "") != word]
        token = {**document["added_tokens"][0], "content": name, "id": model["vocab"][name]}
        document["added_tokens"].append(token)
    path.write_text(json.dumps(document, ensure_ascii=False))


class Infilling(NamedTuple):
    """A model with the tokens of Qwen, behind a daemon, and its tokenizer."""

    daemon: Daemon
    tokenizer: Tokenizer

    def text(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        status, document = self.daemon.post(path, body)
        assert status == 200, document
        return document


@pytest.fixture(scope="module")
def infilling(tiny_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infilling]:
    directory = tmp_path_factory.mktemp("infill")
    package = edited(tiny_package, directory / "package", give_tokens)
    with Daemon(package, directory) as daemon:
        daemon.wait_ready()
        yield Infilling(daemon, Tokenizer.from_file(str(package / "tokenizer.json")))


def test_a_suffix_is_put_behind_the_prompt_as_the_model_was_trained(infilling: Infilling) -> None:
    """The answer is that to the same token ids, in both dialects."""
    tokenizer = infilling.tokenizer
    prefix, suffix, middle = (tokenizer.token_to_id(name) for name in NAMES)
    ids = [prefix, *tokenizer.encode(BEFORE).ids, suffix, *tokenizer.encode(AFTER).ids, middle]
    common = {"max_tokens": 8, "temperature": 0}
    expected = infilling.text("/v1/completions", {"prompt": ids, **common})
    found = infilling.text("/v1/completions", {"prompt": BEFORE, "suffix": AFTER, **common})
    assert found["choices"][0]["text"] == (text := expected["choices"][0]["text"])
    assert found["usage"]["prompt_tokens"] == len(ids)
    options = {"num_predict": 8, "temperature": 0}
    body = {"prompt": BEFORE, "suffix": AFTER, "stream": False, "options": options}
    assert infilling.text("/api/generate", body)["response"] == text


def test_nothing_may_precede_the_suffix(infilling: Infilling) -> None:
    """As at the beginning of a file, in both dialects; without a suffix an empty prompt is none."""
    count = 3 + len(infilling.tokenizer.encode(AFTER).ids)
    found = infilling.text("/v1/completions", {"prompt": "", "suffix": AFTER, "max_tokens": 4, "temperature": 0})
    assert found["usage"]["prompt_tokens"] == count
    body = {"prompt": "", "suffix": AFTER, "stream": False, "options": {"num_predict": 4, "temperature": 0}}
    generated = infilling.text("/api/generate", body)
    assert (generated["prompt_eval_count"], generated["response"]) == (count, found["choices"][0]["text"])


def test_editors_are_told_that_the_model_takes_a_suffix(infilling: Infilling, daemon: Daemon) -> None:
    """By the capability, and by the variable of Ollama's templates, which Continue looks for; others say neither."""
    shown = infilling.text("/api/show", {"name": "default"})
    assert "insert" in shown["capabilities"]
    assert ".Suffix" in shown["template"]
    _, other = daemon.post("/api/show", {"name": "default"})
    assert "insert" not in other["capabilities"]
    assert ".Suffix" not in other["template"]


def test_a_token_of_the_middle_inside_a_text_stays_text(infilling: Infilling) -> None:
    """Three tokens are the prompt's own; the names in the texts are spelled out."""
    body = {"prompt": NAMES[1], "suffix": NAMES[2], "max_tokens": 1}
    spelled = infilling.text("/v1/completions", body)["usage"]["prompt_tokens"]
    assert spelled > 3 + 2 * len(NAMES[1]) // 4


def test_a_prompt_of_token_ids_takes_no_suffix(infilling: Infilling) -> None:
    status, document = infilling.daemon.post("/v1/completions", {"prompt": [1, 2], "suffix": "x"})
    assert (status, document["error"]["param"]) == (400, "suffix")


def test_a_model_that_was_not_trained_for_it_refuses_the_suffix_by_name(daemon: Daemon) -> None:
    """And an empty one is as none."""
    for path in ("/v1/completions", "/api/generate"):
        status, document = daemon.post(path, {"prompt": "a", "suffix": "b"})
        assert status == 400
        assert "suffix: this model's tokenizer has no tokens for text in the middle" in str(document)
    assert document == {"error": document["error"]}
    assert daemon.post("/v1/completions", {"prompt": "a", "suffix": "", "max_tokens": 1})[0] == 200
