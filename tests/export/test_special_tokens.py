"""BOS and end tokens are decided in one place, which reports their source and warns if files disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.changed_files import change, tiny_checkpoint
from export.refusal import refusal
from export.small_gguf import random_tensors, write_gguf
from tiny_model import CHAT_TEMPLATE, make_tokenizer
from youtu_export.__main__ import main
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.gguf_reader import open_gguf
from youtu_export.checkpoints.hf_reader import open_hf

TEXT, START, END = 0, 1, 2
"""Ids of <|endoftext|>, <|im_start|> and <|im_end|>."""
ORDINARY = make_tokenizer().token_to_id("#")
NO_END = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def _written(directory: Path, **files: dict[str, Any]) -> Path:
    """The tiny checkpoint, whose files name no end but what is given by file (config, tokenizer, generation, map)."""
    source = tiny_checkpoint(directory)
    change(source / "config.json", **{"eos_token_id": ..., **files.get("config", {})})
    settings = {"eos_token": ..., "bos_token": ..., "chat_template": NO_END} | files.get("tokenizer", {})
    change(source / "tokenizer_config.json", **settings)
    if "generation" in files:
        change(source / "generation_config.json", **files["generation"])
    if "map" in files:
        change(source / "special_tokens_map.json", **files["map"])
    return source


def _opened(directory: Path, **files: dict[str, Any]) -> Checkpoint:
    return open_hf(_written(directory, **files))


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({"config": {"eos_token_id": END}}, [END]),
        ({"config": {"eos_token_id": [END, TEXT]}}, [END, TEXT]),
        ({"generation": {"eos_token_id": [END, TEXT]}}, [END, TEXT]),
        ({"tokenizer": {"eos_token": "<|im_end|>"}}, [END]),
        ({"tokenizer": {"eos_token": {"content": "<|im_end|>", "lstrip": False}}}, [END]),
        ({"map": {"eos_token": "<|im_end|>"}}, [END]),
        ({"map": {"eos_token": {"content": "<|im_end|>"}}}, [END]),
        ({"tokenizer": {"chat_template": CHAT_TEMPLATE}}, [END]),
        ({"config": {"eos_token_id": END}, "generation": {"eos_token_id": None}}, [END]),
        ({"config": {"eos_token_id": END}, "generation": {"eos_token_id": []}}, [END]),
        ({"config": {"eos_token_id": None}, "map": {"eos_token": "<|im_end|>"}}, [END]),
        ({"config": {"eos_token_id": []}, "tokenizer": {"eos_token": None, "chat_template": CHAT_TEMPLATE}}, [END]),
        ({"tokenizer": {"eos_token": ""}, "map": {"eos_token": "<|im_end|>"}}, [END]),
    ],
)  # fmt: skip
def test_an_end_is_found_wherever_it_is_named(files: dict[str, Any], ends: list[int], tmp_path: Path) -> None:
    """null and [] neither name a token nor override another source. A single source cannot conflict."""
    checkpoint = _opened(tmp_path, **files)
    assert checkpoint.assets.eos_token_ids == ends
    assert not checkpoint.findings.warnings
    assert f"end of answer: {END} '<|im_end|>'" in "; ".join(checkpoint.findings.notes)


def test_every_source_that_names_an_end_is_heard_and_a_disagreement_is_told(tmp_path: Path) -> None:
    """An answer of a chat would run on to the limit if only config.json counted."""
    generation = {"eos_token_id": TEXT}
    files = {"config": {"eos_token_id": TEXT}, "generation": generation, "tokenizer": {"chat_template": CHAT_TEMPLATE}}
    checkpoint = _opened(tmp_path, **files)
    assert checkpoint.assets.eos_token_ids == [TEXT, END]
    (warning,) = checkpoint.findings.warnings
    assert "sources disagree about what ends an answer" in warning
    assert "generation_config.json eos_token_id: 0 '<|endoftext|>'" in warning
    assert "tokenizer_config.json turn end of the chat template: 2 '<|im_end|>'" in warning
    ends = [note for note in checkpoint.findings.notes if note.startswith("end of answer")]
    assert ends[0] == "end of answer: 0 '<|endoftext|>' (generation_config.json eos_token_id, config.json eos_token_id)"


@pytest.mark.parametrize("stale", [ORDINARY, 99999])
def test_a_stale_number_ends_nothing_while_another_source_knows_better(stale: int, tmp_path: Path) -> None:
    """2 is </s> in Llama 2 and an ordinary character elsewhere: answers would end at it."""
    checkpoint = _opened(tmp_path, config={"eos_token_id": stale}, tokenizer={"eos_token": "<|im_end|>"})
    assert checkpoint.assets.eos_token_ids == [END]
    (warning,) = checkpoint.findings.warnings
    assert f"config.json: eos_token_id: token id {stale} is " in warning
    assert warning.endswith("ignored")


def test_an_ordinary_token_ends_answers_where_nothing_else_does(tmp_path: Path) -> None:
    """A base model may be trained so; it is told all the same."""
    checkpoint = _opened(tmp_path, config={"eos_token_id": ORDINARY})
    assert checkpoint.assets.eos_token_ids == [ORDINARY]
    assert "is the ordinary token '#'; answers end with it" in checkpoint.findings.warnings[0]


def test_a_name_that_the_tokenizer_does_not_know_is_told(tmp_path: Path) -> None:
    checkpoint = _opened(tmp_path, config={"eos_token_id": END}, tokenizer={"eos_token": "</s>"})
    assert checkpoint.assets.eos_token_ids == [END]
    (warning,) = checkpoint.findings.warnings
    assert "tokenizer_config.json: eos_token: the tokenizer has no token '</s>'; ignored" in warning


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "config.json: eos_token_id is missing, and no other source names"),
        ({"tokenizer": {"eos_token": "</s>"}}, "config.json: eos_token_id is missing"),
        ({"config": {"eos_token_id": 99999}}, "config.json: eos_token_id: token id 99999 is outside the vocabulary"),
        ({"config": {"eos_token_id": -1}}, "config.json: eos_token_id: -1 is not the id of a token"),
        ({"config": {"eos_token_id": "<|im_end|>"}}, "eos_token_id"),
        ({"generation": {"eos_token_id": [None]}}, "eos_token_id"),
        ({"generation": {"eos_token_id": True}}, "eos_token_id"),
        ({"config": {"eos_token_id": END}, "tokenizer": {"eos_token": ["a"]}}, "eos_token"),
        ({"config": {"eos_token_id": END}, "tokenizer": {"add_bos_token": True}}, "add_bos_token: prompts begin with"),
    ],
)  # fmt: skip
def test_what_names_no_token_is_refused_by_file_and_key(
    files: dict[str, Any], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in refusal(capsys, tmp_path, "hf", str(_written(tmp_path, **files)))


@pytest.mark.parametrize(
    ("template", "ends"),
    [
        (CHAT_TEMPLATE, [TEXT, END]),
        ("{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}", [TEXT, START]),
        ("{% for m in messages %}{{ m.content }} {{ eos_token }}\n{% endfor %}", [TEXT]),
        ("{% for m in messages %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% endfor %}", [TEXT, END]),
        ("{% for m in messages %}{{ m.content }}\nUser: {% endfor %}", [TEXT]),
        ("{{ messages[0].content }}{% if messages | length > 1 %}{{ raise_exception('one only') }}{% endif %}", [TEXT]),
        ("{% for m in messages %}{{ m.content | upper }}<|im_end|>{% endfor %}", [TEXT]),
    ],
)  # fmt: skip
def test_the_token_behind_an_answer_in_the_template_ends_answers(template: str, ends: list[int], tmp_path: Path) -> None:
    """Of the template as it renders, whatever it looks like: the token that follows the assistant's words, if one does."""
    settings = {"eos_token": "<|endoftext|>", "chat_template": template}
    assert _opened(tmp_path, tokenizer=settings).assets.eos_token_ids == ends


def _begins(source: Path, *tokens: str) -> None:
    """Let the tokenizer put tokens in front of every text, as Llama's does."""
    path = source / "tokenizer.json"
    values = json.loads(path.read_text())
    values["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            *({"SpecialToken": {"id": name, "type_id": 0}} for name in tokens),
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            name: {"id": name, "ids": [make_tokenizer().token_to_id(name)], "tokens": [name]} for name in tokens
        },
    }
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("files", "own", "start", "warned"),
    [
        ({}, None, None, ""),
        ({}, "<|im_start|>", START, ""),
        ({"tokenizer": {"bos_token": "<|im_start|>"}}, None, None, ""),
        ({"tokenizer": {"bos_token": "<|im_start|>"}}, "<|im_start|>", START, ""),
        ({"map": {"bos_token": "<|im_start|>"}}, "<|im_start|>", START, ""),
        ({"tokenizer": {"add_bos_token": True}, "map": {"bos_token": {"content": "<|im_start|>"}}}, None, START, ""),
        ({"tokenizer": {"add_bos_token": True, "bos_token": "<|im_start|>"}}, None, START, ""),
        ({"tokenizer": {"add_bos_token": True}, "config": {"bos_token_id": START}}, None, START, ""),
        ({"tokenizer": {"add_bos_token": True}, "generation": {"bos_token_id": START}}, None, START, ""),
        ({"tokenizer": {"add_bos_token": False, "bos_token": "<|im_start|>"}}, None, None, ""),
        ({"tokenizer": {"add_bos_token": False}}, "<|im_start|>", None, "add_bos_token: false, but the tokenizer begins"),
        ({"tokenizer": {"bos_token": "<|endoftext|>"}}, "<|im_start|>", START, "names 0 '<|endoftext|>' as the first"),
        ({"tokenizer": {"add_bos_token": True, "bos_token": "<|im_start|>"}, "config": {"bos_token_id": 0}}, None, START,
         "config.json bos_token_id names 0 '<|endoftext|>' as the first token; prompts begin with 1 '<|im_start|>'"),
        ({"tokenizer": {"add_eos_token": True}}, None, None, "add_eos_token: true applies to training"),
    ],
)  # fmt: skip
def test_prompts_begin_as_the_tokenizer_or_its_settings_say(
    files: dict[str, Any], own: str | None, start: int | None, warned: str, tmp_path: Path
) -> None:
    files = files | {"config": files.get("config", {}) | {"eos_token_id": END}}
    source = _written(tmp_path, **files)
    if own:
        _begins(source, own)
    checkpoint = open_hf(source)
    assert checkpoint.assets.bos_token_id == start
    assert [warned in text for text in checkpoint.findings.warnings] == ([True] if warned else [])
    notes = [note for note in checkpoint.findings.notes if note.startswith("beginning of prompt: 1 '<|im_start|>' (")]
    assert bool(notes) == (start is not None)


def test_several_tokens_in_front_of_a_text_are_left_to_the_template(tmp_path: Path) -> None:
    """As GLM-4 has it."""
    source = _written(tmp_path, config={"eos_token_id": END})
    _begins(source, "<|im_start|>", "<|endoftext|>")
    checkpoint = open_hf(source)
    assert checkpoint.assets.bos_token_id is None
    assert "begins texts with several tokens (1 '<|im_start|>', 0 '<|endoftext|>')" in checkpoint.findings.warnings[0]


def test_templates_can_use_tokens_that_only_the_map_names(tmp_path: Path) -> None:
    """{{ bos_token }} would be empty otherwise; tokenizer_config.json is stronger."""
    roles = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "sep_token": "<|endoftext|>"}
    checkpoint = _opened(tmp_path, map=roles, tokenizer={"eos_token": "<|endoftext|>"})
    expected = {"bos_token": "<|im_start|>", "eos_token": "<|endoftext|>", "sep_token": "<|endoftext|>"}
    assert checkpoint.assets.template_variables == expected


def test_a_gguf_whose_template_ends_turns_otherwise_than_its_metadata(tmp_path: Path) -> None:
    """Many files name no eot; several roles of one file do not disagree with each other."""
    path = tmp_path / "model.gguf"
    metadata = {"tokenizer.ggml.eos_token_id": TEXT, "tokenizer.chat_template": CHAT_TEMPLATE}
    checkpoint = open_gguf(write_gguf(path, random_tensors(), metadata=metadata))
    assert checkpoint.assets.eos_token_ids == [TEXT, END]
    assert "sources disagree" in checkpoint.findings.warnings[0]
    metadata = {"tokenizer.ggml.eos_token_id": TEXT, "tokenizer.ggml.eot_token_id": END}
    checkpoint = open_gguf(write_gguf(path, random_tensors(), metadata=metadata))
    assert (checkpoint.assets.eos_token_ids, checkpoint.findings.warnings) == ([TEXT, END], [])


def test_the_command_prints_what_it_took_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _written(tmp_path, config={"eos_token_id": TEXT}, tokenizer={"eos_token": "<|im_end|>"})
    assert main(["hf", str(source), str(tmp_path / "package"), "--no-golden"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1:] == [
        "  chat template: tokenizer_config.json chat_template",
        "  end of answer: 0 '<|endoftext|>' (config.json eos_token_id)",
        "  end of answer: 2 '<|im_end|>' (tokenizer_config.json eos_token)",
    ]
    assert "youtu-export: warning: sources disagree about what ends an answer" in said.err
