"""A step that runs out of memory is repeated with fewer tokens; the process and its requests continue."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tiny_model import make_tiny_package

# In a separate process, because the limit cannot be raised again.
SCRIPT = """
import json, resource, sys
from pathlib import Path
from score import open_model
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.scheduler import Scheduler
from youtu_edge.engine.service import make_loop
from youtu_edge.protocol.from_engine import Failed, StepFrame
from youtu_edge.protocol.to_engine import SamplingParams, Submit

runner, prompter, tokenizer = open_model(Path(sys.argv[1]), 8192)
messages = []
scheduler = Scheduler(PagePool(256, 32), max_sequences=4, step_tokens=8192)
loop = make_loop(runner, scheduler, tokenizer, prompter, messages.append, max_stall_s=1.0)

def ask(name, prompt):
    loop.submit(Submit(name, SamplingParams(), 8, prompt=prompt))
    while loop.has_work:
        loop.step()
    return [t for m in messages if isinstance(m, StepFrame) for d in m.deltas if d.id == name for t in d.tokens]

ask("warm-up", "short")
if sys.argv[2] == "tight":
    status = open("/proc/self/status").read()
    limit = int(status.split("VmData:")[1].split()[0]) * 1024 + 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
tokens = ask("long", "abcdefgh" * 800)
failed = [m.id for m in messages if isinstance(m, Failed)]
print(json.dumps({"tokens": tokens, "step_tokens": scheduler.step_tokens, "failed": failed}))
loop.idle()
assert scheduler.step_tokens == 8192
"""


def run(package: Path, memory: str) -> dict[str, object]:
    """Tokens of one long request, and the resulting step size."""
    command = [sys.executable, "-c", SCRIPT, str(package), memory]
    path = ":".join(str(Path(__file__).parents[2] / name) for name in ("daemon", "export", "tests"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={"PYTHONPATH": path}, check=True)
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_a_prompt_that_finds_no_memory_is_computed_in_smaller_steps(tmp_path: Path) -> None:
    """With one megabyte to spare a prompt of thousands of tokens still gets the answer that it gets with plenty."""
    package = make_tiny_package(tmp_path / "package", context_length=8192)
    free, tight = run(package, "free"), run(package, "tight")
    assert tight["failed"] == []
    assert tight["tokens"] == free["tokens"]
    assert free["step_tokens"] == 8192
    assert isinstance(tight["step_tokens"], int)
    assert tight["step_tokens"] < 8192
