"""Log-probabilities come with the text of their tokens, and not at all when the text never comes."""

from __future__ import annotations

from youtu_edge.front.answers.logprob_queue import LogprobQueue
from youtu_edge.protocol.from_engine import Alternative, Delta, TokenLogprob


def delta(token: str | bytes, text: str) -> Delta:
    """One token, and the text that came with it."""
    data = token if isinstance(token, bytes) else token.encode()
    return Delta("a", [1], text, [TokenLogprob(Alternative(data.decode(errors="replace"), data, -1.0), [])])


def released(*deltas: Delta) -> list[list[bytes]]:
    """What each step gives out."""
    queue, out = LogprobQueue(), list[list[bytes]]()
    for one in deltas:
        queue.push(one)
        out.append([entry.drawn.utf8 for entry in queue.release()])
    return out


def test_a_token_whose_text_shows_is_reported_at_once() -> None:
    """The usual case."""
    assert released(delta("Hel", "Hel"), delta("lo", "lo")) == [[b"Hel"], [b"lo"]]


def test_tokens_of_one_character_are_reported_when_it_is_whole() -> None:
    """Three bytes in two tokens."""
    assert released(delta(b"\xe4\xb8", ""), delta(b"\xad", "中")) == [[], [b"\xe4\xb8", b"\xad"]]


def test_tokens_that_a_stop_string_swallows_are_never_reported() -> None:
    """'a b' with the stop string ' b': the second token's text is held back for good."""
    assert released(delta("a", "a"), delta(" ", ""), delta("b", "")) == [[b"a"], [], []]


def test_a_token_that_is_cut_by_a_stop_string_is_reported() -> None:
    """A part of its text is in the answer."""
    assert released(delta("one. two", "one"), delta("x", "")) == [[b"one. two"], []]


def test_bytes_that_are_no_text_do_not_let_later_tokens_in() -> None:
    """Each shows as three bytes; a stop string still swallows what it swallows, and the end is no part of the text."""
    steps = [delta(b"\xe4", ""), delta("a", "\ufffda"), delta(b"\xff", "\ufffd"), delta("sto", ""), delta("p", "")]
    assert released(*steps) == [[], [b"\xe4", b"a"], [b"\xff"], [], []]
    assert released(delta("a", "a"), delta(b"\xe4", ""), delta(b"", ""), delta(b"", "\ufffd")) == [
        [b"a"],
        [],
        [],
        [b"\xe4"],
    ]
