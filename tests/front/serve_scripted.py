"""The real front process with the scripted engine: serve_scripted.py SECTION.KEY=VALUE … -- ENGINE OPTION …"""

from __future__ import annotations

import sys
from pathlib import Path

from youtu_edge import log
from youtu_edge.config_file import load_config
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.front.service import serve

if __name__ == "__main__":
    split = sys.argv.index("--")
    engine = [sys.executable, str(Path(__file__).with_name("scripted_engine.py")), *sys.argv[split + 1 :]]
    try:
        config = load_config(None, sys.argv[1:split])
        log.configure(config.service.log_level)
        sys.exit(serve(config, engine))
    except YoutuEdgeError as error:
        print(f"youtu-edge: {error.message}", file=sys.stderr)
        sys.exit(error.exit_code)
