"""The real front process with the scripted engine.

serve_scripted.py [--config=FILE] SECTION.KEY=VALUE … -- ENGINE OPTION …
"""

from __future__ import annotations

import sys
from pathlib import Path

from youtu_edge import log
from youtu_edge.cli.serve import serve
from youtu_edge.config_file import load_config
from youtu_edge.errors import YoutuEdgeError

if __name__ == "__main__":
    split = sys.argv.index("--")
    engine = [sys.executable, str(Path(__file__).with_name("scripted_engine.py")), *sys.argv[split + 1 :]]
    try:
        arguments = sys.argv[1:split]
        file = next((word.partition("=")[2] for word in arguments if word.startswith("--config=")), None)
        arguments = [word for word in arguments if not word.startswith("--config=")]
        config = load_config(file, arguments)
        log.configure(config.service.log_level)
        sys.exit(serve(config, engine, lambda: load_config(file, arguments)))
    except YoutuEdgeError as error:
        print(f"youtu-edge: {error.message}", file=sys.stderr)
        sys.exit(error.exit_code)
