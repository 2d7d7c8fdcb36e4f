"""config/fleet/compose.yaml: its settings exist, and its services answer, as processes of this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.compose import ROOT, Compose, Service, read_compose, seconds
from daemon_process import Daemon
from fleet.balancer import running_balancer, why_not
from fleet.boards import NAMES, free_ports
from fleet.clients import BOARD, Clients
from tiny_model import make_tiny_package
from youtu_edge.config import Config
from youtu_edge.config_environment import PREFIX
from youtu_edge.config_file import load_config

FILE = "config/fleet/compose.yaml"
IMAGE_CONFIG = ROOT / "scripts/container/youtu-edge.yaml"


def board_configuration(service: Service) -> Config:
    """What the daemon of the service reads in its container."""
    assert service.command == ["serve"]
    return load_config(IMAGE_CONFIG, environment=service.environment)


def nginx_file(compose: Compose) -> str:
    """What the balancer's command makes of nginx.conf: its own sed is run."""
    shell, option, script = compose.services["balancer"].command
    assert (shell, option) == ("sh", "-c")
    command, _, serve = script.partition(" >/tmp/nginx.conf && exec ")
    assert shlex.split(serve) == ["nginx", "-c", "/tmp/nginx.conf", "-g", "daemon off;"]
    words = [word.replace("/config/nginx.conf", str(ROOT / "config/fleet/nginx.conf")) for word in shlex.split(command)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_there_is_a_service_for_each_name_of_the_balancer_with_that_name() -> None:
    compose = read_compose(FILE)
    assert list(compose.services) == ["balancer", *NAMES]
    assert compose.services["balancer"].depends_on == list(NAMES)
    for name in NAMES:
        service = compose.services[name]
        assert service.hostname == board_configuration(service).service.board == name
        assert f"upstream {name} {{" in nginx_file(compose)


def test_the_balancer_finds_the_replicas_and_they_trust_it_alone() -> None:
    compose = read_compose(FILE)
    (network,) = (ipaddress.ip_network(subnet.subnet) for subnet in compose.networks["boards"].ipam.config)
    addresses = {name: service.networks["boards"].ipv4_address for name, service in compose.services.items()}
    assert all(ipaddress.ip_address(address) in network for address in addresses.values())
    port = board_configuration(compose.services[NAMES[0]]).service.port
    assert set(re.findall(r"server (\S+:\d+)", nginx_file(compose))) == {f"{addresses[name]}:{port}" for name in NAMES}
    for name in NAMES:
        assert board_configuration(compose.services[name]).service.trusted_proxies == (addresses["balancer"],)


def test_only_the_balancer_can_be_reached_and_only_from_this_machine() -> None:
    """The replicas need no keys then."""
    compose = read_compose(FILE)
    assert compose.services["balancer"].ports == ["127.0.0.1:8000:8000"]
    assert "listen 8000;" in nginx_file(compose)
    for name in NAMES:
        assert compose.services[name].ports == []
        assert board_configuration(compose.services[name]).service.allow_unauthenticated


def test_a_replica_has_what_the_container_of_one_device_has() -> None:
    """Except its command, its name and time to drain."""
    alone = read_compose().services["youtu-edge"]
    for name in NAMES:
        replica = read_compose(FILE).services[name]
        for field in ("mem_limit", "pids_limit", "ulimits", "read_only", "tmpfs", "cap_drop", "security_opt", "logging"):
            assert getattr(replica, field) == getattr(alone, field), field
        assert (replica.image, replica.restart) == (alone.image, alone.restart)
        models, data = replica.volumes
        assert (models.target, models.read_only) == ("/models", True)
        assert (data.target, data.source) == ("/var/lib/youtu-edge", name)
        config = board_configuration(replica)
        assert config.model.path == "/models/current"
        assert Path(config.storage.directory).is_relative_to(data.target)
        assert seconds(replica.stop_grace_period) >= config.service.drain_s + 5
    assert set(read_compose(FILE).volumes) == set(NAMES)


def test_settings_come_from_the_environment_of_whoever_starts_it() -> None:
    changed = read_compose(
        FILE, YOUTU_EDGE_MODEL="new", YOUTU_EDGE_MODEL__CONTEXT_LENGTH="4096", YOUTU_EDGE_SCHEDULER__MAX_SEQUENCES="4"
    )
    for name in NAMES:
        config = board_configuration(changed.services[name])
        assert (config.model.path, config.model.context_length) == ("/models/new", 4096)
        assert config.scheduler.max_sequences == 4


@contextlib.contextmanager
def started(directory: Path, package: Path) -> Iterator[list[Daemon]]:
    """The replicas with their own variables, but the paths, the port and the sizes of this machine."""
    compose = read_compose(FILE)
    with contextlib.ExitStack() as stack:
        daemons = []
        for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True):
            environment = compose.services[name].environment
            with pytest.MonkeyPatch.context() as patched:
                for variable in [variable for variable in os.environ if variable.startswith(PREFIX)]:
                    patched.delenv(variable)
                for variable, text in environment.items():
                    patched.setenv(variable, text)
                patched.setenv("YOUTU_EDGE_SERVICE__TRUSTED_PROXIES", "[127.0.0.1]")
                daemons.append(stack.enter_context(Daemon(package, directory, service__port=port, memory__limit="300M")))
        for daemon in daemons:
            daemon.wait_ready()
        yield daemons


def test_the_services_answer_behind_their_nginx(tmp_path: Path) -> None:
    if reason := why_not("nginx"):
        pytest.skip(reason)
    package = make_tiny_package(tmp_path / "package", recipe="q4", context_length=512)
    text = nginx_file(read_compose(FILE)).replace("10.89.7.", "192.168.1.")
    with started(tmp_path, package) as daemons, running_balancer("nginx", text, daemons, tmp_path) as port:
        clients = Clients(port)
        for name in NAMES:
            with clients.ask("POST", "/chat", {"prompt": "Hello", "max_new_tokens": 4}, {BOARD: name}) as answer:
                assert (answer.status, answer.headers[BOARD]) == (200, name)
                assert json.loads(answer.read())["usage"]["completion_tokens"] == 4
