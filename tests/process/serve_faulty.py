"""The real front with the faulty engine: serve_faulty.py --set SECTION.KEY=VALUE …"""

from __future__ import annotations

import sys
from pathlib import Path

from youtu_edge import log
from youtu_edge.cli.serve import serve
from youtu_edge.config_file import load_config
from youtu_edge.errors import YoutuEdgeError

if __name__ == "__main__":
    try:
        config = load_config(None, sys.argv[2::2])
        log.configure(config.service.log_level)
        sys.exit(serve(config, [sys.executable, str(Path(__file__).with_name("faulty_engine.py"))]))
    except YoutuEdgeError as error:
        print(f"youtu-edge: {error.message}", file=sys.stderr)
        sys.exit(error.exit_code)
