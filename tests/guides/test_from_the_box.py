"""From a fresh system without a network to an answer, by the commands of docs/boards as they are written there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_process import Daemon
from guides.guide import NAMES, Guide, read_guide
from guides.roots import SYSTEMS, System, make_root, why_not
from guides.terminal import run_in_machine, run_in_root
from systemd.machine import Machine
from systemd.machine import why_not as why_no_machine
from tiny_model import make_tiny_checkpoint
from wheelhouse import ROOT, make_wheelhouse, run_script

GUIDES = {name: read_guide(name) for name in NAMES}
QUICK = "debian-12-unpacked"
ENDED = "{ cat /out/log; exit 1; }"
WAIT = f"""until curl --silent --fail http://127.0.0.1:8080/readyz >/dev/null; do
    kill -0 $! || {ENDED}
    sleep 1
done"""
"""What a person does by looking at the terminal."""
BRING = "mkdir -p /var/tmp && cp -r /out/wheels /out/youtu-2b /var/tmp/"
LOOK = [
    "echo asked without a key: $(curl --silent -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/v1/models)",
    "systemctl is-active youtu-edge",
    "systemctl is-enabled youtu-edge",
]


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> System:
    wanted = str(request.config.getoption("--systems", default="") or "").split(",")
    chosen = SYSTEMS[request.param]
    if chosen.name != QUICK and not {chosen.name, "all"} & set(wanted):
        pytest.skip(f"takes minutes; ./scripts/test tests/guides --systems {chosen.name}")
    if reason := why_not(chosen):
        pytest.skip(reason)
    return chosen


@pytest.fixture(scope="module")
def root(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With the packages that the guide has installed first."""
    directory = tmp_path_factory.mktemp("system") / "root"
    make_root(system, packages_of(GUIDES[system.guide]), directory)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def wheels(system: System) -> Path:
    """What the guide's command for the PC makes, with the processor and the Python of the system."""
    words = shlex.split(GUIDES[system.guide].command("make_wheelhouse", "pc"))
    assert words == ["./scripts/make_wheelhouse", "--platform", "aarch64", "--python", "3.11", "wheels"]
    if not system.is_foreign and system.python == own_python():
        return make_wheelhouse(system.processor)  # other tests use it, too
    directory = ROOT / "build" / f"wheelhouse-{system.processor}-{system.python}"
    options = ["--platform", system.processor, "--python", system.python, str(directory)]
    made = run_script(Path(words[0]).name, *options)
    assert made.returncode == 0, made.stdout + made.stderr
    return directory


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide's command makes of a small checkpoint."""
    directory = tmp_path_factory.mktemp("pc")
    (directory / "checkpoint").mkdir()
    checkpoint = make_tiny_checkpoint(directory / "checkpoint", context_length=2048)
    command = GUIDES["generic"].command("youtu-export", "pc").replace("tencent/Youtu-LLM-2B", str(checkpoint))
    words = shlex.split(command)
    assert words[0] == "exporter/bin/youtu-export"
    exporter = [sys.executable, "-c", "from youtu_export.__main__ import main; raise SystemExit(main())"]
    subprocess.run([*exporter, *words[1:]], cwd=directory, check=True, capture_output=True)
    return directory / "youtu-2b"


@pytest.fixture(scope="module")
def answer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What this checkout answers to the guide's question."""
    question = re.search(r"-d '(.*)'", GUIDES["generic"].command("/chat", "board"))
    assert question
    with Daemon(package, tmp_path_factory.mktemp("here")) as daemon:
        daemon.wait_ready()
        status, body = daemon.post("/chat", json.loads(question[1]))
    assert status == 200, body
    text: str = body["response"]
    assert len(text) > 10
    return text


def test_a_fresh_system_answers_by_the_commands_of_its_guide(
    system: System, root: Path, wheels: Path, package: Path, answer: str, tmp_path: Path
) -> None:
    """Install, plan, serve in a terminal, ask; where systemd can be booted, everything about the service as well.

    The answers are this machine's, to the last letter.
    """
    if system.is_foreign or why_no_machine():
        out = carry(wheels, package, tmp_path / "out")
        said = run_in_root(root, out, [BRING, *install_blocks(system), *terminal_blocks(system)], 1800)
        assert [body["response"] for body in answers(said)] == [answer]
    else:
        said = run_all(system, root, wheels, package, tmp_path)
        assert [body["response"] for body in answers(said)] == [answer, answer]
        assert "\nasked without a key: 401\n" in said
        assert said.rstrip().endswith("\nactive\n+ systemctl is-enabled youtu-edge\nenabled")
        assert not [line for line in said.splitlines() if line.startswith("fail ")]
    assert "largest in budget" in said
    assert "\nready" in said


def run_all(system: System, root: Path, wheels: Path, package: Path, directory: Path) -> str:
    """All commands of the guide for the board, in the order of the text, in one session."""
    blocks = [block.text for block in GUIDES[system.guide].blocks if block.place in ("board", "board-service")]
    installing = install_blocks(system)
    assert blocks[: len(installing)] == installing
    with Machine(directory, {}, root=root, has_network=False) as machine:
        carry(wheels, package, machine.out)
        session = [BRING, *installing, *terminal_blocks(system), *blocks[len(installing) :], *LOOK]
        said = run_in_machine(machine, session, 900)
        log = machine.run("journalctl", "-u", "youtu-edge", "-o", "cat", "--no-pager").stdout
    assert "0.0.0.0" in log
    return said


def packages_of(guide: Guide) -> list[str]:
    """Of its first command."""
    words = guide.command("apt-get install", "board-packages").split()
    assert words[:4] == ["sudo", "apt-get", "install", "--yes"]
    return words[4:]


def install_blocks(system: System) -> list[str]:
    """What the guide says before it speaks of the service."""
    texts = []
    for block in GUIDES[system.guide].blocks:
        if block.place == "board-service":
            break
        texts += [block.text] if block.place == "board" else []
    return texts


def terminal_blocks(system: System) -> list[str]:
    """Serve in one terminal, ask in another, end it."""
    guide = GUIDES[system.guide]
    [serve] = [block.text for block in guide.blocks if block.place == "board-terminal"]
    [ask] = [block.text for block in guide.blocks if "curl" in block.text and block.place == "board"]
    return [f"{{ exec {serve.strip()}; }} >/out/log 2>&1 &", WAIT, ask, "kill $!", f"wait $! || {ENDED}"]


def carry(wheels: Path, package: Path, out: Path) -> Path:
    """What scp brings."""
    for source, name in ((wheels, "wheels"), (package, "youtu-2b")):
        shutil.copytree(source, out / name)
    return out


def answers(said: str) -> list[dict[str, Any]]:
    """The bodies of the answers, which are the only ones that begin a line; none ends one."""
    return [json.JSONDecoder().raw_decode(line)[0] for line in said.splitlines() if line.startswith('{"')]


def own_python() -> str:
    """Version of the Python that scripts/make_wheelhouse takes here."""
    command = ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
