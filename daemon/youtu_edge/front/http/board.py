"""Tells clients and balancers which board answered, so that what is kept on it is found again.

The cookie and the ids have it only with service.board: a balancer cannot know the default name.

    header    X-Youtu-Edge-Board: line-2                 on every answer
    cookie    youtu_edge_board=line-2                    for browsers
    id        resp_0123abcd@line-2, kiosk@line-2         for programs
"""

from __future__ import annotations

import re
from collections.abc import Callable

from aiohttp import web

from youtu_edge.front.http.handler import Handler
from youtu_edge.request_errors import ElsewhereError, NotFoundError

HEADER = "X-Youtu-Edge-Board"
COOKIE = "youtu_edge_board"

_TELLS = re.compile(r".+@([a-z0-9-]{1,63})", re.DOTALL)


class Board:
    """This board's name; `is_named`: it was given by the configuration."""

    def __init__(self, name: str, *, is_named: bool) -> None:
        self.name = name
        self._is_named = is_named

    @property
    def id_suffix(self) -> str:
        """What the ids made here end with."""
        return f"@{self.name}" if self._is_named else ""

    def check_here(self, name: str, param: str | None = None) -> None:
        """For an id that is unknown here: raises ElsewhereError when it tells that it belongs to another board."""
        found = _TELLS.fullmatch(name)
        if found and found[1] != self.name:
            raise ElsewhereError(
                f"{name[:100]!r} is kept on board {found[1]!r}, and this is {self.name!r}; send the request there",
                param=param,
            )

    def install(self, app: web.Application, is_https: Callable[[web.Request], bool]) -> None:
        """Mark every answer, and say `elsewhere` instead of `not_found` where the id tells so.

        `is_https`: whether the client's own connection is encrypted, so that the cookie may be restricted to such ones.
        """

        @web.middleware
        async def look_elsewhere(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            except NotFoundError as error:
                self.check_here(error.name, error.param)
                raise

        async def mark(request: web.Request, response: web.StreamResponse) -> None:
            response.headers[HEADER] = self.name
            if self._is_named and request.cookies.get(COOKIE) != self.name:
                response.headers.add("Set-Cookie", self._cookie(is_secure=is_https(request)))

        app.middlewares.append(look_elsewhere)
        app.on_response_prepare.append(mark)

    def _cookie(self, *, is_secure: bool) -> str:
        return f"{COOKIE}={self.name}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if is_secure else ''}"
