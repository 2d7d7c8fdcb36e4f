"""`youtu-edge fleet status FILE|URL… [--watch [SECONDS]] [--json]`: a table of many boards.

Exit code 0: all are ready and accept a request, 1: some are or do not, 69: none answers.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from youtu_edge.cli.daemon_client import DaemonClient, trust
from youtu_edge.cli.fleet_table import BoardAnswer, table
from youtu_edge.cli.status import show
from youtu_edge.cli.status_request import ask_status
from youtu_edge.errors import EXIT_FAILURE, EXIT_NOT_AVAILABLE, EXIT_OK, YoutuEdgeError

_AT_ONCE = 32
_LARGEST_FILE_BYTES = 1 << 20


def run(config_file: str | None, options: argparse.Namespace) -> int:
    """Print the table, or with --watch one every so many seconds until Ctrl-C. Raises YoutuEdgeError."""
    tls = trust(options.ca_file) if options.ca_file else None
    clients = [DaemonClient(url, options.key_file, tls) for url in boards(options.boards)]
    before: list[BoardAnswer] = []
    code = EXIT_NOT_AVAILABLE
    try:
        while True:
            answers = ask_all(clients)
            code = _exit_code(answers)
            if options.json:
                documents = [
                    {"url": each.url, "board": each.board or None, "status": each.document, "error": each.error or None}
                    for each in answers
                ]
                print(json.dumps(documents, ensure_ascii=False, indent=None if options.watch else 2), flush=True)
            elif options.watch is None:
                print("\n".join(table(answers)))
            else:
                show(table(answers, before))
            if options.watch is None:
                return code
            before = answers
            time.sleep(options.watch)
    except KeyboardInterrupt:  # the usual end of --watch
        return code


def boards(words: Sequence[str]) -> list[str]:
    """URLs, with each file replaced by those in it. Raises YoutuEdgeError."""
    for word in words:
        if ":" not in word and not os.path.isfile(word):
            raise YoutuEdgeError(f"{word}: no such file, and not a URL, such as http://192.168.1.11:8080")
    return [url for word in words for url in (_urls_in(word) if os.path.isfile(word) else [word])]


def ask_all(clients: Sequence[DaemonClient]) -> list[BoardAnswer]:
    """One answer for each, in their order; they are asked together, so those that are away cost one timeout."""
    with ThreadPoolExecutor(min(_AT_ONCE, len(clients))) as pool:
        return list(pool.map(_ask, clients))


def _ask(client: DaemonClient) -> BoardAnswer:
    try:
        document, board = ask_status(client)
    except YoutuEdgeError as error:
        return BoardAnswer(client.url, "", None, error.message)
    return BoardAnswer(client.url, board, document, "")


def _urls_in(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise YoutuEdgeError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    urls = [url for line in text.splitlines() if (url := line.partition("#")[0].strip())]
    if not urls:
        raise YoutuEdgeError(f"{path}: no board is in it; write one URL per line, such as http://192.168.1.11:8080")
    for url in urls:
        if " " in url or not (url.startswith(("http://", "https://")) or ":" in url):
            raise YoutuEdgeError(
                f"{path}: {url[:100]!r} is not a URL; write one per line, such as http://192.168.1.11:8080"
            )
    yield from urls


def _exit_code(answers: Sequence[BoardAnswer]) -> int:
    if all(answer.is_ready for answer in answers):
        return EXIT_OK
    return EXIT_FAILURE if any(answer.document for answer in answers) else EXIT_NOT_AVAILABLE
