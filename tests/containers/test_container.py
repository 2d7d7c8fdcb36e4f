"""The image, run as in compose.yaml: without privileges, on a read-only root, within its memory limit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from containers.container import UID, Container
from containers.image import Image
from daemon_process import Stream, chat
from systemd.machine import wait_until

MIB = 1024 * 1024


def read_status(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_answers(container: Container) -> None:
    """On the port that is published."""
    status, answer = container.post("/v1/chat/completions", chat("Hello", max_tokens=8))
    assert status == 200
    assert answer["usage"]["completion_tokens"] == 8


def test_it_runs_without_rights_as_a_user_of_its_own(container: Container) -> None:
    """The daemon is process 1; neither it nor its engine has a capability or can get one."""
    assert read_status(container.pid)["NSpid"].split()[1:] == ["1"]
    assert b"youtu_edge" in Path(f"/proc/{container.pid}/cmdline").read_bytes()
    for pid in (container.pid, container.engine_pid()):
        status = read_status(pid)
        assert status["Uid"].split() == [str(UID)] * 4
        assert status["Gid"].split() == [str(UID)] * 4
        assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1"


def test_only_its_data_and_its_temporary_files_can_be_written(container: Container) -> None:
    """Not the code, not the configuration, not the models."""
    for place in ("/", "/opt/youtu-edge", "/etc/youtu-edge", "/models", "/models/current", "/usr/local/bin", "/sys"):
        assert container.run("touch", f"{place}/new").stdout.strip().endswith("Read-only file system"), place
    for place in ("/tmp", "/var/lib/youtu-edge"):
        assert container.run("sh", "-c", f"echo > {place}/new && rm {place}/new").returncode == 0, place


def test_conversations_are_kept_in_the_volume(container: Container) -> None:
    """What the daemon stores outlives the container."""
    container.post("/chat", {"prompt": "Hello", "session_id": "kitchen", "max_new_tokens": 4})
    assert sorted(path.suffix for path in (container.data / "data").iterdir() if path.stem.startswith("conversations"))
    assert "database_in_memory" not in container.log


def test_the_budget_follows_the_memory_limit(container: Container) -> None:
    """700 MB for the container, 64 of them for what no budget counts."""
    assert container.status()["memory"]["engine_plan_bytes"]["budget"] == (700 - 64) * MIB


def test_the_budget_follows_it_where_the_path_of_the_cgroup_is_the_one_outside(
    image: Image, models: Path, tmp_path: Path
) -> None:
    """As docker has it with cgroups of version 1: the container's own cgroup is mounted, and has another path there."""
    with Container(image, tmp_path, models, own_cgroup_namespace=False, YOUTU_EDGE_MEMORY="500m") as container:
        assert "/youtu-edge-test-" in container.run("cat", "/proc/self/cgroup").stdout
        container.wait_ready()
        assert container.status()["memory"]["engine_plan_bytes"]["budget"] == (500 - 64) * MIB


def test_it_outlives_kill_9_of_its_engines(container: Container) -> None:
    """An answer that is being streamed goes on, without a restart of the container, and dead processes do not pile up."""
    body = chat("Tell me everything", max_tokens=700)
    whole = container.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
    left = []
    for _ in range(2):
        stream, engine = Stream(container, body), container.engine_pid()
        wait_until(lambda stream=stream: stream.text, 60, lambda: container.log)
        os.kill(engine, signal.SIGKILL)
        stream.join(120)
        assert (stream.error, stream.text) == ("", whole)
        left.append(container.zombies())
    assert container.process.poll() is None
    # What an engine leaves behind is reaped before another one starts, so nothing of the first is there after the second.
    assert not set(left[0]) & set(left[1])


def test_the_health_check_fails_until_the_model_is_loaded(image: Image, models: Path, tmp_path: Path) -> None:
    with Container(image, tmp_path, models, YOUTU_EDGE_MEMORY="700m") as container:
        engine = hold_a_loading_engine(container)
        checked = container.check_health()
        assert checked.returncode == 1
        assert checked.stdout.startswith("the engine is not ready: ")
        os.kill(engine, signal.SIGCONT)
        container.wait_ready()
        checked = container.check_health()
        assert (checked.returncode, checked.stdout) == (0, "ready\n")


def hold_a_loading_engine(container: Container) -> int:
    """Process id of an engine that was stopped before it was ready; one that was faster makes way for the next."""
    engine = 0
    while True:
        engine = container.engine_pid(other_than=engine)
        os.kill(engine, signal.SIGSTOP)
        wait_until(lambda engine=engine: read_status(engine)["State"].startswith("T"), 60)
        if container.get("/readyz")[0] != 200:
            return engine
        os.kill(engine, signal.SIGKILL)


def test_a_stop_is_quick_and_no_failure(image: Image, models: Path, tmp_path: Path) -> None:
    """Within 5 s and with exit status 0, even with a client streaming an answer that takes longer."""
    command = ("--set=service.drain_s=1",)
    with Container(image, tmp_path, models, command=command, YOUTU_EDGE_MEMORY="700m") as container:
        container.wait_ready()
        stream = Stream(container, chat("Tell me everything", max_tokens=8000))
        wait_until(lambda: stream.text, 60, lambda: container.log)
        status, after_s = container.stop()
        assert status == 0, container.log
        assert after_s <= 5, container.log
        stream.join(60)
        assert not stream.is_alive()
    assert container.log.strip().endswith("stopped")


def test_a_stop_while_it_starts_is_quick_too(image: Image, models: Path, tmp_path: Path) -> None:
    """The kernel drops signals that process 1 does not handle: it handles this one before all that takes time.

    On a slow card the first library takes long to load; here it never ends.
    """
    paths = {"PYTHONPATH": "/var/lib/youtu-edge:/opt/youtu-edge"}
    container = Container(image, tmp_path, models, environment=paths)
    (container.data / "aiohttp.py").write_text(
        "import signal\nopen('/var/lib/youtu-edge/loading', 'w').close()\nwhile True:\n    signal.pause()\n"
    )
    with container:
        wait_until((container.data / "loading").exists, 60, lambda: container.log)
        status, after_s = container.stop()
    assert (status, after_s <= 5) == (0, True), container.log


def test_without_keys_the_image_serves_nobody_else(image: Image, models: Path, tmp_path: Path) -> None:
    """compose.yaml allows it, as only this machine reaches the port there; else the log says what to do."""
    command = ("--set=service.allow_unauthenticated=false",)
    with Container(image, tmp_path, models, command=command) as container:
        assert container.process.wait(60) == 78
    assert 'create one with "youtu-edge keys add NAME"' in container.log


def test_models_that_its_user_may_not_read_are_named(image: Image, models: Path, tmp_path: Path) -> None:
    """The most frequent mistake with volumes, as one line."""
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    with Container(image, tmp_path, hidden) as container:
        assert container.process.wait(60) == 78
    assert container.log.splitlines()[-1].startswith("youtu-edge: /models/current")


def test_the_image_holds_nothing_to_build_or_to_install_with(image: Image) -> None:
    """No compiler, no pip, no tests, no exporter, no sources of operators."""
    commands = {path.name for where in ("bin", "usr/bin", "usr/local/bin") for path in (image.root / where).iterdir()}
    assert "youtu-edge" in commands
    assert not commands & {"g++", "gcc", "cc", "c++", "make", "cmake", "pip", "pip3"}
    site = list((image.root / "opt/youtu-edge").rglob("*"))
    assert "libyoutu_edge_ops.so" in {path.name for path in site}
    assert not [path for path in site if path.name in {"pip", "tests", "youtu_export"} or path.suffix in {".cc", ".h"}]
    assert image.size < 250e6


def test_no_module_is_compiled_at_the_start(image: Image) -> None:
    """The root is read-only, so each start would compile all of them again."""
    modules = list((image.root / "opt/youtu-edge").rglob("*.py"))
    assert len(modules) > 300
    assert [path for path in modules if not (path.parent / f"__pycache__/{path.stem}.cpython-311.pyc").exists()] == []
