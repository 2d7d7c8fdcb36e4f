"""Conversations while front and engine are killed together, again and again, in the middle of turns.

YOUTU_EDGE_KILLS=20 YOUTU_EDGE_SESSIONS=1000 is the full form; docs/lab/faults.md has the figures of a run.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import threading
import time
from pathlib import Path

from daemon_process import Daemon

KILLS = int(os.environ.get("YOUTU_EDGE_KILLS", "3"))
SESSIONS = int(os.environ.get("YOUTU_EDGE_SESSIONS", "120"))
WORKERS = 8


class Talker(threading.Thread):
    """One client that talks in its sessions in turn, and remembers what it was told is stored."""

    def __init__(self, sessions: list[str]) -> None:
        super().__init__(daemon=True)
        self.sessions = sessions
        self.turns: dict[str, list[tuple[str, str | None]]] = {session: [] for session in sessions}
        """By session: prompts with their answers; None where the connection broke before the end was told."""
        self.daemon_process: Daemon | None = None
        self.is_stopping = False
        self.errors: list[str] = []

    def has_told_all(self) -> bool:
        """Whether every session has a turn whose end was told."""
        return all(any(answer is not None for _, answer in turns) for turns in self.turns.values())

    def run(self) -> None:
        number = 0
        while not self.is_stopping:
            session = self.sessions[number % len(self.sessions)]
            daemon = self.daemon_process
            if daemon is None:
                time.sleep(0.005)
                continue
            prompt = f"{session} turn {len(self.turns[session])}"
            try:
                answer = self._say(daemon, session, prompt)
            except (OSError, http.client.HTTPException):
                self.turns[session].append((prompt, None))
                while self.daemon_process is daemon and not self.is_stopping:
                    time.sleep(0.005)
            else:
                self.turns[session].append((prompt, answer))
                number += 1

    def _say(self, daemon: Daemon, session: str, prompt: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        body = {"prompt": prompt, "session_id": session, "max_new_tokens": 6, "temperature": 0, "thinking": False}
        try:
            connection.request("POST", "/chat_stream", json.dumps(body))
            response = connection.getresponse()
            if response.status != 200:
                self.errors.append(f"{response.status} {response.read()!r}")
                raise http.client.HTTPException
            text, last = "", {}
            for line in response:
                if line.startswith(b"data: "):
                    last = json.loads(line[6:])
                    text += last.get("text", "")
            if not last.get("done"):
                raise http.client.HTTPException  # cut off
            if not last["stored"]:
                self.errors.append(f"{session}: not stored")
            return text
        finally:
            connection.close()


def test_no_conversation_is_lost_or_damaged_beyond_the_turn_in_flight(tiny_package: Path, tmp_path: Path) -> None:
    """Every turn whose end was told is there, once and in order; of the others, each is there whole or not at all."""
    rng = random.Random(7)
    names = [f"session-{number}" for number in range(SESSIONS)]
    talkers = [Talker(names[index::WORKERS]) for index in range(WORKERS)]
    for talker in talkers:
        talker.start()
    in_flight = 0
    for life in range(KILLS + 1):
        with Daemon(
            tiny_package, tmp_path, storage__directory=tmp_path / "data", scheduler__max_sequences=WORKERS
        ) as daemon:
            daemon.wait_ready()
            told = _told(talkers)
            for talker in talkers:
                talker.daemon_process = daemon
            if life < KILLS:
                enough = told + rng.randrange(1, 4 * SESSIONS // KILLS)  # two turns a session before the last life
                while _told(talkers) < enough and not _errors(talkers):
                    time.sleep(0.002)
                time.sleep(rng.uniform(0, 0.03))
                os.killpg(daemon.process.pid, signal.SIGKILL)
                daemon.process.wait(10)
            else:  # the last life: until every session has had its turn, then everything is compared
                while not all(talker.has_told_all() for talker in talkers) and not _errors(talkers):
                    time.sleep(0.02)
                for talker in talkers:
                    talker.is_stopping = True
                for talker in talkers:
                    talker.join(60)
                in_flight = sum(_check(daemon, talker) for talker in talkers)
            for talker in talkers:
                talker.daemon_process = None
        assert "database_" not in daemon.log, daemon.log
        assert _errors(talkers) == []
    assert not list((tmp_path / "data").glob("*.damaged*"))
    unknown = sum(answer is None for talker in talkers for turns in talker.turns.values() for _, answer in turns)
    print(
        f"\n{SESSIONS} sessions, {KILLS} kills, {_told(talkers)} turns told, {unknown} cut off, {in_flight} of them stored"
    )
    assert unknown >= KILLS, "the kills met no turn in flight"


def _told(talkers: list[Talker]) -> int:
    return sum(answer is not None for talker in talkers for turns in talker.turns.values() for _, answer in turns)


def _errors(talkers: list[Talker]) -> list[str]:
    return [error for talker in talkers for error in talker.errors]


def _check(daemon: Daemon, talker: Talker) -> int:
    """Compare what is stored with what was told; the number of turns that are stored though their end was not told."""
    extra = 0
    for session, turns in talker.turns.items():
        status, body = daemon.get(f"/v1/sessions/{session}")
        assert status == 200, session
        messages = [message["content"] for message in json.loads(body)["messages"]]
        stored = dict(zip(messages[::2], messages[1::2], strict=True))
        assert len(stored) == len(messages) / 2, f"{session}: a turn is there twice"
        expected = [(prompt, answer) for prompt, answer in turns if answer is not None or prompt in stored]
        assert list(stored) == [prompt for prompt, _ in expected], session
        for prompt, answer in expected:
            assert stored[prompt] == (answer if answer is not None else stored[prompt])
            extra += answer is None
    return extra
