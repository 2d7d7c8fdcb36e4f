"""A chat template is found wherever it stands, and a package only gets one that works."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from export.changed_files import change, tiny_checkpoint
from export.refusal import refusal
from export.small_gguf import random_tensors, write_gguf
from youtu_edge.engine.text.prompt import Prompter
from youtu_edge.protocol.prompt import ChatMessage
from youtu_export.__main__ import main
from youtu_export.checkpoints.gguf_reader import open_gguf
from youtu_export.checkpoints.hf_reader import open_hf

PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}"
OTHER = "{% for m in messages %}[{{ m.content }}]{% endfor %}"
NAMED = [{"name": "default", "template": PLAIN}, {"name": "tool_use", "template": OTHER}]


def _jinja(directory: Path) -> None:
    (directory / "chat_template.jinja").write_text(PLAIN)


def _jinja_and_named(directory: Path) -> None:
    _jinja(directory)
    (directory / "additional_chat_templates").mkdir()
    (directory / "additional_chat_templates" / "rag.jinja").write_text(OTHER)


def _settings(value: Any) -> Callable[[Path], None]:
    return lambda directory: change(directory / "tokenizer_config.json", chat_template=value)


def _legacy(value: Any) -> Callable[[Path], None]:
    return lambda directory: change(directory / "chat_template.json", chat_template=value)


def _all(*writers: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda directory: [write(directory) for write in writers] and None


@pytest.mark.parametrize(
    ("write", "note", "warnings"),
    [
        (_jinja, "chat_template.jinja", []),
        (_jinja_and_named, "chat_template.jinja", ["chat template 'rag' is ignored"]),
        (_settings(PLAIN), "tokenizer_config.json chat_template", []),
        (_settings({"default": PLAIN}), "tokenizer_config.json chat_template", []),
        (_settings(NAMED), "tokenizer_config.json chat_template", ["chat template 'tool_use' is ignored"]),
        (_settings({"default": PLAIN, "rag": OTHER}), "tokenizer_config.json chat_template", ["'rag' is ignored"]),
        (_legacy(PLAIN), "chat_template.json chat_template", []),
        (_legacy({"default": PLAIN}), "chat_template.json chat_template", []),
        (_legacy(NAMED), "chat_template.json chat_template", ["chat template 'tool_use' is ignored"]),
        (_all(_jinja, _settings(PLAIN), _legacy(PLAIN)), "chat_template.jinja", []),
        (_all(_jinja, _settings(OTHER)), "chat_template.jinja", ["chat template differs from that of chat_template.jinja"]),
        (_all(_settings(PLAIN), _legacy(OTHER)), "tokenizer_config.json chat_template", ["chat template differs from"]),
        (_all(_legacy(PLAIN), _settings("")), "chat_template.json chat_template", []),
        (_all(_jinja, _settings({"rag": OTHER})), "chat_template.jinja", ["chat template 'rag' is ignored"]),
    ],
)  # fmt: skip
def test_every_place_of_a_template_is_read_and_what_is_left_out_is_told(
    write: Callable[[Path], None], note: str, warnings: list[str], tmp_path: Path
) -> None:
    source = tiny_checkpoint(tmp_path)
    change(source / "tokenizer_config.json", chat_template=...)
    write(source)
    checkpoint = open_hf(source)
    assert checkpoint.assets.chat_template == PLAIN
    assert checkpoint.findings.notes[0] == f"chat template: {note}"
    found = [text for text in checkpoint.findings.warnings if "chat template" in text]
    assert len(found) == len(warnings)
    assert all(wanted in text for wanted, text in zip(warnings, found, strict=True))


def test_a_checkpoint_without_a_template_has_none(tmp_path: Path) -> None:
    source = tiny_checkpoint(tmp_path)
    for nothing in (..., None, "", "  \n", [], {}):
        change(source / "tokenizer_config.json", chat_template=nothing)
        assert open_hf(source).assets.chat_template is None


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (_settings("{% for m in messages %}"), "config.json: chat_template: the chat template cannot be compiled: line 1"),
        (_legacy("\n{{ x | nope }}"), "chat_template.json: chat_template: the chat template cannot be compiled: line 2"),
        (_settings("{{ messages[0].content.strip(1) }}"), "fails on a conversation of one message: TypeError"),
        (_settings("{{ 1 // 0 }}"), "fails on a conversation of one message: ZeroDivisionError"),
        (_settings("{{ raise_exception('no') }}"), "fails on a conversation of one message: TemplateError: no"),
        (_settings("{% for x in y %}" * 30 + "{% endfor %}" * 30), "too many statically nested blocks"),
        (_settings([{"name": "rag", "template": PLAIN}]), "no chat template is named default ('rag')"),
        (_settings({"a": PLAIN, "b": OTHER}), "no chat template is named default ('a', 'b')"),
        (_legacy([{"name": "rag", "template": PLAIN}]), "chat_template.json: chat_template: no chat template is named"),
        (_settings(5), "chat_template"),
        (_settings([PLAIN]), "chat_template"),
        (_settings({"default": 1}), "chat_template"),
    ],
)  # fmt: skip
def test_a_template_that_does_not_work_is_refused(
    write: Callable[[Path], None], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By file, key and line, at the build machine and not at the device."""
    source = tiny_checkpoint(tmp_path)
    change(source / "tokenizer_config.json", chat_template=...)
    write(source)
    assert reason in refusal(capsys, tmp_path, "hf", str(source))


def test_a_damaged_jinja_file_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tiny_checkpoint(tmp_path)
    path = source / "chat_template.jinja"
    path.write_text("\n{% endfor %}")
    assert f"{path}: the chat template cannot be compiled: line 2: " in refusal(capsys, tmp_path, "hf", str(source))
    path.write_bytes(b"\xff\xfe")
    assert f"{path}: not a text file" in refusal(capsys, tmp_path, "hf", str(source))


def test_templates_of_a_gguf_have_names_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The one without a name is the default one."""
    path, key = tmp_path / "model.gguf", "tokenizer.chat_template"
    checkpoint = open_gguf(write_gguf(path, random_tensors(), metadata={key: PLAIN, f"{key}.rag": OTHER}))
    assert checkpoint.assets.chat_template == PLAIN
    assert [text for text in checkpoint.findings.warnings if "'rag' is ignored" in text]
    write_gguf(path, random_tensors(), metadata={f"{key}.rag": OTHER})
    assert f"{path}: {key}: no chat template is named default ('rag')" in refusal(capsys, tmp_path, "gguf", str(path))
    write_gguf(path, random_tensors(), metadata={key: "{% generation %}"})
    assert f"{path}: {key}: the chat template cannot be compiled: line 1" in refusal(capsys, tmp_path, "gguf", str(path))
    write_gguf(path, random_tensors(), metadata={key: 7})
    assert f"{path}: {key}: " in refusal(capsys, tmp_path, "gguf", str(path))


def test_the_generation_tag_is_exported_and_rendered_by_the_engine(tmp_path: Path) -> None:
    source = tiny_checkpoint(tmp_path)
    template = "{% for m in messages %}{% generation %}<{{ m.content }}>{% endgeneration %}{% endfor %}"
    change(source / "tokenizer_config.json", chat_template=template)
    assert main(["hf", str(source), str(tmp_path / "package"), "--no-golden"]) == 0
    tokenizer = Tokenizer.from_file(str(tmp_path / "package" / "tokenizer.json"))
    prompter = Prompter(tokenizer, (tmp_path / "package" / "chat_template.jinja").read_text())
    assert prompter.render([ChatMessage("user", "Hello")]) == "<Hello>"


def test_calibration_renders_with_the_same_names_as_the_engine(tmp_path: Path) -> None:
    """A template that uses what plain Jinja lacks could be exported with q4, but not with q4-awq."""
    source = tiny_checkpoint(tmp_path)
    template = "{% for m in messages %}{{ m.content | tojson(indent=2) }}{% break %}{% endfor %}"
    template += "{% if messages | length > 9 %}{{ raise_exception('no') }}{% endif %}"
    change(source / "tokenizer_config.json", chat_template=template)
    text = tmp_path / "text.jsonl"
    text.write_text(json.dumps({"messages": [{"role": "user", "content": "the cat and the hat " * 20}]}))
    arguments = ["hf", str(source), str(tmp_path / "package"), "--no-golden", "--recipe", "q4-awq"]
    assert main([*arguments, "--calibration", str(text)]) == 0
