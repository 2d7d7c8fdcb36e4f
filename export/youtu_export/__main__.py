"""youtu-export: make a model package out of a checkpoint.

Exit codes: 0 done, 1 the checkpoint or the target is unusable, 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from youtu_export.checkpoint import Checkpoint
from youtu_export.errors import ExportError
from youtu_export.export import export
from youtu_export.gguf_reader import open_gguf
from youtu_export.hf_reader import open_hf
from youtu_export.progress import layer_progress
from youtu_export.recipes import BLOCKS, RECIPES

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    options = _parser().parse_args(arguments)
    former = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _export(options)
    except ExportError as error:
        message = error.message
    except OSError as error:
        message = f"{error.filename or options.out}: {error.strerror or error}"
    except KeyboardInterrupt:
        print("youtu-export: interrupted; nothing was written", file=sys.stderr)
        return _INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, former)
    print(f"youtu-export: {message}".replace("\n", " "), file=sys.stderr)
    return 1


def _export(options: argparse.Namespace) -> int:
    source, out = Path(options.source), Path(options.out).absolute()
    recipe = dataclasses.replace(RECIPES[options.recipe], block=options.block)
    checkpoint: Checkpoint = open_gguf(source) if options.format == "gguf" else open_hf(source)
    name = options.name or (source.stem if options.format == "gguf" else source.resolve().name)
    with layer_progress() as progress:
        manifest = export(checkpoint, out, recipe, name=name, force=options.force, progress=progress)
    size = sum(entry.size for entry in manifest.files.values())
    print(f"{options.out}: {manifest.name}, {manifest.family}, recipe {manifest.recipe}, {size / 1e6:.1f} MB")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="youtu-export", description="Make a model package out of a checkpoint.")
    formats = parser.add_subparsers(dest="format", required=True, metavar="gguf|hf")
    for format_, metavar, text in (("gguf", "FILE", "a GGUF file"), ("hf", "DIR", "a directory in Hugging Face's format")):
        command = formats.add_parser(format_, help=f"from {text}", description=f"Make a model package from {text}.")
        command.add_argument("source", metavar=metavar, help=text)
        command.add_argument("out", metavar="OUT", help="the package directory to make")
        command.add_argument("--recipe", choices=list(RECIPES), default="q4", help="how weights are stored (default: q4)")
        command.add_argument(
            "--block", type=int, choices=BLOCKS, default=32,
            help="values that share one scale; does not change matrices whose codes are kept (default: 32)",
        )  # fmt: skip
        command.add_argument("--name", help="the model's name in the API (default: the name of the source)")
        command.add_argument("--force", action="store_true", help="replace OUT if it is a package already")
    return parser


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
