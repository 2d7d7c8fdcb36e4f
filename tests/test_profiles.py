"""The shipped boards and profiles: valid alone and together, every value explained, and what the scenarios promise."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from youtu_edge.config import Config
from youtu_edge.config_file import load_config, trace_config

CONFIG = Path(__file__).parents[1] / "config"
BOARDS = sorted((CONFIG / "boards").glob("*.yaml"))
PROFILES = sorted((CONFIG / "profiles").glob("*.yaml"))


def test_there_are_the_boards_and_profiles_of_the_documents() -> None:
    assert [path.stem for path in BOARDS] == ["generic", "orin-nx", "rk3588"]
    assert [path.stem for path in PROFILES] == ["education", "inspection", "voice"]


@pytest.mark.parametrize("path", [*BOARDS, *PROFILES], ids=lambda path: path.stem)
def test_every_value_is_explained(path: Path) -> None:
    """By a comment behind it, or in the line above."""
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith("# ")
    for _, origin in trace_config(path).origins.items():
        number = int(origin.rpartition(":")[2]) - 1
        is_plain_number = lines[number].split(":")[0].strip() in ("hysteresis_c", "max_size")
        assert is_plain_number or " # " in lines[number] or lines[number - 1].lstrip().startswith("#"), lines[number]


@pytest.mark.parametrize(("board", "profile"), list(itertools.product(BOARDS, PROFILES)), ids=lambda path: path.stem)
def test_a_board_and_a_profile_go_together(tmp_path: Path, board: Path, profile: Path) -> None:
    """Each says its own: no profile undoes what a board says about memory, cores or temperature."""
    site = tmp_path / "site.yaml"
    site.write_text(f"extends: [{board}, {profile}]\nservice: {{port: 9}}\n")
    config, origins = trace_config(site)
    assert config.service.port == 9
    assert {name for name in trace_config(board).origins if not name.startswith("scheduler.")} <= {
        name for name, origin in origins.items() if origin.startswith(f"{board}:")
    }


def test_voice_speaks_one_short_sentence_first() -> None:
    config = load_config(CONFIG / "profiles/voice.yaml")
    assert (config.generation.max_new_tokens, config.generation.temperature) == (64, 0.1)
    assert config.generation.stop == ("。", "！", "？", "\n")
    assert config.generation.priority < Config().generation.priority
    assert config.model.system_prompt


def test_inspection_is_bounded_and_writes_nothing() -> None:
    config = load_config(CONFIG / "profiles/inspection.yaml")
    assert (config.model.kv_cache_max_page, config.storage.directory, config.response_cache.enabled) == (2048, "", False)
    assert config.service.request_timeout_s > 0
    assert config.service.max_queue < Config().service.max_queue


def test_education_reads_long_texts_and_repairs_its_own() -> None:
    config = load_config(CONFIG / "profiles/education.yaml")
    assert (config.generation.repetition_penalty, config.generation.punctuation) == (1.2, "repair")
    assert config.model.rope_scaling != "none"
    assert config.response_cache.enabled
