"""youtu-export: make a model package from a checkpoint, compare two packages, verify one against its checkpoint.

Exit codes: 0 done, 1 the checkpoint, a package or the target is unusable, or verification failed, 2 invalid arguments,
130 interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from youtu_edge.command_parser import Parser
from youtu_edge.errors import YoutuEdgeError, one_line
from youtu_edge.rollout import INDEX
from youtu_edge.tool_formats import TOOL_FORMATS
from youtu_export.hubs import HUBS
from youtu_export.make_package import PackageRequest, make_package
from youtu_export.package_directory import reject_existing
from youtu_export.progress import layer_progress
from youtu_export.publish import publish
from youtu_export.quality.compare import SAMPLE as EVALUATION
from youtu_export.quality.compare import compare
from youtu_export.quality.golden import PROMPTS, read_prompts
from youtu_export.quality.verify import verify
from youtu_export.quantise.recipes import BLOCKS, RECIPES
from youtu_export.sign import keygen, sign
from youtu_export.source import DEFAULT_HUB, HubOptions, find_source
from youtu_export.supported_models import supported_models

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    command: Callable[[argparse.ArgumentParser, argparse.Namespace], int] = options.run
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return command(parser, options)
    except YoutuEdgeError as error:
        message = error.message
    except OSError as error:
        message = f"{error.filename or getattr(options, 'out', '')}: {error.strerror or error}"
    except MemoryError:
        message = f"{getattr(options, 'source', options.format)}: not enough memory for it"
    except KeyboardInterrupt as interrupt:
        print(f"youtu-export: interrupted; {str(interrupt) or 'nothing was written'}", file=sys.stderr)
        return _INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, previous)
    print(f"youtu-export: {one_line(message)}", file=sys.stderr)
    return 1


def _export(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    recipe = RECIPES[options.recipe]
    if options.calibration and not recipe.calibrated:
        parser.error(f"--calibration: recipe {recipe.name} does not use calibration; use --recipe q4-awq")
    if options.int8 and recipe.matrix_bits != 4:
        parser.error(f"--int8: recipe {recipe.name} has no 4-bit matrices")
    if options.report_text and not options.report:
        parser.error("--report-text: requires --report")
    if options.no_golden and options.golden_prompts:
        parser.error("--golden-prompts: cannot be combined with --no-golden")
    golden_prompts: Sequence[str] = () if options.no_golden else PROMPTS
    if options.golden_prompts:
        golden_prompts = read_prompts(Path(options.golden_prompts))
    out = Path(options.out).absolute()
    reject_existing(out, force=options.force)  # before gigabytes are fetched for it
    source = find_source(options.format, options.source, _hub_options(options))
    request = PackageRequest(
        format=options.format,
        source=source.path,
        origin=source.origin,
        out=out,
        recipe=dataclasses.replace(recipe, block=options.block, int8_matrices=tuple(options.int8)),
        name=options.name or source.name,
        force=options.force,
        calibration=Path(options.calibration) if options.calibration else None,
        report_texts=tuple(_texts(options.report_text)) if options.report else None,
        release=options.release,
        tool_format=options.tool_format,
        golden_prompts=tuple(golden_prompts),
    )
    with layer_progress() as progress:
        manifest, findings = make_package(request, progress)
    for warning in findings.warnings:
        print(f"youtu-export: warning: {one_line(warning)}", file=sys.stderr)
    size = sum(entry.size for entry in manifest.files.values())
    print(f"{options.out}: {manifest.name}, {manifest.family}, recipe {manifest.recipe}, {size / 1e6:.1f} MB")
    for note in (*findings.notes, *([source.note] if source.note else [])):
        print(f"  {one_line(note)}")
    return 0


def _hub_options(options: argparse.Namespace) -> HubOptions:
    cache = Path(options.cache).absolute() if options.cache else None
    return HubOptions(hub=options.hub, revision=options.revision, cache=cache)


def _compare(_parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    print(compare(Path(options.a), Path(options.b), _texts(options.text), options.tokens))
    return 0


def _verify(_parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    found = verify(Path(options.package), Path(options.against), _texts(options.text), options.tokens)
    print(found.table())
    return 0 if found.passed else 1


def _families(_parser: argparse.ArgumentParser, _options: argparse.Namespace) -> int:
    print(supported_models())
    return 0


def _sign(_parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    print(sign(Path(options.package), Path(options.key)))
    return 0


def _publish(_parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    key = Path(options.key) if options.key else None
    release = publish(
        Path(options.package),
        Path(options.directory),
        percent=options.percent,
        key_file=key,
        valid_days=options.valid_days,
    )
    print(
        f"{Path(options.directory) / release.archive}: release {release.release}, for {release.percent:g} % of the boards"
    )
    if not key:
        print(f"{Path(options.directory) / INDEX}: not signed; boards that trust a key reject it")
    return 0


def _keygen(_parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    public = keygen(Path(options.file))
    print(f"{options.file}: keep it secret\n{public}: copy it to /etc/youtu-edge/trust on every device")
    return 0


def _texts(names: Sequence[str]) -> list[Path]:
    return [Path(name) for name in names] or [EVALUATION]


class _Parser(Parser):
    pages = "youtu_export.help_pages"


def make_parser() -> Parser:
    """All commands and their options; what --help says beside them is in help_pages."""
    parser = _Parser(prog="youtu-export")
    commands = parser.add_subparsers(dest="format", required=True, metavar="COMMAND")
    for format_, metavar, text in (
        ("gguf", "FILE", "a GGUF file, or ORG/NAME:FILE.gguf on a hub"),
        ("hf", "DIR", "a directory in Hugging Face's format, or ORG/NAME on a hub"),
    ):
        command = commands.add_parser(format_, help=f"from {text}")
        command.set_defaults(run=_export)
        command.add_argument("source", metavar=metavar, help=text)
        command.add_argument("out", metavar="OUT", help="the package directory to create")
        _add_export_options(command)
    command = commands.add_parser("families", help="list the supported models")
    command.set_defaults(run=_families)
    command = commands.add_parser("compare", help="compare two packages")
    command.set_defaults(run=_compare)
    command.add_argument("a", metavar="A", help="the reference package, such as one of recipe f32")
    command.add_argument("b", metavar="B", help="the package to measure")
    _add_text_options(command)
    command = commands.add_parser("verify", help="compare with transformers")
    command.set_defaults(run=_verify)
    command.add_argument("package", metavar="PACKAGE", help="the package directory")
    command.add_argument("--against", metavar="DIR", required=True, help="the checkpoint in Hugging Face's format")
    _add_text_options(command)
    command = commands.add_parser("sign", help="sign a package")
    command.set_defaults(run=_sign)
    command.add_argument("package", metavar="PACKAGE", help="the package directory")
    command.add_argument("--key", metavar="FILE", required=True, help="the private key, made by keygen or openssl")
    command = commands.add_parser("publish", help="put a package on a file server")
    command.set_defaults(run=_publish)
    command.add_argument("package", metavar="PACKAGE", help="the package directory")
    command.add_argument("directory", metavar="DIR", help="the directory that a web server serves")
    command.add_argument("--percent", type=_percent, default=100.0, metavar="N", help="of the boards (default: 100)")
    command.add_argument("--key", metavar="FILE", help="the private key that signs the package and rollout.json")
    command.add_argument(
        "--valid-days", type=_days, metavar="N", help="boards refuse rollout.json after N days (default: never)"
    )
    command = commands.add_parser("keygen", help="create a signing key")
    command.set_defaults(run=_keygen)
    command.add_argument("file", metavar="FILE", help="the file for the private key")
    return parser


def _add_export_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--recipe", choices=list(RECIPES), default="q4", help="how weights are stored (default: q4)")
    command.add_argument(
        "--block", type=int, choices=BLOCKS, default=32,
        help="values per scale; matrices whose codes are kept ignore it (default: 32)",
    )  # fmt: skip
    command.add_argument("--from", dest="hub", choices=list(HUBS), help=f"the hub to fetch from (default: {DEFAULT_HUB})")
    command.add_argument("--revision", metavar="REV", help="branch, tag or commit on the hub (default: its main branch)")
    command.add_argument("--cache", metavar="DIR", help="where downloads are kept (default: ~/.cache/youtu-edge/hub)")
    command.add_argument("--name", help="the model's name in the API (default: the name of the source)")
    command.add_argument(
        "--release",
        type=_release,
        default=0,
        metavar="N",
        help="release number of this model; devices reject a lower one",
    )
    command.add_argument(
        "--tool-format",
        choices=[form.name for form in TOOL_FORMATS],
        metavar="FORM",
        default="",
        help="the form in which the model writes tool calls (default: the chat template tells): "
        + ", ".join(form.name for form in TOOL_FORMATS),
    )
    command.add_argument("--golden-prompts", metavar="FILE", help="one prompt per line for golden.json (default: built in)")
    command.add_argument(
        "--no-golden", action="store_true", help="no golden.json: devices can only test that the model answers"
    )
    command.add_argument("--force", action="store_true", help="replace OUT if it is already a package")
    command.add_argument(
        "--calibration", metavar="FILE", help="text, or JSON lines with text or messages, for q4-awq (default: built in)"
    )
    command.add_argument(
        "--int8", metavar="PATTERN", action="append", default=[],
        help="store matrices whose names match in 8 bits, such as '*.down_proj.weight'; may be repeated",
    )  # fmt: skip
    command.add_argument("--report", action="store_true", help="measure against float32 and write report.md to the package")
    command.add_argument("--report-text", metavar="FILE", action="append", default=[], help="measure on this text")


def _add_text_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--text", metavar="FILE", action="append", default=[], help="score this text; may be repeated (default: built in)"
    )
    command.add_argument("--tokens", type=int, default=4096, help="maximum tokens of each text (default: 4096)")


def _release(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 999999999")
    return int(text)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 3650:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to 3650")
    return int(text)


def _percent(text: str) -> float:
    try:
        percent = float(text)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to 100")
    return percent


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
