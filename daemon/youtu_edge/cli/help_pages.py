"""What `--help` says beyond the options of a command: what it does, examples, exit codes. There are no other manual pages.

`command_parser` reads it when help is asked for; `tests/front/test_help.py` holds each command to a page, and
the examples to the parser.
"""

from __future__ import annotations

from youtu_edge.help_page import HelpPage

PAGES = {
    "youtu-edge": HelpPage(
        "An LLM appliance daemon for small Linux boards.",
        (
            "youtu-edge serve --set model.path=/path/to/package",
            "youtu-edge status --watch",
            "youtu-edge chat",
        ),
    ),
    "youtu-edge serve": HelpPage(
        "Run the daemon in the foreground. It logs to stderr; SIGTERM and Ctrl-C let\n"
        "running answers finish (service.drain_s), SIGHUP reads the configuration again.",
        (
            "youtu-edge serve",
            "youtu-edge serve --config board.yaml --set service.port=9000",
            "youtu-edge serve --set 'service.extra_ports=[11434]'",
        ),
        (
            (0, "stopped on request"),
            (1, "a bug; please report it with the log"),
            (69, "the port, its address or storage.directory is not available"),
            (70, "the engine died more often than service.max_restart_rate"),
            (78, "the configuration, the package, the GPU or a limit cannot be used"),
        ),
    ),
    "youtu-edge chat": HelpPage(
        "A conversation in the terminal: /help lists its commands, Ctrl-C stops an\n"
        "answer, Ctrl-D ends. With a pipe as input each line is a question.",
        (
            "youtu-edge chat",
            "youtu-edge chat --url https://board:8443 --key-file key --ca-file board.pem",
            'youtu-edge chat --system "Answer in one sentence." < questions.txt',
        ),
        ((0, "ended by Ctrl-D or the end of the input"), (1, "no answer, or an error in a pipe")),
    ),
    "youtu-edge check-config": HelpPage(
        "Read a configuration file with all that it extends, and report every problem.",
        ("youtu-edge check-config board.yaml", "youtu-edge check-config --explain /etc/youtu-edge/youtu-edge.yaml"),
        ((0, "the daemon would start with it"), (78, "it has problems, one in each line")),
    ),
    "youtu-edge doctor": HelpPage(
        "Examine libraries, processor, memory, disk, clock, port, model, permissions and\n"
        "service. Each line says what to do. Nothing is changed.",
        ("youtu-edge doctor", "sudo youtu-edge doctor --user youtu-edge", "youtu-edge doctor --json"),
        ((0, "no failure, perhaps warnings"), (1, "at least one failure")),
    ),
    "youtu-edge plan": HelpPage(
        "Show the parts of the memory that a package needs, and how much context and how\n"
        "many streams fit. The model is not loaded.",
        (
            "youtu-edge plan",
            "youtu-edge plan /path/to/package --memory 4G",
            "youtu-edge plan /path/to/package --context 8192 --streams 2 --json",
        ),
        ((0, "something fits"), (1, "not even the smallest fits"), (78, "the package or the configuration cannot be used")),
    ),
    "youtu-edge health": HelpPage(
        "Ask the running daemon whether it is ready. A daemon that is busy is healthy.",
        ("youtu-edge health", "youtu-edge health --set service.port=9000"),
        ((0, "ready, or busy"), (1, "loading, restarting or stopping, or nobody answers")),
    ),
    "youtu-edge status": HelpPage(
        "One screen: state, model, requests, tokens, memory, cache, temperatures, disk. A\n"
        "daemon with keys wants one with the scope metrics.",
        (
            "youtu-edge status",
            "youtu-edge status --watch 5",
            "youtu-edge status --url http://board:8080 --key-file key --json",
        ),
        (
            (0, "ready, and a request would be accepted"),
            (1, "not ready, or the daemon rejects the key"),
            (69, "nobody answers"),
        ),
    ),
    "youtu-edge fleet": HelpPage(
        "Several boards at once.",
        ("youtu-edge fleet status http://line-1:8080 http://line-2:8080", "youtu-edge fleet status boards.txt --watch"),
    ),
    "youtu-edge fleet status": HelpPage(
        "A table of boards: state, model, requests, speed, memory, temperature. A file\n"
        "has one URL per line; # begins a comment.",
        (
            "youtu-edge fleet status http://line-1:8080 http://line-2:8080",
            "youtu-edge fleet status boards.txt --key-file key --watch",
        ),
        ((0, "all of them are ready"), (1, "at least one is not"), (69, "none answers")),
    ),
    "youtu-edge bench": HelpPage(
        "Measure the running daemon as its clients see it, in a minute or less. Nobody\nelse should use it meanwhile.",
        ("youtu-edge bench", "youtu-edge bench --streams 8 --tokens 128 --json"),
        ((0, "measured"), (1, "no answer, or an error of the daemon")),
    ),
    "youtu-edge logs": HelpPage(
        "The log of the service from systemd's journal, or from the file to which the\n"
        "daemon's stderr was written. The id of a request is in each of its answers.",
        (
            "youtu-edge logs --follow",
            "youtu-edge logs --request chat-0123abcd",
            "youtu-edge logs --file youtu-edge.log -n 500",
        ),
        ((0, "printed"), (1, "there is no such line, or the file cannot be read")),
    ),
    "youtu-edge render-unit": HelpPage(
        "Print the systemd unit. Memory limits, watchdog and timeouts follow from the\nconfiguration.",
        ("youtu-edge render-unit", "youtu-edge render-unit --config board.yaml > youtu-edge.service"),
        ((0, "printed"),),
    ),
    "youtu-edge install-service": HelpPage(
        "Install this installation as a systemd service, as root: user, directories,\n"
        "configuration, unit, start. It may be repeated, and keeps a configuration that\n"
        "exists.",
        (
            "sudo youtu-edge install-service",
            "sudo youtu-edge install-service --board rk3588 --no-start",
            "youtu-edge install-service --root /mnt/image",
        ),
        ((0, "installed"), (1, "not root, or something is missing"), (78, "the board or the configuration cannot be used")),
    ),
    "youtu-edge keys": HelpPage(
        "The API keys of service.keys_file. Changes take effect at once.",
        ("youtu-edge keys add kitchen", "youtu-edge keys list", "youtu-edge keys revoke kitchen"),
    ),
    "youtu-edge keys add": HelpPage(
        "Create a key. It is printed once, on stdout, and only its hash is kept.",
        (
            "youtu-edge keys add kitchen",
            "youtu-edge keys add phone --scopes chat,metrics --qr",
            "youtu-edge keys add guest --max-concurrent 1 --tokens-per-day 50000",
        ),
        ((0, "it is valid now"), (1, "the name exists, or a limit is wrong; nothing was changed")),
    ),
    "youtu-edge keys list": HelpPage(
        "Names, scopes and limits of all keys. Keys themselves are not kept.",
        ("youtu-edge keys list",),
        ((0, "printed"),),
    ),
    "youtu-edge keys revoke": HelpPage(
        "Invalidate a key. Without any key left every request is rejected.",
        ("youtu-edge keys revoke kitchen",),
        ((0, "it is no longer valid"), (1, "there is no key of this name")),
    ),
    "youtu-edge model": HelpPage(
        "Packages and installed versions of the model.",
        (
            "youtu-edge model install youtu-2b.tar.zst",
            "youtu-edge model list",
            "youtu-edge model rollback",
        ),
    ),
    "youtu-edge model show": HelpPage(
        "Model, context, recipe, files and their sizes, from the package alone.",
        ("youtu-edge model show /path/to/package",),
        ((0, "printed"), (78, "it is not a package, or damaged")),
    ),
    "youtu-edge model verify": HelpPage(
        "Compare every file of a package with its checksum.",
        ("youtu-edge model verify /path/to/package",),
        ((0, "it is complete"), (78, "a file is missing or differs")),
    ),
    "youtu-edge model install": HelpPage(
        "Copy or fetch a package, check files and signature, try it in an engine of its\n"
        "own, then serve it. If it fails on its first requests, the daemon goes back.",
        (
            "youtu-edge model install youtu-2b.tar.zst",
            "youtu-edge model install https://files.example/2b/ --window 01:00-05:00",
            "youtu-edge model install /media/usb/package --no-activate",
        ),
        (
            (0, "it is served, or was already"),
            (1, "rejected, and the message says why; the old version is served"),
            (78, "the package or the configuration cannot be used"),
        ),
    ),
    "youtu-edge model activate": HelpPage(
        "Serve a version of `model list`. A running daemon switches within seconds.",
        ("youtu-edge model activate 3f9c2b",),
        ((0, "it is active"), (1, "no such version, or several"), (78, "its files or the configuration cannot be used")),
    ),
    "youtu-edge model rollback": HelpPage(
        "Serve the version that was served before and answered requests.",
        ("youtu-edge model rollback",),
        ((0, "it is active"), (1, "there is none")),
    ),
    "youtu-edge model list": HelpPage(
        "The installed versions, and which one is served.",
        ("youtu-edge model list",),
        ((0, "printed"),),
    ),
    "youtu-edge model prune": HelpPage(
        "Delete the versions that are neither served nor needed for a rollback.",
        ("youtu-edge model prune",),
        ((0, "deleted, or there was nothing to delete"),),
    ),
}
"""Command -> page; lines have at most 78 columns."""
