"""Values as technicians write them, including those that YAML 1.1 would misread."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from youtu_edge.config_file import load_config
from youtu_edge.errors import ConfigError

ROOT = Path(__file__).parents[1]


def value(tmp_path: Path, key: str, text: str | bytes) -> Any:
    """The value of `section.key` in a file that says `text` there."""
    section, _, name = key.partition(".")
    file = tmp_path / "x.yaml"
    data = text.encode() if isinstance(text, str) else text
    file.write_bytes(f"{section}:\n  {name}: ".encode() + data + b"\n")
    return getattr(getattr(load_config(file), section), name)


def problem(tmp_path: Path, key: str, text: str | bytes) -> str:
    """The one problem, behind FILE:2: key "section.key"."""
    with pytest.raises(ConfigError) as caught:
        value(tmp_path, key, text)
    (line,) = caught.value.message.splitlines()
    begin = f'{tmp_path}/x.yaml:2: key "{key}": '
    assert line.startswith(begin)
    return line.removeprefix(begin)


@pytest.mark.parametrize(
    ("key", "text", "meant"),
    [
        ("service.port", "010000", 10000),
        ("service.port", "08080", 8080),
        ("service.port", "+8080", 8080),
        ("service.port", "0x1F90", 8080),
        ("service.max_body_bytes", "2_000_000", 2000000),
        ("scheduler.max_sequences", "007", 7),
        ("memory.fraction", "5e-1", 0.5),
        ("memory.fraction", "5E-1", 0.5),
        ("memory.fraction", ".5", 0.5),
        ("memory.fraction", "+0.5", 0.5),
        ("memory.fraction", "1", 1.0),
        ("memory.fraction", "1.", 1.0),
        ("service.request_timeout_s", "1e2", 100.0),
        ("service.request_timeout_s", "010", 10.0),
        ("generation.temperature", "~", None),
        ("generation.temperature", "null", None),
        ("generation.temperature", "", None),
        ("generation.top_k", "0x10", 16),
        ("model.keep_warm", "no", False),
        ("model.keep_warm", "OFF", False),
        ("model.keep_warm", "yEs", True),
        ("model.thinking", "on", True),
        ("generation.punctuation", "off", "off"),
        ("model.name", "no", "no"),
        ("model.name", "1.50", "1.50"),
        ("model.name", "2024-01-01", "2024-01-01"),
        ("model.name", "12:30", "12:30"),
        ("model.name", "0x1F", "0x1F"),
        ("model.name", "=", "="),
        ("model.name", '"null"', "null"),
        ("model.name", "!!str 7", "7"),
        ("model.path", "/models/010", "/models/010"),
        ("memory.limit", "1073741824", "1073741824"),
        ("storage.responses_max_size", "1_000", None),
        ("generation.stop", "[1, no, 2024-01-01]", ("1", "no", "2024-01-01")),
        ("service.host", '"::"', "::"),
        ("service.host", "::1", "::1"),
        ("service.host", "fe80::1%eth0", "fe80::1%eth0"),
        ("service.host", "LocalHost", "LocalHost"),
        ("service.allowed_hosts", "[panel.example, my_box, xn--bcher-kva.example]", None),
    ],
)
def test_a_value_is_read_as_its_key_wants_it(tmp_path: Path, key: str, text: str, meant: Any) -> None:
    if key == "storage.responses_max_size":
        assert "is not a size" in problem(tmp_path, key, text)
    elif key == "service.allowed_hosts":
        assert len(value(tmp_path, key, text)) == 3
    else:
        found = value(tmp_path, key, text)
        assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("service.port", "12:30", "must be a whole number, not '12:30'"),
        ("service.port", "1:20:30", "must be a whole number, not '1:20:30'"),
        ("service.port", "0o17", "must be a whole number, not '0o17'"),
        ("service.port", "0b11", "must be a whole number, not '0b11'"),
        ("service.port", "8080.0", "must be a whole number, not '8080.0'"),
        ("service.port", "1e3", "must be a whole number, not '1e3'"),
        ("service.port", "8_", "must be a whole number, not '8_'"),
        ("service.port", "٨٠٨٠", "must be a whole number, not '٨٠٨٠'"),
        ("service.port", "2024-01-01", "must be a whole number, not '2024-01-01'"),
        ("service.port", "yes", "must be a whole number, not 'yes'"),
        ("service.port", '"8080"', "write 8080 without quotes"),
        ("service.port", "", "has no value; write one, or delete the line"),
        ("service.port", "~", "has no value; write one, or delete the line"),
        ("service.port", "[8080]", "must be a whole number, not a list"),
        ("service.port", "!!int 8080x", "must be a whole number, not '8080x'"),
        ("service.port", "!!binary aGk=", "tags such as !!binary are not supported; write the plain value"),
        ("service.port", "!local 8080", "tags such as !local are not supported; write the plain value"),
        ("service.port", "9" * 5000, "must be a whole number of at most 9223372036854775807"),
        ("scheduler.max_sequences", "1" + "0" * 19, "must be a whole number of at most 9223372036854775807"),
        ("memory.fraction", ".inf", "must be a finite number"),
        ("memory.fraction", "-.INF", "must be a finite number"),
        ("memory.fraction", ".nan", "must be a finite number"),
        ("memory.fraction", "inf", "must be a finite number"),
        ("memory.fraction", "NaN", "must be a finite number"),
        ("memory.fraction", "1e999", "must be a finite number"),
        ("memory.fraction", "50%", "must be a number, not '50%'"),
        ("memory.fraction", "0,5", "must be a number, not '0,5'"),
        ("memory.fraction", "1:30.5", "must be a number, not '1:30.5'"),
        ("memory.fraction", '"0.5"', "write 0.5 without quotes"),
        ("model.keep_warm", "y", "must be true or false, not 'y'"),
        ("model.keep_warm", "1", "must be true or false, not '1'"),
        ("model.keep_warm", '"false"', "write false without quotes"),
        ("model.name", "~", 'has no value; write a string ("" for empty), or delete the line'),
        ("model.name", "[a]", "must be a string, not a list"),
        (
            "model.system_prompt",
            "{a: b}",
            'must be a plain value, not a group of keys; a string that contains ": " needs quotes',
        ),
        ("generation.stop", "no", "must be a list, not 'no'"),
        ("generation.stop", "[[a]]", "must be a list of plain values"),
        ("generation.stop", "[~]", 'has no value; write a string ("" for empty), or delete the line'),
        ("generation.stop", "&a [*a]", "must be a list of plain values"),
        ("generation.punctuation", "on", "must be off or repair, not 'on'"),
        ("engine.threads", "100000", "must be a whole number <= 1024, not '100000'"),
    ],
)
def test_what_its_key_cannot_mean_is_one_line_with_file_line_and_key(
    tmp_path: Path, key: str, text: str, reason: str
) -> None:
    assert problem(tmp_path, key, text) == reason


@pytest.mark.parametrize(
    "host",
    ["*", "0", "127.1", "010.0.0.1", "256.0.0.1", "mybox", "eth0", "127.0.0.1:80", "[::1]", "http://0.0.0.0", "1.2.3.4 "],
)
def test_a_host_that_is_not_an_ip_address_is_rejected(tmp_path: Path, host: str) -> None:
    assert problem(tmp_path, "service.host", f'"{host}"').startswith(f"{host!r} is not an IP address; write one")


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("224.0.0.1", "'224.0.0.1' is a multicast or broadcast address; write one of this machine"),
        ("ff02::1", "'ff02::1' is a multicast or broadcast address; write one of this machine"),
        ("255.255.255.255", "'255.255.255.255' is a multicast or broadcast address; write one of this machine"),
        ("fe80::1", "'fe80::1' is link-local and needs its interface, such as fe80::1%eth0"),
    ],
)
def test_an_address_that_nothing_can_listen_on_is_refused(tmp_path: Path, host: str, reason: str) -> None:
    assert problem(tmp_path, "service.host", host) == reason


@pytest.mark.parametrize(
    "name", ["https://panel.example", "panel.example:8080", "*.example", "*", "bücher.example", "a/b", ""]
)
def test_a_name_that_no_browser_sends_is_refused(tmp_path: Path, name: str) -> None:
    assert problem(tmp_path, "service.allowed_hosts", f'["{name}"]').startswith(f"{name!r} is not a host name; write it")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"# caf\xe9\n", "1: not valid YAML: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"model:\n  name: caf\xe9\n", "2: not valid YAML: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (
            "model:\n".encode("utf-16-le"),
            "1: not valid YAML: the character U+0000 is not allowed; save the file as UTF-8 text",
        ),
        (b"model:\n  name: \x07\n", "2: not valid YAML: the character U+0007 is not allowed; save the file as UTF-8 text"),
        (
            b"model:\n\tname: a\n",
            "2: not valid YAML: found character '\\t' that cannot start any token; indent with spaces, not tabs",
        ),
        (
            b"service:\n  host: ::\n",
            "2: not valid YAML: mapping values are not allowed here; "
            'a string that contains ": " or ends with ":" needs quotes, such as "::"',
        ),
        (
            b"service:\n  host: *\n",
            "2: not valid YAML: expected alphabetic or numeric character, but found '\\n'; "
            "a string that begins with * or & needs quotes",
        ),
        (b"- model\n", '1: "the file" must hold keys and values (key: value)'),
        (b"model: {}\n<<: {a: b}\n", '2: key "<<": YAML merge keys are not supported; use "extends"'),
        (b"model: {}\n--- {}\n", "2: not valid YAML: but found another document"),
        (b"a: &a [x]\nb: *c\n", "2: not valid YAML: found undefined alias 'c'"),
        (b'model:\n  name: a\n  "name": b\n', '3: key "model.name": given twice, first on line 2'),
        (b"model: {name: a}\nmodel: {name: b}\n", '2: key "model": given twice, first on line 1'),
        (b"model: " + b"{a: " * 200, "1: not valid YAML: nested too deeply"),
        (b"# x\n" * 70_000, "1: larger than 256 KiB: not a configuration file"),
    ],
)
def test_a_file_that_is_not_such_a_yaml_is_one_line_with_its_line(tmp_path: Path, data: bytes, reason: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert caught.value.message == f"{file}:{reason}".replace('"the file"', "the file")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_of_a_windows_editor_is_read(tmp_path: Path, encoding: str, newline: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(f"service:{newline}  port: 9{newline}model:{newline}  name: Küche{newline}".encode(encoding))
    config = load_config(file)
    assert (config.service.port, config.model.name) == (9, "Küche")


def test_aliases_of_aliases_take_no_time(tmp_path: Path) -> None:
    """The "billion laughs": each line would be ten times as long as the one before."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 15))]
    file = tmp_path / "x.yaml"
    file.write_text("\n".join([*lines, "generation: {stop: *a14}"]))
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert len(caught.value.message.splitlines()) == 16


def test_a_file_that_is_none_is_named_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path, kind in (
            (tmp_path / "fifo", "a FIFO"),
            (tmp_path / "socket", "a socket"),
            (tmp_path, "a directory"),
            (Path("/dev/zero"), "a device"),
        ):
            with pytest.raises(ConfigError) as caught:
                load_config(path)
            assert caught.value.message == f"{path}: cannot be read: it is {kind}, not a regular file"


def check_config(file: Path, text: str) -> tuple[int, str, str]:
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "youtu_edge", "check-config", str(file)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "daemon")},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_check_config_warns_of_what_this_machine_lacks_and_says_ok(tmp_path: Path) -> None:
    """Models and keys may come later, and addresses may be another machine's: exit code 0."""
    file = tmp_path / "x.yaml"
    text = f"model: {{path: {tmp_path}/none}}\nservice:\n  host: 192.0.2.7\n  keys_file: {tmp_path}/keys.json\n"
    code, out, err = check_config(file, text)
    assert (code, out) == (0, f"{file}: ok\n")
    model, host, keys = err.splitlines()
    assert model.startswith(
        f'youtu-edge: warning: {file}:1: key "model.path": {tmp_path}/none: no such directory; install a'
    )
    assert host.startswith(
        f'youtu-edge: warning: {file}:3: key "service.host": service.host 192.0.2.7 is not an address of this'
    )
    assert keys.startswith(
        f'youtu-edge: warning: {file}:4: key "service.keys_file": service.host 192.0.2.7: other machines can reach'
    )


def test_check_config_refuses_half_of_a_certificate_and_a_host_that_is_not_an_address(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    code, out, err = check_config(file, "service: {tls_key: /k.pem}\n")
    assert (code, out) == (78, "")
    assert err == "youtu-edge: service.tls_certificate and service.tls_key: set both of them, or none\n"
    code, out, err = check_config(file, "service: {host: mybox}\n")
    assert (code, out) == (78, "")
    assert err.startswith(f"youtu-edge: {file}:1: key \"service.host\": 'mybox' is not an IP address; ")
