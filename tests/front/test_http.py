"""Valid and invalid requests, and their responses."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
from pathlib import Path

import openai
import pytest

from front.refusal import refused
from front.scripted_daemon import ROOT, Daemon, running, wait_until

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]


def test_the_openai_client_gets_an_answer_and_a_stream(daemon: Daemon) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(model="default", messages=[{"role": "user", "content": "Grüße 你好"}])
        assert answer.choices[0].message.content == "Grüße 你好"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage
        assert answer.usage.prompt_tokens_details
        assert answer.usage.prompt_tokens_details.cached_tokens == 3
        chunks = list(
            client.chat.completions.create(
                model="scripted",
                messages=[{"role": "user", "content": "one by one"}],
                stream=True,
                max_tokens=5,
                stream_options={"include_usage": True},
            )
        )
        assert chunks[0].choices[0].delta.role == "assistant"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "one b"
        assert chunks[-2].choices[0].finish_reason == "length"
        assert chunks[-1].usage
        assert chunks[-1].usage.completion_tokens == 5
        assert [model.id for model in client.models.list()] == ["scripted"]
        with pytest.raises(openai.NotFoundError, match="scripted"):
            client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "x"}])


def test_the_plain_dialect_answers_in_one_piece_and_streamed(daemon: Daemon) -> None:
    body = {"prompt": "temp 21.5", "max_new_tokens": 4, "temperature": 0.5, "stop": "x", "system": "You are a thermometer"}
    status, _, data = daemon.request("POST", "/chat", body)
    answer = json.loads(data)
    assert (status, answer["response"], answer["finish_reason"]) == (200, "temp", "length")
    assert answer["usage"]["completion_tokens"] == 4
    events = list(daemon.stream("/chat_stream", body))
    assert events[1:-1] == [{"text": "t"}, {"text": "e"}, {"text": "m"}, {"text": "p"}]
    assert set(events[0]) == {"request_id"}
    assert events[-1]["done"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": ' + b"[" * 100_000,
        b'{"messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"x": ' + b'{"a":' * 50_000,
        b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
        b'{"messages": [{"role": "user", "content": "x"}], "temperature": 1e999}',
    ],
)
def test_a_body_that_is_no_good_json_is_a_400(daemon: Daemon, body: bytes) -> None:
    assert refused(daemon, body)[0] == 400


def test_fifty_megabytes_are_refused_without_being_read(daemon: Daemon) -> None:
    before = daemon.status()["memory"]["front_resident_bytes"]
    status, headers, data = daemon.request("POST", CHAT, b" " * 50_000_000)
    assert (status, json.loads(data)["error"]["code"]) == (413, "body_too_large")
    assert headers["connection"] == "close"
    assert daemon.status()["memory"]["front_resident_bytes"] - before < 10_000_000


def test_an_endless_chunked_body_is_refused_at_the_limit(daemon: Daemon) -> None:
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert daemon.raw(head + piece * 20).startswith(b"HTTP/1.1 413")


def test_a_client_that_expects_100_continue_is_told_before_it_sends(daemon: Daemon) -> None:
    head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
    answer = daemon.raw(head + b"Content-Length: 50000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    body = b'{"prompt": "hi"}'
    answer = daemon.raw(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


def test_unknown_routes_and_methods_are_refused_in_the_same_shape(daemon: Daemon) -> None:
    assert refused(daemon, {}, "/v2/chat")[:2] == (404, "not_found")
    status, _, data = daemon.request("GET", CHAT)
    assert (status, json.loads(data)["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "192.168.1.7"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "[broken"}, 403),
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "127.0.0.1", "Origin": "http://evil.example"}, 403),
        ({"Host": "127.0.0.1", "Origin": "null"}, 403),
        ({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8081"}, 403),
        ({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8080"}, 200),
    ],
)
def test_foreign_hosts_and_origins_are_refused(daemon: Daemon, headers: dict[str, str], status: int) -> None:
    assert daemon.request("GET", "/v1/models", headers=headers)[0] == status


def test_the_queue_limit_answers_429_at_once(daemon: Daemon) -> None:
    with running("service.max_queue=2") as small:
        small.wait_ready()
        streams = [small.stream("/chat_stream", {"prompt": "slow repeat:100"}) for _ in range(2)]
        for stream in streams:
            next(stream)
        status, headers, data = small.request("POST", "/chat", {"prompt": "one too many"})
        assert (status, json.loads(data)["error"]["code"]) == (429, "overloaded")
        assert int(headers["retry-after"]) >= 1
        streams[0].close()
        wait_until(lambda: small.request("POST", "/chat", {"prompt": "room now"})[0] == 200)
        streams[1].close()


@pytest.mark.parametrize(("path", "prompt"), [("/chat_stream", "slow repeat:300"), ("/chat", "quiet"), (CHAT, "quiet")])
def test_a_client_that_leaves_cancels_its_request(daemon: Daemon, path: str, prompt: str) -> None:
    cancelled = daemon.metric('youtu_edge_requests_total{outcome="cancelled"}')
    body = {"prompt": prompt} if path != CHAT else {"messages": [{"role": "user", "content": prompt}]}
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port)
    connection.request("POST", path, json.dumps(body))
    wait_until(lambda: daemon.status()["unfinished_requests"] == 1)
    assert connection.sock
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    wait_until(lambda: daemon.status()["unfinished_requests"] == 0)
    assert daemon.metric('youtu_edge_requests_total{outcome="cancelled"}') == cancelled + 1


def test_a_client_that_does_not_read_delays_nobody(daemon: Daemon) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port)) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = json.dumps({"prompt": "z" * 4000 + " repeat:9", "max_new_tokens": 4096}).encode()
        lazy.sendall(b"POST /chat_stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert daemon.chat("quick")[0] == 200


def test_eight_streams_at_once_share_the_steps(daemon: Daemon) -> None:
    texts: list[str] = []

    def ask(number: int) -> None:
        events = daemon.stream("/chat_stream", {"prompt": f"stream {number} slow"})
        texts.append("".join(event.get("text", "") for event in events))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts) == [f"stream {number} slow" for number in range(8)]
    assert daemon.status()["engine"]["mean_batch"] > 1


def test_every_metric_and_error_code_is_documented(daemon: Daemon) -> None:
    from youtu_edge import errors, request_errors

    daemon.chat("one")
    document = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    exposed = daemon.request("GET", "/metrics")[2].decode()
    names = set(re.findall(r"^# TYPE (\S+)", exposed, re.MULTILINE))
    assert len(names) > 20
    documented = set(re.findall(r"`(youtu_edge_\w+)`", document))
    assert names == documented, f"docs/api.md, Metrics: add {names - documented}, remove {documented - names}"
    codes = {
        kind.code
        for kind in [*vars(errors).values(), *vars(request_errors).values()]
        if isinstance(kind, type) and hasattr(kind, "code")
    }
    missing = [code for code in codes - {"error"} if f"`{code}`" not in document]
    assert missing == [], f"docs/api.md, Errors: add rows for {missing}"


def test_a_client_that_sends_no_http_leaves_nothing_in_the_log() -> None:
    with running() as daemon:
        daemon.wait_ready()
        assert daemon.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Odd: \x00\r\n\r\n").startswith(b"HTTP/1.0 400")
        assert daemon.stop() == 0
        assert b"Traceback" not in daemon.log
        assert b"ERROR" not in daemon.log


def test_a_request_is_one_line_in_the_log_and_no_client_can_forge_one(tmp_path: Path) -> None:
    with running() as daemon:
        daemon.wait_ready()
        daemon.chat("hello", user='me\n2026-01-01 ERROR forged="line"')
        assert daemon.stop() == 0
        lines = [entry for entry in daemon.log.splitlines() if b" request id=" in entry]
        assert len(lines) == 1
        assert b"outcome=stop" in lines[0]
        assert not [entry for entry in daemon.log.splitlines() if entry.startswith(b"2026-01-01 ERROR")]


def test_several_answers_have_their_index_and_are_all_cancelled_when_the_client_leaves(daemon: Daemon) -> None:
    status, answer = daemon.chat("twins", n=2)
    assert (status, [choice["index"] for choice in answer["choices"]]) == (200, [0, 1])
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["twins", "twins"]
    assert answer["usage"]["completion_tokens"] == 10
    assert answer["usage"]["prompt_tokens"] == 5
    texts = ["", ""]
    for event in daemon.stream(CHAT, {"messages": HELLO, "n": 2, "stream": True}):
        for choice in event["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == ["hello", "hello"]
    stream = daemon.stream(CHAT, {"messages": [{"role": "user", "content": "slow repeat:300"}], "n": 3, "stream": True})
    next(stream)
    assert daemon.status()["unfinished_requests"] == 3
    stream.close()
    wait_until(lambda: daemon.status()["unfinished_requests"] == 0)


def test_the_request_id_is_in_the_header_and_in_the_body(daemon: Daemon) -> None:
    _, headers, data = daemon.request("POST", CHAT, {"messages": HELLO})
    assert headers["x-request-id"] == json.loads(data)["id"]
    assert daemon.request("POST", "/chat_stream", {"prompt": "x"})[1]["x-request-id"].startswith("chat-")
