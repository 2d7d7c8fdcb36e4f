"""`youtu-edge serve` on the files of another board: serve_on_board.py ROOT [--set SECTION.KEY=VALUE …]."""

from __future__ import annotations

import sys
from pathlib import Path

from youtu_edge import log
from youtu_edge.board_files import BoardFiles
from youtu_edge.cli.serve import serve
from youtu_edge.config_file import load_config

if __name__ == "__main__":
    config = load_config(None, [word for word in sys.argv[2:] if word != "--set"])
    log.configure(config.service.log_level)
    sys.exit(serve(config, board_files=BoardFiles(Path(sys.argv[1]))))
