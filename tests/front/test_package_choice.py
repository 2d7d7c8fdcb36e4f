"""Which version the next engine loads: links on a real disk, no process."""

from __future__ import annotations

from pathlib import Path

import pytest

from youtu_edge.front.supervision.package_choice import PackageChoice
from youtu_edge.updates.store import FORMER_GOOD, LAST_GOOD, ModelStore


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Versions a, b and c (empty directories: nothing here opens one); a has answered and is served."""
    store = ModelStore(tmp_path / "current")
    for name in "abc":
        (store.versions_directory / name).mkdir(parents=True)
    store.mark_good("versions/a")
    store.switch("versions/a")
    return store


def chosen(choice: PackageChoice) -> str:
    return Path(choice.choose()).name


def test_a_package_that_is_no_link_is_served_and_never_left(tmp_path: Path) -> None:
    choice = PackageChoice(str(tmp_path))
    assert choice.choose() == str(tmp_path)
    assert not choice.is_on_trial
    assert not choice.has_changed()
    assert not choice.refuse("it died")
    assert choice.status() == {"version": None, "release": 0, "on_trial": False, "refused": None, "update": None}


def test_a_new_link_is_noticed_once_and_its_version_is_on_trial(store: ModelStore) -> None:
    choice = PackageChoice(str(store.link))
    assert chosen(choice) == "a"
    assert not choice.is_on_trial
    store.switch("versions/b")
    assert choice.has_changed()
    assert chosen(choice) == "b"
    assert choice.is_on_trial
    assert not choice.has_changed()


def test_the_first_version_has_nothing_to_go_back_to(store: ModelStore) -> None:
    (store.root / LAST_GOOD).unlink()
    choice = PackageChoice(str(store.link))
    assert chosen(choice) == "a"
    assert not choice.is_on_trial
    assert not choice.refuse("it died")


def test_going_back_switches_the_link_and_keeps_the_reason(store: ModelStore) -> None:
    counted: list[None] = []
    store.switch("versions/b")
    choice = PackageChoice(str(store.link), on_refused=lambda: counted.append(None))
    assert chosen(choice) == "b"
    assert choice.refuse("signal SIGFPE")
    assert chosen(choice) == "a"
    assert store.target() == "versions/a"
    assert store.refusal("b") == "signal SIGFPE"
    assert choice.status()["refused"]["back_to"] == "a"
    assert len(counted) == 1
    assert not choice.has_changed()


def test_a_refused_version_is_tried_again_when_somebody_activates_it_again(store: ModelStore) -> None:
    store.switch("versions/b")
    choice = PackageChoice(str(store.link))
    choice.choose()
    choice.refuse("it died")
    assert chosen(choice) == "a"
    store.switch("versions/b")
    assert chosen(choice) == "b"
    assert choice.is_on_trial


def test_a_version_that_was_activated_meanwhile_is_not_taken_back(store: ModelStore) -> None:
    """The link says c by the time b dies: the way back is for this daemon's next engine, c for the one behind it."""
    store.switch("versions/b")
    choice = PackageChoice(str(store.link))
    choice.choose()
    store.switch("versions/c")
    assert choice.refuse("it died")
    assert store.target() == "versions/c"
    assert chosen(choice) == "c"


def test_where_the_link_cannot_be_written_the_choice_holds_all_the_same(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.switch("versions/b")
    (store.root / "refused").write_text("a file where a directory should be")
    choice = PackageChoice(str(store.link))
    choice.choose()
    assert choice.refuse("it died")
    assert store.target() == "versions/b"
    assert chosen(choice) == "a"
    assert not choice.has_changed()
    assert "package_link_not_changed" in caplog.text


def test_the_way_back_leads_past_versions_that_are_gone_or_refused(store: ModelStore) -> None:
    store.mark_good("versions/b")  # last good: b, former good: a
    store.switch("versions/c")
    choice = PackageChoice(str(store.link))
    choice.choose()
    (store.versions_directory / "b").rmdir()
    assert choice.refuse("it died")
    assert chosen(choice) == "a"
    assert not choice.refuse("it died, too")


def test_the_two_newest_versions_that_answered_are_remembered(store: ModelStore) -> None:
    for name in ("versions/b", "versions/c", "versions/c", "versions/b"):
        store.mark_good(name)
    assert (store.target(LAST_GOOD), store.target(FORMER_GOOD)) == ("versions/b", "versions/c")
    assert store.good_targets() == ["versions/b", "versions/c"]
