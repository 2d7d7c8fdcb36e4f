"""Finding a board from the sofa: multicast DNS, and the QR code with address and key."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from front.keys_command import keys
from front.scripted_daemon import ENVIRONMENT, running, wait_until
from youtu_edge import __version__
from youtu_edge.network_address import is_loopback, reachable_host, url_of

WITHOUT = "import sys; sys.modules['{}'] = None; from youtu_edge.__main__ import main; sys.exit(main(sys.argv[1:]))"
"""The command where a package is not installed."""


def without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(package), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)


def test_the_daemon_is_found_by_its_kind_and_gone_after_its_end() -> None:
    """By zeroconf itself, as another machine would; here on the loopback interface."""
    zeroconf = pytest.importorskip("zeroconf", reason="the package zeroconf is not installed")
    kind = "_youtu-edge._tcp.local."
    with (
        zeroconf.Zeroconf(interfaces=["127.0.0.1"]) as network,
        running("service.mdns=true", "service.board=line-2", "service.host=127.0.0.1") as daemon,
    ):
        found: list[str] = []
        gone: list[str] = []

        class Listener(zeroconf.ServiceListener):  # type: ignore[misc, name-defined]
            def add_service(self, zc: object, type_: str, name: str) -> None:
                found.append(name)

            def remove_service(self, zc: object, type_: str, name: str) -> None:
                gone.append(name)

            def update_service(self, zc: object, type_: str, name: str) -> None:
                pass

        browser = zeroconf.ServiceBrowser(network, [kind, "_http._tcp.local."], Listener())
        wait_until(lambda: len(found) == 2)
        assert sorted(found) == ["line-2._http._tcp.local.", f"line-2.{kind}"]
        info = network.get_service_info(kind, f"line-2.{kind}")
        assert (info.port, info.parsed_addresses()) == (daemon.port, ["127.0.0.1"])
        assert info.decoded_properties == {
            "version": __version__,
            "path": "/",
            "tls": "0",
            "api": "openai,anthropic,ollama",
        }
        daemon.stop()
        wait_until(lambda: len(gone) == 2)
        browser.cancel()


def test_without_the_package_the_setting_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = ["--set", "service.mdns=true", "--set", "service.port=0", "--set", f"model.path={tmp_path}"]
    done = without("zeroconf", "serve", *settings)
    assert (done.returncode, done.stdout) == (78, "")
    assert "service.mdns: needs the Python package zeroconf" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_qr_code_has_the_key_behind_the_hash_and_stdout_the_key_alone(tmp_path: Path) -> None:
    """The code is drawn with half blocks; reading it needs a camera, so the same text is drawn here."""
    segno = pytest.importorskip("segno", reason="the package segno is not installed")
    done = keys(tmp_path, "add", "phone", "--qr", "--url", "http://192.168.1.20:8080/")
    assert done.returncode == 0, done.stderr
    token = done.stdout.strip()
    assert token.startswith("ye-")
    assert "http://192.168.1.20:8080, with this key:" in done.stderr
    expected = io.StringIO()
    segno.make(f"http://192.168.1.20:8080/#key={token}", error="m").terminal(out=expected, compact=True)
    assert expected.getvalue() in done.stderr


@pytest.mark.parametrize(
    ("package", "arguments", "reason"),
    [
        ("segno", ("--url", "http://x"), "needs the Python package segno"),
        ("nothing", (), "service.host is 127.0.0.1, which"),
    ],
)
def test_where_no_code_can_be_made_no_key_is_made_either(
    package: str, arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    config = tmp_path / "youtu-edge.yaml"
    config.write_text(f"service:\n  keys_file: {tmp_path}/keys.json\n")
    done = without(package, "keys", "add", "phone", "--config", str(config), "--qr", *arguments)
    assert done.returncode != 0
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize(
    ("host", "port", "url"), [("192.168.1.20", 80, "http://192.168.1.20:80"), ("fe80::1", 8080, "http://[fe80::1]:8080")]
)
def test_addresses_are_written_as_urls(host: str, port: int, url: str) -> None:
    assert url_of(reachable_host(host), port, is_tls=False) == url
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("fe80::1%eth0")
    assert reachable_host("localhost") == "127.0.0.1"
