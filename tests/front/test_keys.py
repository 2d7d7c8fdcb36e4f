"""API keys: who may call what, and where the daemon refuses to listen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from front.keys_command import CHAT, HELLO, NO_SUCH_KEY, add, bearer, keys, post
from front.scripted_daemon import ENVIRONMENT, Daemon, running


def test_without_a_file_of_keys_everyone_on_this_machine_may_come(daemon: Daemon) -> None:
    assert post(daemon, "whatever")[0] == 200


def test_once_the_file_exists_a_request_needs_a_key_of_it(tmp_path: Path, guarded: Daemon) -> None:
    token = add(tmp_path, "camera")
    status, headers, data = guarded.request("POST", CHAT, HELLO)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(data)["error"]["code"] == "invalid_api_key"
    assert post(guarded, NO_SUCH_KEY)[0] == 401
    assert guarded.request("POST", CHAT, HELLO, {"Authorization": f"Basic {token}"})[0] == 401
    assert post(guarded, token)[0] == 200
    assert guarded.request("POST", CHAT, HELLO, {"x-api-key": token})[0] == 200
    with openai.OpenAI(base_url=f"http://127.0.0.1:{guarded.port}/v1", api_key=token, max_retries=0) as client:
        assert client.models.list().data[0].id == "scripted"
    with (
        openai.OpenAI(base_url=f"http://127.0.0.1:{guarded.port}/v1", api_key=NO_SUCH_KEY, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_a_key_is_valid_as_soon_as_it_is_made_and_invalid_as_soon_as_it_is_revoked(tmp_path: Path, guarded: Daemon) -> None:
    token = add(tmp_path, "camera")
    assert post(guarded, token)[0] == 200
    assert keys(tmp_path, "revoke", "camera").returncode == 0
    assert post(guarded, token)[0] == 401


def test_chat_in_the_terminal_takes_its_key_from_a_file(tmp_path: Path, guarded: Daemon) -> None:
    (tmp_path / "key").write_text(add(tmp_path, "terminal") + "\n")
    command = [sys.executable, "-m", "youtu_edge", "chat", "--url", f"http://127.0.0.1:{guarded.port}"]

    def chat(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            input="hello\n",
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            timeout=20,
            check=False,
        )

    assert chat("--key-file", str(tmp_path / "key")).stdout == "hello\n"
    assert "an API key is required" in chat().stderr
    assert "cannot be read as a key" in chat("--key-file", str(tmp_path / "gone")).stderr


def test_the_first_key_locks_a_daemon_that_was_open(tmp_path: Path) -> None:
    with running(f"service.keys_file={tmp_path}/keys.json") as daemon:
        daemon.wait_ready()
        assert post(daemon, "whatever")[0] == 200
        token = add(tmp_path, "camera")
        assert post(daemon, "whatever")[0] == 401
        assert post(daemon, token)[0] == 200


@pytest.mark.parametrize("damage", ["remove", "garble", "expose"])
def test_a_file_that_is_gone_damaged_or_readable_by_all_locks_the_door(
    tmp_path: Path, guarded: Daemon, damage: str
) -> None:
    token = add(tmp_path, "camera")
    assert post(guarded, token)[0] == 200
    file = tmp_path / "keys.json"
    if damage == "remove":
        file.unlink()
    elif damage == "garble":
        file.write_text('{"keys": [')
    else:
        file.chmod(0o644)
    assert post(guarded, token)[0] == 401
    guarded.stop()
    assert b"keys_unusable" in guarded.log


def test_a_key_beyond_ascii_is_not_valid_and_no_error_of_ours(guarded: Daemon) -> None:
    head = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    for header in (b"X-Api-Key: ", b"Authorization: Bearer "):
        for token in (b"\xff\xfe", "clé".encode(), b"ye-\xed\xa0\x80", b"ye-" + b"A" * 42 + b"\xff", "🔑".encode()):
            answer = guarded.raw(head + header + token + b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 401 "), answer
            assert b'"code":"invalid_api_key"' in answer
    assert b"handler_failed" not in guarded.log


def test_a_scope_opens_its_routes_and_no_others(tmp_path: Path, guarded: Daemon) -> None:
    chat, metrics, admin = (add(tmp_path, name, "--scopes", name) for name in ("chat", "metrics", "admin"))
    expected = {CHAT: (200, 403, 200), "/metrics": (403, 200, 200), "/v1/status": (403, 200, 200)}
    for path, statuses in expected.items():
        for token, status in zip((chat, metrics, admin), statuses, strict=True):
            method, body = ("POST", HELLO) if path == CHAT else ("GET", None)
            assert guarded.request(method, path, body, bearer(token))[0] == status, path
    assert json.loads(guarded.request("GET", "/metrics", None, bearer(chat))[2])["error"]["code"] == "insufficient_scope"


def test_probes_and_the_start_page_need_no_key(guarded: Daemon) -> None:
    assert [guarded.request("GET", path)[0] for path in ("/livez", "/readyz", "/")] == [200, 200, 200]
    assert guarded.request("GET", "/v1/models")[0] == 401


@pytest.mark.parametrize("path", ["/v1/new", "/ui", "/readyz/", "/livez/../metrics", "//metrics", "/UI/x"])
def test_a_path_that_nobody_thought_of_is_not_open(guarded: Daemon, path: str) -> None:
    assert guarded.request("GET", path)[0] == 401


def test_the_log_names_the_key_of_a_request_and_never_its_token(tmp_path: Path, guarded: Daemon) -> None:
    token = add(tmp_path, "camera")
    post(guarded, token)
    post(guarded, NO_SUCH_KEY)
    guarded.stop()
    assert b"key=camera" in guarded.log
    assert token.encode() not in guarded.log
    assert NO_SUCH_KEY.encode() not in guarded.log


def test_the_daemon_refuses_to_serve_other_machines_without_a_key(tmp_path: Path) -> None:
    with running("service.host=0.0.0.0", f"service.keys_file={tmp_path}/keys.json") as daemon:
        assert daemon.wait_exit() == 78
        assert b'create one with "youtu-edge keys add NAME"' in daemon.log
        assert daemon.log.count(b"\n") == 1


@pytest.mark.parametrize("permission", ["key", "allow_unauthenticated"])
def test_the_daemon_serves_other_machines_with_a_key_or_when_told_explicitly(tmp_path: Path, permission: str) -> None:
    settings = ["service.host=0.0.0.0", f"service.keys_file={tmp_path}/keys.json"]
    token = add(tmp_path, "camera") if permission == "key" else ""
    settings += [] if token else ["service.allow_unauthenticated=true"]
    with running(*settings) as daemon:
        daemon.wait_ready()
        assert post(daemon, token)[0] == 200
        assert post(daemon, NO_SUCH_KEY)[0] == (401 if token else 200)
