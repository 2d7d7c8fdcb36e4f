"""The command `llm`, as in a terminal."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from rows import CALL, CITY, ECHO, MODEL, QUESTION, TEXT, is_city, run

home = pathlib.Path(tempfile.mkdtemp())
(home / "extra-openai-models.yaml").write_text(
    "".join(
        f"- model_id: {name}\n  model_name: default\n  api_base: {url}/v1\n"
        "  supports_tools: true\n  supports_schema: true\n"
        for name, url in (("echo", ECHO), ("model", MODEL))
    )
)


def llm(*arguments: str) -> str:
    environment = {**os.environ, "LLM_USER_PATH": str(home), "OPENAI_API_KEY": "none"}
    command = [sys.executable, "-m", "llm", "prompt", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def whole() -> None:
    assert llm("-m", "echo", "--no-stream", TEXT) == TEXT


def stream() -> None:
    assert llm("-m", "echo", TEXT) == TEXT


def tools() -> None:
    look = "def look(at: str) -> str:\n    'Look at it'\n    return at + ' is blue'\n"
    llm("-m", "echo", "--functions", look, CALL)
    logged = subprocess.run(
        [sys.executable, "-m", "llm", "logs", "--json", "-n", "0"],
        capture_output=True, text=True, env={**os.environ, "LLM_USER_PATH": str(home)}, check=True,
    )  # fmt: skip
    calls = [call for entry in json.loads(logged.stdout) for call in entry.get("tool_calls") or ()]
    assert [(call["name"], call["arguments"]) for call in calls][:1] == [("look", {"at": "sky"})]


def schema() -> None:
    assert is_city(json.loads(llm("-m", "model", "--schema", json.dumps(CITY), "-o", "max_tokens", "60", QUESTION)))


run(whole, stream, tools, schema)
