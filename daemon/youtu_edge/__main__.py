"""The command `youtu-edge`. Parses arguments; each subcommand is a module of cli/ and imported only when it runs."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from youtu_edge import __version__
from youtu_edge.allocator import use_for_objects
from youtu_edge.cli.arguments import DEFAULT_CONFIG, add_access, add_config, add_set
from youtu_edge.cli.fleet_arguments import add_fleet_parser
from youtu_edge.cli.model_arguments import add_model_parser
from youtu_edge.command_parser import Parser
from youtu_edge.errors import EXIT_OK, ConfigError, YoutuEdgeError, one_line
from youtu_edge.process_limits import FRONT, LIBRARIES, check_room, shortage

DEFAULT_URL = "http://127.0.0.1:8080"


def make_parser() -> Parser:
    """All subcommands and their options."""
    parser = Parser(prog="youtu-edge", description="An LLM appliance daemon for small Linux boards.")
    parser.add_argument("--version", action="version", version=f"youtu-edge {__version__}")
    parser.add_argument("--config", metavar="FILE", help="YAML file, for the commands that read one")
    parser.set_defaults(reads_config=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the daemon")
    add_config(serve)
    add_set(serve)

    chat = commands.add_parser("chat", help="talk to a running daemon in the terminal")
    chat.add_argument("--url", default=DEFAULT_URL, help="where the daemon listens (default: %(default)s)")
    add_access(chat)
    chat.add_argument("--system", default="", metavar="TEXT", help="system message of the conversation")

    check = commands.add_parser("check-config", help="check a configuration file and report every problem")
    check.add_argument("file", metavar="FILE")
    check.add_argument("--explain", action="store_true", help="print every value and the file and line it comes from")

    doctor = commands.add_parser("doctor", help="examine this machine and this installation; each line says what to do")
    add_config(doctor)
    add_set(doctor)
    doctor.add_argument("--user", metavar="NAME", help="user of the service (default: youtu-edge for root, else you)")
    doctor.add_argument("--json", action="store_true", help="print one JSON document")

    plan = commands.add_parser("plan", help="show the memory that a model package needs, and what fits")
    plan.add_argument("package", metavar="PACKAGE", nargs="?", help="a directory (default: model.path)")
    plan.add_argument("--memory", metavar="SIZE", help="the budget, such as 4G (default: the daemon's own budget here)")
    plan.add_argument("--context", metavar="N", help="tokens per stream, prompt and answer (default: a table)")
    plan.add_argument("--streams", metavar="N", help="concurrent streams (default: a table)")
    plan.add_argument("--json", action="store_true", help="print one JSON document, in bytes")
    add_config(plan)
    add_set(plan)

    health = commands.add_parser("health", help="check that the running daemon is ready; exit code 1 if not")
    add_config(health)
    add_set(health)

    _add_status_parser(commands)
    add_fleet_parser(commands, _interval)
    _add_bench_parser(commands)
    _add_logs_parser(commands)

    unit = commands.add_parser("render-unit", help="print the systemd unit, with limits derived from the configuration")
    add_config(unit)

    service = commands.add_parser("install-service", help="install this installation as a systemd service")
    service.add_argument("--board", metavar="NAME", help="configure for a board of /etc/youtu-edge/boards; none undoes it")
    service.add_argument("--no-start", action="store_true", help="do not start or restart the service")
    service.add_argument("--root", metavar="DIR", help="write the files below DIR, for an image, and change nothing else")
    _add_keys_parser(commands)

    add_model_parser(commands)
    return parser


def _add_status_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    text = "show what the running daemon does; exit code 1 if it is not ready, 69 if nobody answers"
    status = commands.add_parser("status", help=text)
    status.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=_interval,
        const=2.0,
        help="repeat until Ctrl-C, with tokens/s (default: every 2 seconds)",
    )
    status.add_argument("--url", help="where the daemon listens (default: the address in the configuration)")
    add_access(status)
    status.add_argument("--json", action="store_true", help="print the answer of GET /v1/status; with --watch one per line")
    add_config(status)
    add_set(status)


def _add_logs_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    logs = commands.add_parser("logs", help="show the log of the service, or the lines about one request")
    logs.add_argument("--follow", "-f", action="store_true", help="go on with new lines until Ctrl-C")
    logs.add_argument("--request", metavar="ID", help="only lines about this request")
    logs.add_argument("--lines", "-n", type=_count, default=100, metavar="N", help="the last N (default: %(default)s)")
    logs.add_argument("--file", metavar="FILE", help="a file that the log was written to (default: systemd's journal)")


def _add_bench_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    bench = commands.add_parser("bench", help="measure how fast the running daemon answers on this device")
    bench.add_argument("--streams", type=_count, default=4, metavar="N", help="answers at once (default: %(default)s)")
    bench.add_argument("--tokens", type=_count, default=64, metavar="N", help="of an answer (default: %(default)s)")
    bench.add_argument("--rounds", type=_count, default=3, metavar="N", help="figures are medians (default: %(default)s)")
    bench.add_argument("--url", help="where the daemon listens (default: the address in the configuration)")
    add_access(bench)
    bench.add_argument("--json", action="store_true", help="print one JSON document")
    add_config(bench)
    add_set(bench)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000")
    return int(text)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds


def _add_keys_parser(commands: argparse._SubParsersAction[Parser]) -> None:
    keys = commands.add_parser("keys", help="create, list and revoke API keys")
    add_config(keys)
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="create a key and print it, once")
    add_config(add)
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "--scopes", default="chat", metavar="LIST", help="chat, metrics, admin; comma-separated (default: %(default)s)"
    )
    for limit, text in (
        ("--max-concurrent", "concurrent requests"),
        ("--tokens-per-hour", "tokens per hour, prompts and answers"),
        ("--tokens-per-day", "tokens per day"),
    ):
        add.add_argument(limit, type=int, default=0, metavar="N", help=f"{text} (default: no limit)")
    add.add_argument("--qr", action="store_true", help="show page and key as a QR code for a phone")
    add.add_argument("--url", help="address of the page in the QR code (default: that of this machine)")
    add.add_argument("--priority", type=int, metavar="0..7", help="highest urgency of its requests, 0 is first")
    add_config(actions.add_parser("list", help="names, scopes and limits"))
    revoke = actions.add_parser("revoke", help="invalidate a key at once")
    add_config(revoke)
    revoke.add_argument("name", metavar="NAME")


def _default_config() -> str | None:
    return DEFAULT_CONFIG if os.path.exists(DEFAULT_CONFIG) else None


def run(options: argparse.Namespace) -> int:
    """Run the chosen subcommand; returns its exit code or raises a YoutuEdgeError."""
    config_file = options.config or _default_config()
    if options.command == "serve":
        if os.getpid() == 1:  # in a container: PID 1 ignores unhandled signals, until the daemon handles them
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_OK))
        check_room(FRONT, "the front")
        from youtu_edge.cli import serve

        return serve.run(config_file, options.set)
    if options.command == "chat":
        from youtu_edge.cli import chat

        return chat.run(options.url, options.system, options.key_file, options.ca_file)
    if options.command == "check-config":
        from youtu_edge.cli import check_config

        return check_config.run(options.file, explain=options.explain)
    if options.command == "doctor":
        try:
            from youtu_edge.cli import doctor
        except ImportError as error:  # the doctor itself may lack a library
            raise YoutuEdgeError(f"{error}: this installation is incomplete; install youtu-edge again") from None

        return doctor.run(config_file, options.set, user=options.user, as_json=options.json)
    if options.command == "plan":
        check_room(LIBRARIES, "the plan, without its model,")
        try:
            from youtu_edge.cli import plan
        except ImportError:
            raise YoutuEdgeError("a library cannot be loaded; `youtu-edge doctor` says which, and why") from None

        requested = {name: getattr(options, name) for name in ("memory", "context", "streams")}
        return plan.run(options.package, config_file, options.set, as_json=options.json, **requested)
    if options.command == "health":
        from youtu_edge.cli import health

        return health.run(config_file, options.set)
    if options.command in ("bench", "fleet", "keys", "logs", "status"):
        command = importlib.import_module(f"youtu_edge.cli.{options.command}")
        return int(command.run(config_file, options))
    if options.command == "render-unit":
        from youtu_edge.cli import render_unit

        return render_unit.run(options.config, DEFAULT_CONFIG)
    if options.command == "install-service":
        from youtu_edge.cli import install_service

        return install_service.run(options.board, options.root, start=not options.no_start)
    from youtu_edge.cli import model, model_versions

    if options.action in model_versions.ACTIONS:
        return model_versions.run(options, config_file)
    return {"show": model.show, "verify": model.verify}[options.action](options.directory)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: every expected error is one line on stderr and an exit code with a meaning."""
    try:
        parser = make_parser()
        options = parser.parse_args(argv)
        if options.config is not None and not options.reads_config:
            words = f"youtu-edge {options.command} {getattr(options, 'action', '')}".rstrip()
            parser.error(f"`{words}` reads no configuration: leave out --config")
        if argv is None and options.command == "serve":
            use_for_objects()
        return run(options)
    except YoutuEdgeError as error:
        return _report(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `youtu-edge model show | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if found := shortage(error, "raise them, or remove them"):
            return _report(found)
        raise


def _report(error: YoutuEdgeError) -> int:
    # A configuration may have several problems, one per line; other messages may quote untrusted files.
    for problem in error.message.splitlines() if isinstance(error, ConfigError) else [error.message]:
        print(f"youtu-edge: {one_line(problem)}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
