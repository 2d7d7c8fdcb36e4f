"""The real front process with the scripted engine: serve_scripted.py SECTION.KEY=VALUE … -- ENGINE OPTION …"""

from __future__ import annotations

import sys
from pathlib import Path

import youtu_edge.cli.serve as command
from youtu_edge.__main__ import main
from youtu_edge.front import service

if __name__ == "__main__":
    split = sys.argv.index("--")
    engine = [sys.executable, str(Path(__file__).with_name("scripted_engine.py")), *sys.argv[split + 1 :]]
    command.serve = lambda config: service.serve(config, engine)
    sys.exit(main(["serve", *(f"--set={item}" for item in sys.argv[1:split])]))
