"""Which release a board takes from rollout.json, and what it does with one that failed on it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updates.file_server import FileServer
from updates.installed_packages import checksum, installed, served
from updates.published import install, publish
from updates_support import Command, edited
from youtu_edge.errors import UpdateError
from youtu_edge.rollout import place_of, read_rollout
from youtu_edge.updates.store import ModelStore
from youtu_edge.updates.update_state import read_state
from youtu_export.__main__ import main as youtu_export


def index(**changes: object) -> bytes:
    release = {"release": 7, "percent": 10, "archive": "kiosk-7.tar", "size": 1000, "sha256": "0" * 64}
    return json.dumps({"format": 1, "model": "kiosk", "releases": [release], **changes}).encode()


def test_ten_percent_are_about_ten_percent_and_stay_in_when_it_becomes_more() -> None:
    """Of 10,000 boards; the standard deviation is 30."""
    places = {f"line-{number}": place_of(f"line-{number}", "kiosk", 7) for number in range(10_000)}
    first = {board for board, place in places.items() if place < 10}
    assert 880 < len(first) < 1120
    assert first < {board for board, place in places.items() if place < 50}
    assert all(0 <= place < 100 for place in places.values())


def test_another_release_begins_with_other_boards() -> None:
    """So that the same boards are not always the ones that try."""
    seventh, eighth = (
        {number for number in range(10_000) if place_of(f"line-{number}", "kiosk", release) < 10} for release in (7, 8)
    )
    assert 50 < len(seventh & eighth) < 160


@given(st.text(), st.integers(1, 2**31 - 2), st.integers(0, 100), st.integers(0, 100))
def test_a_board_takes_the_highest_release_that_is_for_it(board: str, release: int, older: int, newer: int) -> None:
    common = {"archive": "a.tar", "size": 1, "sha256": "0" * 64}
    percents = {release: older, release + 1: newer}
    releases = [{"release": number, "percent": percent, **common} for number, percent in percents.items()]
    offered = read_rollout(index(releases=releases), "x").offered(board)
    mine = [number for number, percent in percents.items() if place_of(board, "kiosk", number) < percent]
    assert (offered.release if offered else None) == max(mine, default=None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html>", "not valid JSON"),
        (index(format=2), "format: 2 is not 1"),
        (index(releases=[{}]), r"releases\[0\]|releases\[\.\.\.\]"),
        (index(extra=1), "extra"),
        (index(expires="soon"), "expires: Invalid RFC3339"),
        (index(expires="2027-03-01T00:00:00"), "expires: Expected `datetime` with a timezone"),
        (b"[]", "Expected `object`"),
    ],
)
def test_an_index_that_is_none_is_refused_by_field(data: bytes, reason: str) -> None:
    with pytest.raises(UpdateError, match=reason):
        read_rollout(data, "https://files.test/rollout.json")


def test_an_index_is_good_until_it_expires() -> None:
    rollout = read_rollout(index(expires="2027-03-01T01:00:00+01:00"), "x")
    last = datetime.datetime(2027, 2, 28, 23, 59, 59, tzinfo=datetime.UTC)
    rollout.check_fresh("x", last)
    with pytest.raises(UpdateError, match=r"valid until 2027-03-01 01:00\+01:00, and now it is 2027-03-01 00:00\+00:00"):
        rollout.check_fresh("x", last + datetime.timedelta(seconds=1))
    with pytest.raises(UpdateError, match=r"valid until 0001-01-01 00:00\+14:00"):  # a date that UTC cannot express
        read_rollout(index(expires="0001-01-01T00:00:00+14:00"), "x").check_fresh("x", last)


def test_an_expired_index_is_refused_and_a_fresh_one_is_not(
    first: Path, store: ModelStore, command: Command, server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Publishing once more makes it fresh, but not without saying for how long."""
    publish(first, server, "--valid-days", "30")
    file = server.root / "rollout.json"
    fresh = file.read_text()
    expires = json.loads(fresh)["expires"]
    file.write_text(fresh.replace(expires, "2020-01-01T00:00:00Z"))
    done = install(command, server)
    assert (done.returncode, done.stderr.count("\n")) == (UpdateError.exit_code, 1)
    assert "rollout.json: expires: was valid until 2020-01-01 00:00+00:00" in done.stderr
    assert server.ranges == []
    with pytest.raises(AssertionError):
        publish(first, server)
    assert "the index expires; add --valid-days N" in capsys.readouterr().err
    publish(first, server, "--valid-days", "30")
    assert json.loads(file.read_text())["expires"] >= expires
    assert install(command, server).returncode == 0
    assert served(store) == checksum(first)


def test_a_board_outside_of_the_percentage_keeps_what_it_has_until_its_turn(
    first: Path, second: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    """The percentage is raised by the same command; the archive stays."""
    publish(first, server)
    assert install(command, server).returncode == 0
    publish(second, server, "--percent", "0")
    held = install(command, server)
    assert (held.returncode, held.stderr) == (0, "")
    assert "nothing to install: release 2 of tiny is for 0 % of boards, not this one yet" in held.stdout
    state = read_state(store.root)
    assert state is not None
    assert (state.stage, state.release) == ("held", 2)
    assert served(store) == checksum(first)
    assert len(server.ranges) == 1
    publish(second, server, "--percent", "100")
    assert install(command, server).returncode == 0
    assert served(store) == checksum(second)
    again = install(command, server)
    assert "nothing to install: release 2 of tiny is served, and there is no newer one" in again.stdout
    assert len(server.ranges) == 2


def test_boards_are_chosen_by_their_names(first: Path, store: ModelStore, command: Command, server: FileServer) -> None:
    """service.board, where it is set; half a percent more than its place is enough."""
    place = place_of("line-2", "tiny", 1)
    publish(first, server, "--percent", f"{place - place / 2:.6f}")
    assert "not this one yet" in install(command, server, "--set", "service.board=line-2").stdout
    publish(first, server, "--percent", f"{place + (100 - place) / 2:.6f}")
    assert install(command, server, "--set", "service.board=line-2").returncode == 0
    assert served(store) == checksum(first)


def test_a_package_that_failed_its_trial_is_not_fetched_every_night(
    first: Path, second: Path, store: ModelStore, command: Command, server: FileServer, tmp_path: Path
) -> None:
    """Whoever names the archive gets another trial."""
    publish(first, server)
    assert install(command, server).returncode == 0
    publish(edited(second, tmp_path / "nonsense", change_the_answers), server)
    done = install(command, server)
    assert done.returncode != 0
    again = install(command, server)
    assert (again.returncode, again.stderr) == (0, "")
    assert "nothing to install: release 2 was rejected here: " in again.stdout
    assert len(server.ranges) == 2
    assert install(command, server, path="tiny-2.tar").returncode == done.returncode
    assert len(server.ranges) == 3
    assert served(store) == checksum(first)


def change_the_answers(package: Path) -> None:
    """golden.json says something else than the model."""
    golden = json.loads((package / "golden.json").read_text())
    golden["prompts"][0]["likely"][0][0][1] += 0.5
    (package / "golden.json").write_text(json.dumps(golden))


def test_a_release_that_was_rolled_back_stays_away(
    first: Path, second: Path, store: ModelStore, command: Command, server: FileServer
) -> None:
    """By the daemon, which says why, or by hand."""
    publish(first, server)
    assert install(command, server).returncode == 0
    store.mark_good(str(store.target()))
    publish(second, server)
    assert install(command, server).returncode == 0
    refused = str(store.target())
    assert command("rollback").returncode == 0
    assert "release 2 of tiny is installed, but not served; to try it again" in install(command, server).stdout
    store.refuse(refused, "it died")
    assert "release 2 of tiny failed here: it died; to try it again" in install(command, server).stdout
    assert served(store) == checksum(first)
    assert len(installed(store)) == 2


def test_a_published_archive_never_changes(
    first: Path, second: Path, server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Boards may be in the middle of it; nor does an index lose its signature, or serve two models."""
    publish(first, server)
    before = (server.root / "tiny-1.tar").read_bytes()
    publish(first, server, "--percent", "5")
    assert (server.root / "tiny-1.tar").read_bytes() == before
    other = edited(first, tmp_path / "other", permute_generation)
    assert youtu_export(["publish", str(other), str(server.root)]) == 1
    assert "another package is published as this release" in capsys.readouterr().err
    assert (server.root / "tiny-1.tar").read_bytes() == before
    assert sorted(path.name for path in server.root.iterdir()) == ["rollout.json", "tiny-1.tar"]


def permute_generation(package: Path) -> None:
    path = package / "generation.json"
    path.write_text(path.read_text() + " ")
