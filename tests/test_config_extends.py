"""`extends:` and `check-config --explain`: files that build on others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.config import Config
from youtu_edge.config_file import dotted_keys, load_config, trace_config
from youtu_edge.errors import ConfigError

ROOT = Path(__file__).parents[1]


def write(directory: Path, **files: str) -> Path:
    """Write NAME.yaml for each keyword ("__" is a slash) and return the first."""
    paths = []
    for name, text in files.items():
        path = directory / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths[0]


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return caught.value.message.replace(f"{path.parent}/", "").splitlines()


def test_a_later_file_wins_and_the_file_itself_wins_over_all_it_extends(tmp_path: Path) -> None:
    site = write(
        tmp_path,
        site="extends: [board.yaml, profile.yaml]\nservice: {port: 3}\n",
        board="service: {port: 1, max_queue: 1}\nscheduler: {max_sequences: 1}\n",
        profile="service: {port: 2, max_queue: 2}\n",
    )
    config = load_config(site)
    assert (config.service.port, config.service.max_queue, config.scheduler.max_sequences) == (3, 2, 1)
    assert load_config(site, ["service.port=4"]).service.port == 4


def test_extends_may_stand_anywhere_in_the_file_and_wins_nothing_by_it(tmp_path: Path) -> None:
    site = write(tmp_path, site="service: {port: 3}\nextends: board.yaml\n", board="service: {port: 1}\n")
    assert load_config(site).service.port == 3


def test_names_are_relative_to_the_file_that_holds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = write(
        tmp_path,
        a__site="extends: ../b/profile.yaml\n",
        b__profile="extends: base.yaml\n",
        b__base="service: {port: 7}\n",
    )
    monkeypatch.chdir("/")
    assert load_config(site).service.port == 7


def test_two_files_may_extend_the_same_third(tmp_path: Path) -> None:
    site = write(
        tmp_path,
        site="extends: [a.yaml, b.yaml]\n",
        a="extends: base.yaml\nservice: {max_queue: 5}\n",
        b="extends: base.yaml\n",
        base="service: {port: 7}\n",
    )
    assert load_config(site).service.port == 7
    assert load_config(site).service.max_queue == 5


def test_a_list_is_replaced_as_a_whole(tmp_path: Path) -> None:
    site = write(
        tmp_path,
        site="extends: base.yaml\nservice: {allowed_hosts: [c]}\n",
        base="service: {allowed_hosts: [a, b]}\n",
    )
    assert load_config(site).service.allowed_hosts == ("c",)


def test_a_missing_file_is_named_with_the_line_that_names_it(tmp_path: Path) -> None:
    site = write(tmp_path, site="# nothing\nextends:\n  - board.yaml\n  - gone.yaml\n", board="")
    assert problems(site) == ['site.yaml:4: key "extends": gone.yaml: cannot be read: No such file or directory']


def test_a_cycle_is_named_with_the_line_that_closes_it(tmp_path: Path) -> None:
    site = write(tmp_path, a="extends: b.yaml\n", b="\nextends: [c.yaml]\n", c="extends: ./a.yaml\n")
    assert problems(site) == [
        'c.yaml:1: key "extends": the files extend each other in a cycle: '
        "a.yaml extends b.yaml extends c.yaml extends a.yaml"
    ]
    assert "cycle" in problems(write(tmp_path, own="extends: own.yaml\n"))[0]


def test_a_problem_is_reported_where_it_is_even_if_another_file_wins(tmp_path: Path) -> None:
    site = write(
        tmp_path,
        site="extends: base.yaml\nservice:\n  port: 3\n  hots: x\n",
        base="service:\n\n  port: high\nextends: worse.yaml\n",
        worse="a: b: c\n",
    )
    assert [problem.partition(": ")[0] for problem in problems(site)] == ["worse.yaml:1", "base.yaml:3", "site.yaml:4"]


@pytest.mark.parametrize("value", ["5", "{a: 1}", "[[x]]", "[1, [2]]", '"\\0"', "!!set {a}"])
def test_what_names_no_file_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    (problem,) = problems(write(tmp_path, site=f"service: {{}}\nextends: {value}\n"))
    assert problem.startswith('site.yaml:2: key "extends": ')


def test_extends_belongs_to_no_section_and_to_no_override(tmp_path: Path) -> None:
    assert "unknown" in problems(write(tmp_path, site="service: {extends: a.yaml}\n"))[0]
    with pytest.raises(ConfigError, match="unknown"):
        load_config(None, ["extends=a.yaml"])


def test_every_value_knows_its_file_and_line_or_is_a_default(tmp_path: Path) -> None:
    site = write(
        tmp_path, site="extends: base.yaml\n\nservice:\n  port: 3\n", base="model: {name: m}\nservice: {port: 1}\n"
    )
    config, origins = trace_config(site, ["memory.limit=1G"])
    assert origins == {
        "model.name": f"{tmp_path}/base.yaml:1",
        "service.port": f"{tmp_path}/site.yaml:4",
        "memory.limit": "--set memory.limit=1G",
    }
    assert (config.model.name, config.service.port) == ("m", 3)


@given(st.lists(st.lists(st.integers(1, 60), min_size=3, max_size=3), min_size=1, max_size=4))
def test_the_last_file_that_says_something_is_the_one_that_is_named(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[int]]
) -> None:
    directory = tmp_path_factory.mktemp("extends")
    keys = ("service.max_queue", "scheduler.max_sequences", "scheduler.step_tokens")
    said: dict[str, tuple[int, int]] = {}
    for number, values in enumerate(files):
        lines = []
        for key, value in zip(keys, values, strict=True):
            if value % 3:  # this file says nothing about it otherwise
                section, _, name = key.partition(".")
                lines.append(f"{section}: {{{name}: {value}}}\n" if section == "service" else f"  {name}: {value}\n")
                said[key] = (number, value)
        text = "".join(line for line in lines if line.startswith("service"))
        inner = "".join(line for line in lines if line.startswith("  "))
        (directory / f"{number}.yaml").write_text(text + (f"scheduler:\n{inner}" if inner else ""))
    top = directory / "top.yaml"
    top.write_text(f"extends: [{', '.join(f'{number}.yaml' for number in range(len(files)))}]\n")
    config, origins = trace_config(top)
    for key in keys:
        section, _, name = key.partition(".")
        if key in said:
            assert origins[key].startswith(f"{directory}/{said[key][0]}.yaml:")
            assert getattr(getattr(config, section), name) == said[key][1]
        else:
            assert key not in origins
            assert getattr(getattr(config, section), name) == getattr(getattr(Config(), section), name)


def test_check_config_explains_every_value(tmp_path: Path) -> None:
    site = write(tmp_path, site="extends: base.yaml\nservice:\n  port: 3\n", base="\nmodel: {name: m}\n")
    command = [sys.executable, "-m", "youtu_edge", "check-config", str(site), "--explain"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "daemon")})
    lines = {line.split(" = ")[0].strip(): line.split(" = ")[1] for line in shown.stdout.splitlines()}
    assert list(lines) == list(dotted_keys())
    assert lines["service.port"].startswith("3 ")
    assert lines["service.port"].endswith(f"# {site}:3")
    assert lines["model.name"].startswith('"m" ')
    assert lines["model.name"].endswith(f"# {tmp_path}/base.yaml:2")
    assert lines["memory.limit"].endswith("# default")
