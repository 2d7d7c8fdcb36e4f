"""Stored responses: encoded, owned by the caller's key, in a database of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from youtu_edge.config import StorageConfig
from youtu_edge.encoding import json_bytes, msgpack_bytes
from youtu_edge.front.database import Database
from youtu_edge.front.dialects.responses.items import Item
from youtu_edge.front.dialects.responses.response import Response
from youtu_edge.front.dialects.responses.store import MIGRATIONS, ResponseStore, StoredResponse
from youtu_edge.front.keys.caller import owner
from youtu_edge.request_errors import NotFoundError

FILE = "responses.db"

_CONVERSATION: msgspec.msgpack.Decoder[list[Item]] = msgspec.msgpack.Decoder(list[Item])


class ArchivedResponse(NamedTuple):
    """A response as JSON, and all items of its conversation: those before it, its input and its output."""

    document: bytes
    conversation: list[Item]


class ResponseArchive:
    """Every method may raise StorageError."""

    def __init__(self, config: StorageConfig, on_failure: Callable[[], None]) -> None:
        self._store = ResponseStore(config.responses_max_bytes)
        self.database = Database.in_directory(
            config.directory, FILE, MIGRATIONS, synchronous=config.synchronous, on_failure=on_failure
        )

    async def put(self, response: Response, conversation: Sequence[Item]) -> None:
        """Keep a finished response."""
        stored = StoredResponse(json_bytes(response), msgpack_bytes(conversation))
        whose = owner()
        await self.database.run(lambda connection: self._store.put(connection, whose, response.id, stored))

    async def find(self, response_id: str, param: str | None) -> ArchivedResponse:
        """A response of this caller. Raises NotFoundError naming `param`."""
        whose = owner()
        stored = await self.database.run(lambda connection: self._store.find(connection, whose, response_id))
        if stored is None:
            raise not_found(response_id, param)
        return ArchivedResponse(stored.document, _CONVERSATION.decode(stored.conversation))

    async def delete(self, response_id: str) -> None:
        """Delete a response of this caller. Raises NotFoundError."""
        whose = owner()
        if not await self.database.run(lambda connection: self._store.delete(connection, whose, response_id)):
            raise not_found(response_id, "response_id")


def not_found(response_id: str, param: str | None) -> NotFoundError:
    """There is no such response, or it belongs to another key."""
    why = "it was never stored, or was evicted"
    return NotFoundError(f"no stored response {response_id[:100]!r}; {why}", param=param, name=response_id)
