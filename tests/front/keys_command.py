"""`youtu-edge keys` as a process, and requests with the tokens that it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from front.scripted_daemon import ENVIRONMENT, Daemon

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}
NO_SUCH_KEY = "ye-" + "A" * 43


def keys(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `youtu-edge keys` on tmp_path/keys.json."""
    config = tmp_path / "youtu-edge.yaml"
    config.write_text(f"service:\n  keys_file: {tmp_path}/keys.json\n")
    command = [sys.executable, "-m", "youtu_edge", "keys", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)


def add(tmp_path: Path, *arguments: str) -> str:
    """A new key's token."""
    done = keys(tmp_path, "add", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def post(daemon: Daemon, token: str, content: str = "hello") -> tuple[int, dict[str, str], Any]:
    body = {"messages": [{"role": "user", "content": content}]}
    status, headers, data = daemon.request("POST", CHAT, body, bearer(token))
    return status, headers, json.loads(data)
