"""service.extra_ports: the same daemon on further ports, such as that of Ollama."""

from __future__ import annotations

import socket

import pytest

from fleet.boards import free_ports
from front.scripted_daemon import running
from youtu_edge.config_file import load_config
from youtu_edge.errors import EXIT_NOT_AVAILABLE, ConfigError


def test_every_port_has_all_routes_and_one_limit_of_connections() -> None:
    """The limit counts connections of both ports together."""
    first, second = free_ports(2)
    with running(f"service.extra_ports=[{first}, {second}]", "service.max_connections=8") as daemon:
        own = daemon.port
        for port in (own, first, second):
            daemon.port = port
            assert daemon.request("GET", "/api/version")[0] == 200
        daemon.port = own
        with socket.create_connection(("127.0.0.1", first)), socket.create_connection(("127.0.0.1", second)):
            assert daemon.metric("youtu_edge_connections") >= 3
        assert daemon.metric("youtu_edge_connections_max") == 8


def test_a_port_in_use_stops_the_start_and_names_its_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running(f"service.extra_ports=[{port}]") as daemon:
            assert daemon.wait_exit() == EXIT_NOT_AVAILABLE
            log = daemon.log.decode()
            assert f"127.0.0.1:{port} is in use by " in log
            assert "change service.extra_ports" in log


@pytest.mark.parametrize("value", ["[0]", "[65536]", "[http]", "11434", "[[1]]"])
def test_what_is_no_list_of_ports_is_refused_by_its_key(value: str) -> None:
    with pytest.raises(ConfigError, match=r"service\.extra_ports"):
        load_config(None, [f"service.extra_ports={value}"])
    assert load_config(None, ["service.extra_ports=[11434]"]).service.extra_ports == (11434,)


@pytest.mark.parametrize("value", ["[8080]", "[11434, 11434]"])
def test_a_port_is_given_once(value: str) -> None:
    """Else the daemon would find it in use by itself."""
    with pytest.raises(ConfigError, match=r'"service\.extra_ports": \d+ is service\.port, or given twice'):
        load_config(None, [f"service.extra_ports={value}"])
