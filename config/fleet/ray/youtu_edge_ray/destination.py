"""Where a request belongs, by the same rules as nginx.conf and haproxy.cfg.

@line-2 in the path               the board line-2, as ids tell it
X-Youtu-Edge-Board: line-2        the same, as programs send back what they were answered
Cookie: youtu_edge_board=line-2   the same, as browsers do
Idempotency-Key: K                one board for each K
X-Youtu-Edge-Affinity: K          one board for each K, unless that board is full
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import unquote

from youtu_edge_ray.messages import BOARD, Destination, Relayed

_NAMED = re.compile(r"@([a-z0-9-]+)")
_COOKIE = "youtu_edge_board"


def destination_of(request: Relayed) -> Destination:
    """The request's own board or key."""
    named = _NAMED.search(unquote(request.path.partition("?")[0]))
    board = named[1] if named else request.header(BOARD) or _cookie(request.header("cookie"))
    durable = request.header("idempotency-key")
    return Destination(board, durable or request.header("x-youtu-edge-affinity"), is_durable=bool(durable))


def home_of(key: str, boards: Iterable[str]) -> str:
    """The board of a key, by rendezvous hashing: a board that leaves moves only its own keys. `boards` is not empty."""
    return max(boards, key=lambda board: hashlib.blake2b(f"{board}\0{key}".encode(), digest_size=8).digest())


def _cookie(text: str) -> str:
    try:
        morsel = SimpleCookie(text).get(_COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
