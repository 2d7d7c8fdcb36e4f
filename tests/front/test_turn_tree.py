"""The tree of a conversation's turns against its definition by parents alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from youtu_edge.front.conversations.turn_tree import TurnTree


@st.composite
def trees(draw: st.DrawFn) -> dict[int, int | None]:
    """Parents that are older than their children; numbers with gaps, as after deletions."""
    parents: dict[int, int | None] = {}
    for number in sorted(draw(st.sets(st.integers(1, 60), min_size=1, max_size=25))):
        parents[number] = draw(st.sampled_from([None, *parents]))
    return parents


@given(trees(), st.data())
def test_paths_branches_and_what_follows(parents: dict[int, int | None], data: st.DataObject) -> None:
    tree, turn = TurnTree(parents), data.draw(st.sampled_from(sorted(parents)))

    def path(end: int) -> list[int]:
        before = parents[end]
        return [*(path(before) if before else []), end]

    assert tree.path(turn) == path(turn)
    assert tree.branches(turn) == [each for each in parents if parents[each] == parents[turn]]
    assert tree.children(turn) == [each for each in parents if parents[each] == turn]
    assert sorted(tree.below(turn)) == [each for each in parents if turn in path(each)]
    end = tree.latest_end(turn)
    assert end in tree.below(turn)
    assert not tree.children(end)


def test_a_conversation_of_one_long_path() -> None:
    """As long as an import may be: nothing is done for each pair of its turns."""
    tree = TurnTree({number: number - 1 or None for number in range(1, 5001)})
    assert tree.below(2) == list(range(2, 5001))
    assert tree.latest_end(None) == 5000
    assert all(tree.branches(number) == [number] for number in range(1, 5001))
