"""The daemon of a replica of config/fleet/ray, with the scripted engine. It tells the tests who its replica is.

ray_daemon.py DIRECTORY: a file with the name of the board in it has the process id of the replica.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("daemon", "tests")]

from youtu_edge import log  # noqa: E402
from youtu_edge.cli.serve import serve  # noqa: E402
from youtu_edge.config_file import load_config  # noqa: E402

if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])  # of the engine
    config = load_config(None, ("storage.synchronous=normal",), os.environ)
    Path(sys.argv[1], config.service.board).write_text(str(os.getppid()))
    log.configure(config.service.log_level)
    engine = [sys.executable, str(ROOT / "tests" / "front" / "scripted_engine.py")]
    sys.exit(serve(config, engine, lambda: config))
