"""The configuration: its file, its errors, its documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.config import REMOVED_KEYS, Config
from youtu_edge.config_file import dotted_keys, load_config
from youtu_edge.config_values import parse_bytes, parse_restart_rate
from youtu_edge.errors import ConfigError

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "config" / "youtu-edge.yaml"


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    file = tmp_path / "x.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    return caught.value.message.replace(str(file), "F").splitlines()


def test_the_shipped_file_holds_every_key_with_its_default() -> None:
    assert load_config(SHIPPED) == Config() == load_config(None)
    written = yaml.safe_load(SHIPPED.read_text())
    assert {f"{section}.{key}" for section, keys in written.items() for key in keys} == set(dotted_keys())


def test_every_key_is_documented() -> None:
    documented = re.findall(r"^\| `(\w+\.\w+)`", (ROOT / "docs" / "config.md").read_text(), re.MULTILINE)
    assert documented == list(dotted_keys())


def test_all_problems_are_reported_with_their_lines(tmp_path: Path) -> None:
    text = """\
servce:
  port: 1
service:
  prt: 80
  port: high
  host: 5
  port: 1
  max_restart_rate: often
memory: {limit: 5MB, fraction: .nan}
model: [1]
generation:
  temperature: 3
scheduler:
  page_tokens: 16
  max_stall_ms: {a: 1}
"""
    assert problems(tmp_path, text) == [
        'F:1: key "servce": unknown; did you mean "service"?',
        'F:4: key "service.prt": unknown; did you mean "service.port"?',
        "F:5: key \"service.port\": must be a whole number, not 'high'",
        "F:6: key \"service.host\": '5' is not an IP address; write one of this machine, 127.0.0.1 for local clients "
        "only, 0.0.0.0 or :: for all interfaces (the port is service.port)",
        'F:7: key "service.port": given twice, first on line 5',
        "F:8: key \"service.max_restart_rate\": 'often' is not a rate; write restarts/seconds, such as 3/300",
        "F:9: key \"memory.limit\": '5MB' is not a size; write a number with K, M, G or T (powers of 1024), such as 1500M",
        'F:9: key "memory.fraction": must be a finite number',
        'F:10: "model" must hold keys and values (key: value)',
        "F:12: key \"generation.temperature\": must be a number <= 2.0, not '3'",
        'F:14: key "scheduler.page_tokens": unknown; did you mean "model.page_tokens"?',
        'F:15: key "scheduler.max_stall_ms": must be a plain value, not a group of keys; '
        'a string that contains ": " needs quotes',
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("service: [", "F:1: "),
        ("a: b: c", "F:1: "),
        ("\n\n- 1\n", "F:3: "),
        ("just text", "F:1: "),
        ("service:\n\tport: 1", "F:2: "),
        (b"service:\n  host: \xff\xfe", "F:2: "),
        ("service:\n  port: " + "[" * 5000, "F:2: not valid YAML: nested too deeply"),
        ("service: {}\n---\nservice: {}", "F:2: "),
        ("service:\n  host: !!python/object/apply:os.system [id]", 'F:2: key "service.host"'),
    ],
)
def test_what_is_not_such_a_file_is_refused_with_its_line(tmp_path: Path, text: str | bytes, where: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(where)


@pytest.mark.parametrize("text", ["", "# nothing\n", "service:\n", "service: {}\nmodel:\n"])
def test_what_is_left_out_keeps_its_default(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    assert load_config(file) == Config()


def test_overrides_win_over_the_file_and_are_checked_alike() -> None:
    config = load_config(
        SHIPPED, ["service.port=9", "model.path=/m", "generation.top_p=0.5", "service.allowed_hosts=[a, b]"]
    )
    assert (config.service.port, config.model.path, config.generation.top_p) == (9, "/m", 0.5)
    assert config.service.allowed_hosts == ("a", "b")
    with pytest.raises(ConfigError, match=r"--set service\.port=x: key"):
        load_config(None, ["service.port=x"])
    with pytest.raises(ConfigError, match=r"did you mean \"service\.port\""):
        load_config(None, ["port=1"])


def test_a_key_of_an_earlier_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r'key "updates\.prepare": .* delete the line'):
        load_config(None, ["updates.prepare=true"])
    assert not REMOVED_KEYS.keys() & dotted_keys().keys()


def test_a_word_that_yaml_takes_for_a_truth_value_is_a_word_where_one_is_expected() -> None:
    config = load_config(None, ["generation.punctuation=off", "model.name=no", "service.allow_unauthenticated=yes"])
    assert (config.generation.punctuation, config.model.name, config.service.allow_unauthenticated) == ("off", "no", True)
    assert load_config(None, ["model.thinking=no"]).model.thinking is False
    with pytest.raises(ConfigError, match="punctuation"):
        load_config(None, ["generation.punctuation=on"])


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/x\.yaml: cannot be read: No such file"):
        load_config("/nowhere/x.yaml")


def test_an_override_with_nothing_behind_it_is_the_empty_text_where_a_text_is_wanted() -> None:
    config = load_config(None, ["storage.directory=", "memory.limit="])
    assert (config.storage.directory, config.memory.limit_bytes) == ("", None)
    with pytest.raises(ConfigError, match=r'key "service.port": has no value'):
        load_config(None, ["service.port="])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_a_config_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(data)
    try:
        load_config(file)
    except ConfigError as error:
        assert all(line.startswith(f"{file}:") for line in error.message.splitlines())  # noqa: PT017 (either is right)


@given(st.sampled_from(sorted(dotted_keys())), st.text(alphabet="0123456789.eE+-KMGi/[]{}:,&*!|>'\"# \nabx", max_size=12))
def test_any_override_gives_a_config_or_a_config_error(key: str, value: str) -> None:
    try:
        load_config(None, [f"{key}={value}"])
    except ConfigError as error:
        assert error.message.startswith("--set ")  # noqa: PT017 (either is right)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1500M", 1500 * 2**20), ("2G", 2**31), ("512MiB", 2**29), ("1.5G", 3 * 2**29), ("4096", 4096), ("64 K", 65536)],
)
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1G", "2GB", "1e3M", "0", "5iB", "9" * 30, "99999999999T", "٣M", "1.5.2G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_bytes(text)


@pytest.mark.parametrize("key", [key for key in dotted_keys() if key.endswith("max_size")])
def test_every_size_is_checked_before_the_daemon_uses_it(key: str) -> None:
    with pytest.raises(ConfigError, match=f"key \"{key}\": 'many' is not a size"):
        load_config(None, [f"{key}=many"])


def test_a_word_that_is_none_of_a_few_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r'key "service.log_level": must be debug or info or warning or error, not'):
        load_config(None, ["service.log_level=verbose"])


@pytest.mark.parametrize("text", ["", "3", "0/300", "3/0", "3/300/1", "-3/300", "3 / 300", "3/300s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_restart_rate(text)
    assert parse_restart_rate("3/300") == (3, 300)


def test_check_config_prints_ok_or_every_problem_and_78(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "youtu_edge", "check-config"]
    environment = {"PYTHONPATH": str(ROOT / "daemon")}
    good = subprocess.run([*command, str(SHIPPED)], capture_output=True, text=True, env=environment, check=False)
    assert (good.returncode, good.stdout) == (0, f"{SHIPPED}: ok\n")
    file = tmp_path / "bad.yaml"
    file.write_text("model:\n  pth: x\nservice:\n  port: y\n")
    bad = subprocess.run([*command, str(file)], capture_output=True, text=True, env=environment, check=False)
    assert (bad.returncode, bad.stdout) == (78, "")
    assert [line.split(": key")[0] for line in bad.stderr.splitlines()] == [
        f"youtu-edge: {file}:2",
        f"youtu-edge: {file}:4",
    ]


def test_the_null_device_is_an_empty_file_and_leaves_every_default() -> None:
    """`--config /dev/null`: whatever lies in /etc is not read. The scripts of the checkout start the daemon so."""
    assert load_config("/dev/null") == Config()
