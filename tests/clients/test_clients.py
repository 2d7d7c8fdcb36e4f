"""Real clients against real daemons: every row of docs/clients.md, and its programs as they are written there.

The clients are in an environment of their own, which ./scripts/clients makes.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from daemon_process import Daemon as ModelDaemon
from front.scripted_daemon import running, wait_until

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "build" / "clients" / "bin" / "python"
DOCUMENT = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
BLOCKS = {
    heading: textwrap.dedent(block)
    for heading, block in re.findall(r"(?m)^## (.+)\n(?:(?!## |    ).*\n)*((?:    .*\n|\n)+)", DOCUMENT)
}
"""Heading -> the first program or file below it."""
SNIPPETS = [heading for heading, block in BLOCKS.items() if "import" in block]
ALL = {"whole", "stream", "tools", "schema"}
PROGRAMS = [
    ("openai_client.py", "", ALL),
    ("anthropic_client.py", "", ALL - {"schema"}),
    ("ollama_client.py", "", ALL),
    ("langchain_client.py", "openai", ALL),
    ("langchain_client.py", "ollama", ALL),
    ("litellm_client.py", "openai", ALL),
    ("litellm_client.py", "anthropic", ALL - {"schema"}),
    ("litellm_client.py", "ollama_chat", ALL),
    ("llama_index_client.py", "openai", ALL),
    ("llama_index_client.py", "ollama", ALL),
    ("llm_client.py", "", ALL),
]


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The URL of a daemon that answers with the question."""
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: ./scripts/clients")
    with running("service.max_restart_rate=1/10") as daemon:
        wait_until(lambda: daemon.request("GET", "/readyz")[0] == 200)
        yield f"http://127.0.0.1:{daemon.port}"


@pytest.fixture(scope="module")
def model(smollm2_q4: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a daemon with a real model."""
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: ./scripts/clients")
    with ModelDaemon(smollm2_q4, tmp_path_factory.mktemp("clients")) as daemon:
        daemon.wait_ready()
        yield f"http://127.0.0.1:{daemon.port}"


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        [str(PYTHON), *command], capture_output=True, text=True, timeout=400, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize(("program", "argument", "rows"), PROGRAMS)
def test_a_client_gets_whole_and_streamed_answers_tools_and_schemas(
    program: str, argument: str, rows: set[str], echo: str, model: str
) -> None:
    path = Path(__file__).parent / "programs" / program
    said = run(str(path), *argument.split(), ECHO_URL=echo, MODEL_URL=model)
    assert set(re.findall(r"^ok (\w+)", said, re.MULTILINE)) == rows


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_program_of_the_document_prints_an_answer(name: str, model: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(BLOCKS[name].replace("http://board:8080", model), encoding="utf-8")
    assert run(str(program), LITELLM_LOCAL_MODEL_COST_MAP="True").strip()


def test_the_document_has_a_program_or_a_file_for_each_client() -> None:
    """And files are YAML that names our address."""
    clients = {"openai", "anthropic", "ollama", "langchain-openai", "langchain-ollama", "litellm", "llama-index"}
    assert set(SNIPPETS) == clients
    for name in ("llm", "Continue"):
        document = yaml.safe_load(BLOCKS[name])
        entries = document if isinstance(document, list) else document["models"]
        addresses = [value for entry in entries for key, value in entry.items() if key in ("api_base", "apiBase")]
        assert addresses == ["http://board:8080/v1"]
