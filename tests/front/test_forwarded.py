"""Who the client is, where a proxy says so."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from front.scripted_daemon import Daemon, running

PROXY = "service.trusted_proxies=[127.0.0.1, 10.0.0.0/8, 2001:db8:1::/48]"


@pytest.fixture(scope="module")
def proxied() -> Iterator[Daemon]:
    """A daemon that trusts a proxy on this machine."""
    with running(PROXY, "service.board=line-1") as daemon:
        yield daemon.wait_ready()


def logged_client(daemon: Daemon, headers: dict[str, str]) -> str:
    """The client in the log line of a request with these headers."""
    status, answered, _ = daemon.request("POST", "/chat", {"prompt": "hello"}, headers)
    assert status == 200
    found = re.search(rf"request id={answered['x-request-id']} .* client=(\S+)", daemon.log.decode())
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:51000", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:51000", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),  # the first was sent by the client
        ("198.51.100.7,2001:db8:1::2 ,10.0.0.2", "198.51.100.7"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),  # the client is a proxy itself
        ("198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("1" * 4000, "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(proxied: Daemon, header: str, client: str) -> None:
    assert logged_client(proxied, {"X-Forwarded-For": header}) == client


def test_the_cookie_is_for_encrypted_connections_only_where_the_client_has_one(proxied: Daemon) -> None:
    def cookie(scheme: str) -> str:
        return proxied.request("GET", "/livez", headers={"X-Forwarded-Proto": scheme})[1]["set-cookie"]

    assert cookie("https").endswith("; Secure")
    assert cookie("HTTPS").endswith("; Secure")
    assert not cookie("http").endswith("; Secure")
    assert not cookie("https, http").endswith("; Secure"), "the first was sent by the client"


def test_from_any_other_address_the_headers_are_ignored() -> None:
    with running("service.trusted_proxies=[10.0.0.0/8]", "service.board=line-1") as daemon:
        daemon.wait_ready()
        headers = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
        assert logged_client(daemon, headers) == "127.0.0.1"
        assert "Secure" not in daemon.request("GET", "/livez", headers=headers)[1]["set-cookie"]


@pytest.mark.parametrize("network", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", "*"])
def test_what_is_no_network_is_refused_at_the_start(network: str) -> None:
    with running(f"service.trusted_proxies=['{network}']") as daemon:
        assert daemon.wait_exit() == 78
        assert b"is not an IP address or network" in daemon.log
