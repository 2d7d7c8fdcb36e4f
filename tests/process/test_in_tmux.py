"""Every command in a terminal of 80 columns, against a running daemon. The transcripts are kept in build/transcripts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_lines import parsers
from daemon_process import Daemon
from process.tmux import Tmux
from youtu_edge.__main__ import make_parser

TRANSCRIPTS = Path(__file__).parents[2] / "build" / "transcripts"
DAEMON = "--url http://127.0.0.1:{port}"
COMMANDS = {
    "--version": ("", 0, "youtu-edge "),
    "check-config": ("board.yaml", 0, "board.yaml"),
    "doctor": ("--config board.yaml", None, "libraries"),
    "plan": ("package --memory 1G --context 256 --streams 2", 0, "MiB"),
    "health": ("--set service.port={port}", 0, "ready"),
    "status": (DAEMON, 0, "requests"),
    "fleet status": ("http://127.0.0.1:{port}", 0, "STATE"),
    "bench": (DAEMON + " --rounds 1 --tokens 8 --streams 2", 0, "2 streams of 8 tokens"),
    "logs": ("--file daemon.log --lines 50", 0, "engine_ready"),
    "render-unit": ("", 0, "[Service]"),
    "install-service": ("--board nowhere", 78, "nowhere"),
    "keys add": ("kitchen --config board.yaml", 0, "ye-"),
    "keys list": ("--config board.yaml", 0, "kitchen"),
    "keys revoke": ("kitchen --config board.yaml", 0, "no longer valid"),
    "model show": ("package", 0, "tiny"),
    "model verify": ("package", 0, "package"),
    "model install": ("package --config board.yaml", 0, "is active"),
    "model list": ("--config board.yaml", 0, "RECIPE"),
    "model activate": ("nonsense --config board.yaml", 1, "not installed"),
    "model rollback": ("--config board.yaml", 0, "package is active again"),
    "model prune": ("--config board.yaml", 0, "removed tiny"),
}
"""Command -> arguments, exit code (None: any) and a part of what it shows. `chat` and `serve` have tests of their own."""


@pytest.fixture(scope="module")
def directory(tiny_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a package, and a configuration of an installation of its own."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed; on Debian: apt-get install tmux")
    found = tmp_path_factory.mktemp("tmux")
    (found / "package").symlink_to(tiny_package)
    (found / "board.yaml").write_text(
        f"service: {{port: 0, keys_file: {found}/keys.json}}\nstorage: {{directory: {found}/data}}\n"
        f"model: {{path: {found}/package}}\nupdates: {{require_signature: false}}\n",
        encoding="utf-8",
    )
    return found


@pytest.fixture(scope="module")
def daemon(directory: Path) -> Iterator[Daemon]:
    with Daemon(directory / "package", directory) as started:
        started.wait_ready()
        (directory / "daemon.log").symlink_to(started.log_path)
        yield started


@pytest.fixture(scope="module")
def tmux(directory: Path) -> Iterator[Tmux]:
    with Tmux(directory) as session:
        yield session


def keep(name: str, text: str) -> None:
    TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
    (TRANSCRIPTS / f"{name.replace(' ', '-')}.txt").write_text(text, encoding="utf-8")


def test_no_command_is_left_out() -> None:
    found = {" ".join(words) for parser, words in parsers(make_parser()) if words and not parser.commands()}
    assert found == {*COMMANDS, "chat", "serve"} - {"--version"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_what_it_does_and_how_it_ended(tmux: Tmux, daemon: Daemon, name: str) -> None:
    arguments, code, part = COMMANDS[name]
    shown, ended = tmux.run(f"youtu-edge {name} {arguments.format(port=daemon.port)}")
    keep(name, shown)
    assert part in shown
    assert ended == code or (code is None and ended in (0, 1))
    assert "Traceback" not in shown
    assert "\x1b" not in shown


def test_a_conversation(tmux: Tmux, daemon: Daemon) -> None:
    """A command, a wrong command, a question; Ctrl-D ends it."""
    tmux.begin(f"youtu-edge chat --url http://127.0.0.1:{daemon.port}")
    tmux.wait("/help shows the commands")
    tmux.type("/claer")
    tmux.wait("did you mean '/clear'?")
    tmux.type("Hello")
    tmux.wait("tokens/s")
    tmux.keys("C-d")
    shown, code = tmux.finished()
    keep("chat", shown)
    assert code == 0


def test_a_daemon_in_the_foreground(tmux: Tmux) -> None:
    """Ctrl-C stops it."""
    tmux.begin("youtu-edge serve --config board.yaml")
    tmux.wait("engine_ready")
    tmux.keys("C-c")
    shown, code = tmux.finished()
    keep("serve", shown)
    assert "listening on http://127.0.0.1:" in shown
    assert code == 0
