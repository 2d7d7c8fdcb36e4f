"""The conversations on the device: one turn at a time in each, stored in the database.

begin ── turn is running ──> keep (the turn is in the database) ──> the next may begin
                         └─> release (nothing to keep)        ──^
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from youtu_edge.config import StorageConfig
from youtu_edge.encoding import msgpack_bytes
from youtu_edge.front.conversations import turns
from youtu_edge.front.conversations.conversation import AT_THE_END, Conversation, Name, Place, Summary
from youtu_edge.front.conversations.schema import MIGRATIONS
from youtu_edge.front.conversations.store import ConversationStore, Limits
from youtu_edge.front.conversations.turns import Turn
from youtu_edge.front.database import Database
from youtu_edge.front.http.board import Board
from youtu_edge.request_errors import NotFoundError, SessionBusyError

FILE = "conversations.db"
Unfinished = TypeVar("Unfinished", bound=msgspec.Struct)


class RunningTurn(msgspec.Struct, eq=False):
    """A turn that is being answered. `ended` resolves to whether it was stored."""

    name: Name
    request_id: str
    ended: asyncio.Future[bool]
    is_submitted: bool = False
    """False while the conversation is being read: the request is not admitted yet."""
    is_cancelled: bool = False
    """It was cancelled before it was submitted."""


class Conversations:
    """Every method may raise StorageError."""

    def __init__(self, config: StorageConfig, board: Board, on_failure: Callable[[], None]) -> None:
        self._board = board
        limits = Limits(config.conversations_max_bytes, config.conversations_max_age_days)
        self._store = ConversationStore(limits)
        self.database = Database.in_directory(
            config.directory, FILE, MIGRATIONS, synchronous=config.synchronous, on_failure=on_failure
        )
        self._running: dict[Name, RunningTurn] = {}

    def running(self, name: Name) -> RunningTurn | None:
        """The turn that is being answered now."""
        return self._running.get(name)

    def begin(self, name: Name, request_id: str) -> RunningTurn:
        """Reserve the conversation for one turn. Raises SessionBusyError."""
        self.check_idle(name)
        turn = RunningTurn(name, request_id, asyncio.get_running_loop().create_future())
        self._running[name] = turn
        return turn

    def check_idle(self, name: Name) -> None:
        """Raises SessionBusyError while a turn is being answered."""
        if running := self._running.get(name):
            raise SessionBusyError(
                f"session {name.id} is answering request {running.request_id}; wait until it ends or interrupt the session",
                param="session_id",
            )

    def cancel(self, owner: str, request_id: str) -> bool:
        """Cancel a turn that is not submitted yet; it ends right after it is submitted. False when there is none."""
        for turn in self._running.values():
            if (turn.name.owner, turn.request_id, turn.is_submitted) == (owner, request_id, False):
                turn.is_cancelled = True
                return True
        return False

    async def keep(self, running: RunningTurn, turn: Turn, *, system: str | None, place: Place) -> int:
        """Store the turn and return its number, then release the conversation, even if the caller is cancelled."""
        work = self.database.submit(
            lambda connection: self._store.append(connection, running.name, turn, system=system, place=place)
        )
        work.add_done_callback(lambda done: self.release(running, kept=done.exception() is None))
        return await asyncio.shield(work)

    def release(self, running: RunningTurn, *, kept: bool = False) -> None:
        """The turn is over."""
        del self._running[running.name]
        running.ended.set_result(kept)

    async def seen_by_model(self, name: Name, place: Place = AT_THE_END) -> Conversation:
        """The conversation with the turns up to a place that the model still sees; an empty one when there is none.

        Raises NotFoundError naming a missing turn, and ElsewhereError when the conversation belongs to another board.
        """
        found = await self.database.run(lambda connection: self._store.find(connection, name, only_seen=True, place=place))
        if found is not None:
            return found
        self._board.check_here(name.id, "session_id")
        if place.continued is not None:
            raise turns.no_turn(place.continued, "continue_turn")
        if place.parent:
            raise turns.no_turn(place.parent, "parent_turn")
        now = int(time.time())
        return Conversation(
            summary=Summary(id=name.id, title="", created=now, updated=now, turns=0), system="", dropped_turns=0, turns=[]
        )

    async def find(self, name: Name) -> Conversation:
        """The whole conversation. Raises NotFoundError."""
        found = await self.database.run(lambda connection: self._store.find(connection, name))
        if found is None:
            raise NotFoundError(f"no session {name.id[:100]!r}", param="session_id", name=name.id)
        return found

    async def page(self, owner: str, limit: int, before: str | None, text: str) -> list[Summary]:
        """Conversations, last used first; `text`: only those with it. Raises NotFoundError for an unknown `before`."""
        return await self.database.run(lambda connection: self._store.page(connection, owner, limit, before, text))

    async def change(self, name: Name, *, title: str | None, system: str | None, turn: int | None = None) -> Conversation:
        """Set title and system prompt where given; show the branch of a turn. Raises NotFoundError or SessionBusyError."""
        if turn is not None:
            self.check_idle(name)
        change = partial(self._store.change, name=name, title=title, system=system, turn=turn)
        await self.database.run(change)
        return await self.find(name)

    async def add(self, name: Name, title: str, system: str, said: Sequence[Turn]) -> Conversation:
        """Store a conversation that was kept elsewhere. Raises InvalidRequestError when there is one of that id."""
        self.check_idle(name)
        await self.database.run(lambda connection: self._store.add(connection, name, title, system, said))
        return await self.find(name)

    async def delete_turn(self, name: Name, turn: int) -> Conversation:
        """Delete one question with its answer. Raises NotFoundError or SessionBusyError."""
        self.check_idle(name)
        await self.database.run(lambda connection: self._store.delete_turn(connection, name, turn))
        return await self.find(name)

    async def note_unfinished(self, request_id: str, unfinished: msgspec.Struct) -> None:
        """Note a turn before its request begins; storing the turn deletes the note."""
        document = msgpack_bytes(unfinished)
        await self.database.run(
            lambda connection: connection.execute("INSERT INTO unfinished_turn VALUES (?, ?)", (request_id, document))
        )

    def forget_unfinished(self, request_id: str) -> None:
        """Delete the note: there will be no turn. A note that cannot be deleted now is found useless at the next start."""
        work = self.database.submit(
            lambda connection: connection.execute("DELETE FROM unfinished_turn WHERE request = ?", (request_id,))
        )
        work.add_done_callback(lambda done: done.exception())

    async def unfinished(self, form: type[Unfinished]) -> dict[str, Unfinished]:
        """The notes of the last process, by request."""
        rows = await self.database.run(
            lambda connection: connection.execute("SELECT request, document FROM unfinished_turn").fetchall()
        )
        return {request_id: msgspec.msgpack.decode(document, type=form) for request_id, document in rows}

    async def made_by(self, request_id: str) -> Turn | None:
        """The stored turn that a request made."""
        return await self.database.run(lambda connection: turns.by_request(connection, request_id))

    async def clear(self, name: Name) -> Conversation:
        """Delete all turns. Raises NotFoundError or SessionBusyError."""
        self.check_idle(name)
        await self.database.run(lambda connection: self._store.clear(connection, name))
        return await self.find(name)

    async def delete(self, name: Name) -> None:
        """Delete the conversation. Raises NotFoundError or SessionBusyError."""
        self.check_idle(name)
        await self.database.run(lambda connection: self._store.delete(connection, name))

    async def truncate_answer(self, name: Name, characters: int) -> str:
        """Cut the last answer to its first characters; returns what is left. Raises NotFoundError."""
        return await self.database.run(lambda connection: self._store.truncate_answer(connection, name, characters))
