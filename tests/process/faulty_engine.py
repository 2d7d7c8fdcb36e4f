"""The real engine with faults: words in a prompt break the step in which its request runs, in every life.

segv@N  crash instead of computing token N        spin@N  loop for ever in C, holding the GIL, at token N
leak    lose a megabyte in every step
"""

from __future__ import annotations

import ctypes
import re
import resource
import sys
from typing import Any

from youtu_edge.engine import __main__ as engine_main
from youtu_edge.engine.incoming import whole
from youtu_edge.engine.loop import Loop
from youtu_edge.protocol.to_engine import Submit

_real_submit, _real_run = Loop.submit, Loop._run
_prompts: dict[str, str] = {}
_lost: list[bytearray] = []


def _submit(self: Loop, request: Any) -> None:
    text = whole(request.body)
    assert isinstance(text, Submit)
    _prompts[request.id] = text.messages[-1].content if text.messages else text.prompt or ""
    _real_submit(self, request)


def _run(self: Loop, plan: Any) -> Any:
    for sequence in plan.sequences:
        prompt, token = _prompts[sequence.id], sequence.num_generated + 1
        if f"segv@{token}" in prompt.split():
            ctypes.string_at(0)
        if f"spin@{token}" in prompt.split():
            re.match(r"(a+)+$", "a" * 64 + "b")
        if "leak" in prompt.split():
            _lost.append(bytearray(b"x") * (1 << 20))
    return _real_run(self, plan)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Loop.submit, Loop._run = _submit, _run  # type: ignore[method-assign]
    sys.exit(engine_main._main())
