"""Which turns a conversation has, and which conversations have to go."""

from __future__ import annotations

import sqlite3

import pytest

from youtu_edge.front.conversations.conversation import Conversation, Name
from youtu_edge.front.conversations.schema import MIGRATIONS
from youtu_edge.front.conversations.store import ConversationStore, Limits
from youtu_edge.front.conversations.turns import Turn
from youtu_edge.request_errors import NotFoundError

DAY_S = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Conversations:
    """A store on a database of its own, with clocks that the test turns."""

    def __init__(self, max_bytes: int = 10_000_000, max_age_days: int = 0) -> None:
        self.wall, self.monotonic = Clock(), Clock()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute("PRAGMA foreign_keys=ON")
        for script in MIGRATIONS:
            self.connection.executescript(script)
        self.store = ConversationStore(Limits(max_bytes, max_age_days), wall=self.wall, monotonic=self.monotonic)

    def say(self, name: str, user: str, assistant: str = "yes", **more: int) -> None:
        turn = Turn(user=user, assistant=assistant, tokens=[1, 70_000], asked=int(self.wall()), **more)
        self.store.append(self.connection, Name("", name), turn, system="be brief")

    def find(self, name: str, *, only_seen: bool = False) -> Conversation | None:
        return self.store.find(self.connection, Name("", name), only_seen=only_seen)

    def names(self, limit: int = 100, before: str | None = None) -> list[str]:
        return [summary.id for summary in self.store.page(self.connection, "", limit, before)]


def test_a_conversation_is_begun_by_its_first_turn_and_named_after_it() -> None:
    kept = Conversations()
    kept.say("a", "  What is\nthe time? " + "x" * 100, "Noon.")
    kept.wall.now += 5
    kept.say("a", "And now?", "Five past.")
    found = kept.find("a")
    assert found
    assert found.summary.title == "What is the time? " + "x" * 41 + "…"
    assert [(turn.user[-4:], turn.assistant, turn.tokens) for turn in found.turns] == [
        ("xxxx", "Noon.", [1, 70_000]),
        ("now?", "Five past.", [1, 70_000]),
    ]
    assert (found.system, found.summary.turns, found.summary.updated - found.summary.created) == ("be brief", 2, 5)
    assert kept.find("b") is None


def test_pages_go_from_the_last_used_on_whatever_the_clock_says() -> None:
    kept = Conversations()
    for name in ("a", "b", "c", "d"):
        kept.say(name, "hello")
        kept.wall.now -= 1000
    kept.say("b", "again")
    assert kept.names() == ["b", "d", "c", "a"]
    assert kept.names(2) == ["b", "d"]
    assert kept.names(2, before="d") == ["c", "a"]
    assert kept.names(2, before="a") == []
    with pytest.raises(NotFoundError):
        kept.names(2, before="nobody")


def test_turns_that_the_model_no_longer_sees_are_still_shown_to_people() -> None:
    kept = Conversations()
    for number in range(4):
        kept.say("a", str(number), dropped_turns=2 if number == 3 else 0)
    seen, whole = kept.find("a", only_seen=True), kept.find("a")
    assert seen
    assert whole
    assert [turn.user for turn in seen.turns] == ["2", "3"]
    assert [turn.user for turn in whole.turns] == ["0", "1", "2", "3"]
    assert seen.summary == whole.summary


@pytest.mark.parametrize(
    ("spoken", "kept_text"), [(3, "One"), (0, ""), (99, "One two three 你好"), (15, "One two three 你")]
)
def test_an_answer_is_cut_to_what_was_spoken(spoken: int, kept_text: str) -> None:
    kept = Conversations()
    kept.say("a", "count", "first")
    kept.say("a", "count", "One two three 你好")
    assert kept.store.truncate_answer(kept.connection, Name("", "a"), spoken) == kept_text
    found = kept.find("a")
    assert found
    assert [turn.assistant for turn in found.turns] == ["first", kept_text]


def test_title_and_system_change_alone_and_clear_keeps_them() -> None:
    kept = Conversations()
    kept.say("a", "hello", dropped_turns=1)
    kept.store.change(kept.connection, Name("", "a"), title="Greetings", system=None)
    kept.store.change(kept.connection, Name("", "a"), title=None, system="be long")
    kept.store.clear(kept.connection, Name("", "a"))
    found = kept.find("a")
    assert found
    assert (found.summary.title, found.system, found.turns, found.dropped_turns) == ("Greetings", "be long", [], 0)
    kept.store.delete(kept.connection, Name("", "a"))
    assert kept.find("a") is None


def test_what_is_not_there_is_named() -> None:
    kept = Conversations()
    store, connection = kept.store, kept.connection
    for act in (
        lambda: store.change(connection, Name("", "ghost"), title="x", system=None),
        lambda: store.clear(connection, Name("", "ghost")),
        lambda: store.delete(connection, Name("", "ghost")),
        lambda: store.truncate_answer(connection, Name("", "ghost"), 1),
    ):
        with pytest.raises(NotFoundError, match="no session 'ghost'"):
            act()
    kept.say("a", "hello")
    store.clear(connection, Name("", "a"))
    with pytest.raises(NotFoundError, match="no answer"):
        store.truncate_answer(connection, Name("", "a"), 1)


def test_beyond_the_size_the_conversations_unused_for_the_longest_time_go() -> None:
    kept = Conversations(max_bytes=400_000)
    for number in range(40):
        kept.say(f"c{number}", "x" * 20_000)
        kept.say("favourite", "hi")
    left = kept.names()
    assert left[0] == "favourite"
    assert 10 < len(left) < 20
    assert left[1:] == [f"c{number}" for number in range(39, 40 - len(left), -1)]


def test_a_single_conversation_beyond_the_size_loses_its_oldest_turns() -> None:
    kept = Conversations(max_bytes=200_000)
    for number in range(20):
        kept.say("a", f"{number} " + "x" * 20_000, dropped_turns=0 if number < 3 else 3)
    found = kept.find("a")
    assert found
    assert [turn.user.split()[0] for turn in found.turns] == [str(n) for n in range(20 - len(found.turns), 20)]
    assert 3 < len(found.turns) < 10
    assert found.dropped_turns == 2, "one dropped turn was deleted since the last turn told 3"


def test_conversations_go_by_age_only_as_fast_as_time_really_passes() -> None:
    kept = Conversations(max_age_days=7)
    kept.say("a", "hello")
    kept.wall.now += 5000 * DAY_S  # the network told the time at last
    kept.monotonic.now += 60
    assert kept.names() == ["a"]
    kept.monotonic.now += 8 * DAY_S
    assert kept.names() == []
    kept.say("b", "hello")
    kept.wall.now -= 9000 * DAY_S
    assert kept.names() == ["b"]


def test_a_conversation_of_a_time_when_the_clock_was_not_set_has_no_age() -> None:
    """Boards without a battery start in 1970, and know better at the next start."""
    kept = Conversations(max_age_days=7)
    kept.wall.now = 600.0
    kept.say("a", "hello")
    kept.wall.now = 1_800_000_000.0
    kept.store = ConversationStore(Limits(10_000_000, 7), wall=kept.wall, monotonic=kept.monotonic)
    assert kept.names() == ["a"]


def test_nobody_sees_the_conversations_of_another_key() -> None:
    kept = Conversations()
    kept.say("a", "hello")
    other = Name("camera", "a")
    store, connection = kept.store, kept.connection
    assert store.find(connection, other) is None
    assert store.page(connection, "camera", 10, None) == []
    store.append(connection, other, Turn(user="mine", assistant="yours"), system="")
    store.delete(connection, Name("", "a"))
    found = store.find(connection, other)
    assert found
    assert [turn.user for turn in found.turns] == ["mine"]
