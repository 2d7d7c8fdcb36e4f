"""Settings by environment variables: every key, their place among files and options, their mistakes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.config import Config
from youtu_edge.config_environment import OTHERS, PREFIX, variable_name
from youtu_edge.config_file import dotted_keys, load_config, trace_config
from youtu_edge.encoding import json_bytes
from youtu_edge.errors import ConfigError

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "config.md").read_text("utf-8")
LINKS = {
    "YOUTU_EDGE_PORT": "tcp://10.43.0.7:8080",
    "YOUTU_EDGE_PORT_8080_TCP": "tcp://10.43.0.7:8080",
    "YOUTU_EDGE_PORT_8080_TCP_ADDR": "10.43.0.7",
    "YOUTU_EDGE_SERVICE_HOST": "10.43.0.7",
    "YOUTU_EDGE_SERVICE_PORT": "8080",
    "YOUTU_EDGE_SERVICE_PORT_HTTP": "8080",
}
"""What Kubernetes sets in every container for a service called youtu-edge."""


def problems(**environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(None, environment=environment)
    return caught.value.message.splitlines()


def value_of(config: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


@pytest.mark.parametrize("key", re.findall(r"^\| `(\w+\.\w+)`", DOCUMENT, re.MULTILINE))
def test_every_documented_key_has_its_variable(key: str) -> None:
    """Set to its default, it changes nothing and is where the value comes from."""
    value = value_of(Config(), key)
    text = value if isinstance(value, str) else json_bytes(value).decode()
    found = trace_config(None, environment={variable_name(key): text})
    assert found.config == Config()
    assert found.origins == {key: variable_name(key)}


def test_the_environment_wins_over_files_and_options_win_over_it(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("service: {port: 1, max_queue: 1}\nscheduler: {max_sequences: 1}\n")
    environment = {"YOUTU_EDGE_SERVICE__PORT": "2", "YOUTU_EDGE_SERVICE__MAX_QUEUE": "2"}
    config, origins = trace_config(file, ["service.port=3"], environment)
    assert (config.service.port, config.service.max_queue, config.scheduler.max_sequences) == (3, 2, 1)
    assert origins == {
        "service.port": "--set service.port=3",
        "service.max_queue": "YOUTU_EDGE_SERVICE__MAX_QUEUE",
        "scheduler.max_sequences": f"{file}:2",
    }


@pytest.mark.parametrize(
    ("key", "text", "meant"),
    [
        ("model.system_prompt", "Answer: briefly # and politely", "Answer: briefly # and politely"),
        ("model.system_prompt", " [a] ", " [a] "),
        ("model.name", "", ""),
        ("model.name", "'x'", "'x'"),
        ("service.host", "::", "::"),
        ("model.aliases", "*", "*"),
        ("model.aliases", "[gpt-4o, b]", ("gpt-4o", "b")),
        ("service.trusted_proxies", "[10.0.0.0/8]", ("10.0.0.0/8",)),
        ("generation.temperature", "null", None),
        ("generation.temperature", "", None),
        ("generation.temperature", "5e-1", 0.5),
        ("generation.punctuation", "off", "off"),
        ("model.thinking", "no", False),
        ("service.port", "010000", 10000),
    ],
)
def test_a_string_is_taken_as_it_is_and_the_rest_is_read_as_in_a_file(key: str, text: str, meant: Any) -> None:
    assert value_of(load_config(None, environment={variable_name(key): text}), key) == meant


def test_a_mistake_names_the_variable() -> None:
    found = problems(
        YOUTU_EDGE_SERVICE__PORT="high",
        YOUTU_EDGE_SERVICE__BOARD="Line 2",
        YOUTU_EDGE_SERVICE__MAX_QUEUE="",
        YOUTU_EDGE_ENGINE__THREADS="[",
        YOUTU_EDGE_MODEL__NAME="\udcff",
        YOUTU_EDGE_SERVICE__PRT="1",
        YOUTU_EDGE_SERVICE_PORT="1",
        YOUTU_EDGE_MAX_QUEUE="1",
        YOUTU_EDGE_service__port="1",
        YOUTU_EDGE_X="1",
        YOUTU_EDGE_UPDATES__PREPARE="1",
    )
    assert found == [
        "YOUTU_EDGE_MAX_QUEUE: sets no key; did you mean YOUTU_EDGE_SERVICE__MAX_QUEUE?",
        "YOUTU_EDGE_SERVICE_PORT: sets no key; did you mean YOUTU_EDGE_SERVICE__PORT?",
        "YOUTU_EDGE_SERVICE__PRT: sets no key; did you mean YOUTU_EDGE_SERVICE__PORT?",
        'YOUTU_EDGE_UPDATES__PREPARE: key "updates.prepare": no longer used; delete the line',
        "YOUTU_EDGE_X: sets no key; names are such as YOUTU_EDGE_SERVICE__PORT",
        "YOUTU_EDGE_service__port: sets no key; did you mean YOUTU_EDGE_SERVICE__PORT?",
        'YOUTU_EDGE_MODEL__NAME: key "model.name": must be UTF-8',
        "YOUTU_EDGE_SERVICE__PORT: key \"service.port\": must be a whole number, not 'high'",
        "YOUTU_EDGE_SERVICE__BOARD: key \"service.board\": 'Line 2' is not a board name; write up to 63 lower-case "
        "letters, digits and hyphens, such as line-2",
        'YOUTU_EDGE_SERVICE__MAX_QUEUE: key "service.max_queue": has no value; write one, or delete the line',
        next(
            line for line in found if line.startswith('YOUTU_EDGE_ENGINE__THREADS: key "engine.threads": not valid YAML: ')
        ),
    ]


def test_what_kubernetes_sets_for_its_services_is_no_mistake() -> None:
    """Those variables look like ours: only a service's address beside them tells them from a typing error."""
    others = {name.replace("YOUTU_EDGE_", "YOUTU_EDGE_BOARDS_"): text for name, text in LINKS.items()}
    assert load_config(None, environment={**LINKS, **others}) == Config()
    assert problems(YOUTU_EDGE_SERVICE_PORT="8080", YOUTU_EDGE_PORT="8080") == [
        "YOUTU_EDGE_PORT: sets no key; did you mean YOUTU_EDGE_SERVICE__PORT?",
        "YOUTU_EDGE_SERVICE_PORT: sets no key; did you mean YOUTU_EDGE_SERVICE__PORT?",
    ]
    assert problems(**LINKS, YOUTU_EDGE_SERVICE__PRT="1") == [
        "YOUTU_EDGE_SERVICE__PRT: sets no key; did you mean YOUTU_EDGE_SERVICE__PORT?"
    ]


def test_the_variables_of_compose_and_of_tests_keep_their_meaning() -> None:
    """Whoever has them in his shell can start a daemon there. Every variable of the project is in that table."""
    assert load_config(None, environment=dict.fromkeys(OTHERS, "x")) == Config()
    settings = set(map(variable_name, dotted_keys()))
    used: set[str] = set()
    for name in ("compose.yaml", "config", "docs", "scripts", "tests", ".ci"):
        top = ROOT / name
        for path in [top] if top.is_file() else (each for each in top.rglob("*") if each.is_file()):
            if path.suffix != ".pyc" and path != Path(__file__) and b"YOUTU_EDGE_" in (data := path.read_bytes()):
                used |= set(re.findall(r"\bYOUTU_EDGE_[A-Z0-9_]*[A-Z0-9]\b", data.decode(errors="replace")))
    assert used - settings - {"YOUTU_EDGE_SECTION__KEY"} <= set(OTHERS)


@given(st.sampled_from(sorted(dotted_keys())), st.text(max_size=12) | st.just("\udc80"))
def test_any_text_gives_a_config_or_a_config_error(key: str, text: str) -> None:
    try:
        load_config(None, environment={variable_name(key): text})
    except ConfigError as error:
        assert error.message.startswith(f'{variable_name(key)}: key "{key}": ')  # noqa: PT017 (either is right)


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    return subprocess.run(
        [sys.executable, "-m", "youtu_edge", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**ours, "PYTHONPATH": str(ROOT / "daemon"), **environment},
    )


def test_check_config_says_what_came_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("service:\n  port: 1\n  max_queue: 5\n")
    plain = run("check-config", str(file), YOUTU_EDGE_SERVICE__PORT="2")
    assert (plain.returncode, plain.stdout) == (0, f"{file}: ok, with YOUTU_EDGE_SERVICE__PORT of the environment\n")
    shown = run("check-config", str(file), "--explain", YOUTU_EDGE_SERVICE__PORT="2").stdout.splitlines()
    (line,) = [line for line in shown if line.startswith("service.port ")]
    assert re.fullmatch(r"service\.port += 2 +# YOUTU_EDGE_SERVICE__PORT", line)
    bad = run("check-config", str(file), YOUTU_EDGE_SERVICE__PORT="x")
    assert (bad.returncode, bad.stdout) == (78, "")
    assert bad.stderr.startswith("youtu-edge: YOUTU_EDGE_SERVICE__PORT: key")


@pytest.mark.parametrize("words", [["serve"], ["health"], ["status"], ["keys", "list"], ["model", "list"], ["plan"]])
def test_commands_that_read_the_configuration_read_the_environment(words: list[str]) -> None:
    """So `youtu-edge keys add` in a container finds the file of its daemon."""
    found = run("--config", "/dev/null", *words, YOUTU_EDGE_SERVICE__PRT="1")
    assert found.returncode == 78
    assert found.stderr == "youtu-edge: YOUTU_EDGE_SERVICE__PRT: sets no key; did you mean YOUTU_EDGE_SERVICE__PORT?\n"


def test_the_unit_is_made_from_the_file_alone() -> None:
    """A service does not see the variables of the shell in which it is installed."""
    plain = run("--config", "/dev/null", "render-unit")
    assert run("--config", "/dev/null", "render-unit", YOUTU_EDGE_SERVICE__DRAIN_S="60").stdout == plain.stdout != ""
