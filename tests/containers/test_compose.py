"""compose.yaml, Containerfile and the configuration of the image fit each other. Nothing is built for this."""

from __future__ import annotations

import json
import re
import shlex
import stat
from pathlib import Path

import pytest

from containers.compose import ROOT, Service, read_compose, seconds, size_bytes
from youtu_edge.__main__ import DEFAULT_CONFIG, make_parser
from youtu_edge.config import Config
from youtu_edge.config_file import load_config

CONFIG = ROOT / "scripts/container/youtu-edge.yaml"


def instructions(name: str) -> list[str]:
    """Arguments of the instructions of that name in the last stage of the Containerfile."""
    text = (ROOT / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    return re.findall(rf"(?m)^{name} (.*)$", text[text.rindex("\nFROM ") :])


@pytest.fixture
def service() -> Service:
    compose = read_compose()
    assert list(compose.services) == ["youtu-edge"]
    return compose.services["youtu-edge"]


def configuration(service: Service) -> Config:
    """What the daemon reads in the container."""
    options = make_parser().parse_args(service.command)
    return load_config(CONFIG, options.set)


def test_it_builds_from_the_containerfile(service: Service) -> None:
    assert (ROOT / service.build.context / service.build.dockerfile).samefile(ROOT / "Containerfile")


def test_the_command_is_one_that_the_entry_point_understands(service: Service) -> None:
    """With settings that exist; the default of the image is understood too."""
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["youtu-edge"]
    assert configuration(service).model.path == "/models/current"
    assert make_parser().parse_args(json.loads(instructions("CMD")[0])).command == "serve"


def test_the_configuration_of_the_image_is_where_every_subcommand_looks() -> None:
    """`youtu-edge health`, `keys` and `doctor` see there what the daemon sees; boards and profiles lie beside it."""
    copied = [shlex.split(line) for line in instructions("COPY")]
    assert ["scripts/container/youtu-edge.yaml", f"{Path(DEFAULT_CONFIG).parent}/"] in copied
    for name in ("boards", "profiles"):
        assert [f"config/{name}", f"/etc/youtu-edge/{name}"] in copied


def test_the_port_that_is_published_is_the_one_that_is_served(service: Service) -> None:
    address, outside, inside = service.ports[0].split(":")
    assert [inside] == instructions("EXPOSE")
    served = configuration(service).service
    assert (served.host, served.port, outside) == ("0.0.0.0", int(inside), "8080")
    # Without API keys, only this machine may reach it.
    assert (served.allow_unauthenticated, address) == (True, "127.0.0.1")


def test_whoever_runs_the_image_alone_has_to_say_that_it_needs_no_keys() -> None:
    assert not load_config(CONFIG).service.allow_unauthenticated


def test_what_the_daemon_writes_lies_in_the_volume(service: Service) -> None:
    """Everything else is read-only, or gone with the container."""
    config, volumes = configuration(service), {volume.target: volume for volume in service.volumes}
    assert service.read_only
    assert json.loads(instructions("VOLUME")[0]) == ["/var/lib/youtu-edge"]
    assert not volumes["/var/lib/youtu-edge"].read_only
    assert volumes["/var/lib/youtu-edge"].source in read_compose().volumes
    for written in (config.storage.directory, config.service.keys_file):
        assert Path(written).is_relative_to("/var/lib/youtu-edge")
    assert volumes["/models"].read_only
    assert Path(config.model.path).is_relative_to("/models")
    assert [line.partition(":")[0] for line in service.tmpfs] == ["/tmp", "/run"]


def test_the_user_is_a_number_and_not_root() -> None:
    """An orchestrator that refuses root can only check a number."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions("USER")[0])


def test_the_whole_memory_limit_is_the_budgets(service: Service) -> None:
    """A share of the machine would be divided from what the machine has, not from what the container may take."""
    assert configuration(service).memory.fraction == 1.0
    assert not configuration(service).memory.limit
    assert service.mem_limit == service.memswap_limit
    assert size_bytes(read_compose(YOUTU_EDGE_MEMORY="700m").services["youtu-edge"].mem_limit) == 700 * 1024**2


def test_a_stop_has_time_to_drain(service: Service) -> None:
    """As the unit of systemd: 5 s beyond service.drain_s."""
    assert seconds(service.stop_grace_period) >= configuration(service).service.drain_s + 5
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_the_health_check_waits_as_long_as_a_model_may_load(service: Service) -> None:
    options, _, command = instructions("HEALTHCHECK")[0].partition(" CMD ")
    assert make_parser().parse_args(json.loads(command)[1:]).command == "health"
    found = dict(re.findall(r"--([\w-]+)=(\d+)s", options))
    assert int(found["start-period"]) >= configuration(service).service.load_deadline_s
    assert int(found["timeout"]) > 3  # what `youtu-edge health` waits for itself


def test_its_limits_are_those_of_the_unit(service: Service) -> None:
    """The same daemon with the same needs: tasks, files, the order in which the kernel kills."""
    unit = dict(re.findall(r"(?m)^(\w+)=(.*)$", (ROOT / "systemd/youtu-edge.service").read_text("utf-8")))
    assert service.pids_limit == int(unit["TasksMax"])
    assert service.oom_score_adj == int(unit["OOMScoreAdjust"])
    assert service.ulimits == {"core": int(unit["LimitCORE"]), "nofile": int(unit["LimitNOFILE"])}


def test_it_has_no_rights_and_its_log_no_end_of_the_disk(service: Service) -> None:
    assert service.cap_drop == ["ALL"]
    assert service.security_opt == ["no-new-privileges:true"]
    assert set(service.logging.options) == {"max-size", "max-file"}
    assert service.restart == "unless-stopped"


def test_the_build_context_holds_what_the_build_reads() -> None:
    """.dockerignore lets through every path that the wheel and the image are made of, and no other directory."""
    kept = re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"))
    assert all((ROOT / name).exists() for name in kept)
    assert {"CMakeLists.txt", "LICENSE", "README.md", "config", "daemon", "export", "pyproject.toml", "scripts"} <= set(
        kept
    )
    assert not {"models", "build", "tests", ".git", ".venv"} & set(kept)


def test_the_script_of_the_build_stage_can_be_executed() -> None:
    assert (ROOT / "scripts/container/make_site").stat().st_mode & stat.S_IXUSR
