"""The dependency direction of DESIGN.md and the size of files, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DAEMON = ROOT / "daemon" / "youtu_edge"
EXPORT = ROOT / "export" / "youtu_export"
_FOR_EXPORT = {
    "package", "golden", "errors", "chat_template", "vocabulary_size", "json_file", "regular_file", "recommendation",
}  # fmt: skip
HEAVY = {"numpy", "onnxruntime", "tokenizers", "llguidance", "jinja2"}


def modules(*roots: Path) -> list[Path]:
    return [path for root in roots for path in sorted(root.rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """Full names of all imported modules, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """The second part of imported names of the daemon: front, engine, config …"""
    return {name.split(".")[1] for name in imports(path) if name.startswith("youtu_edge.")} - {"__version__"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("errors", set()),
        ("config", set()),
        ("log", set()),
        ("allocator", set()),
        ("config_yaml", set()),
        ("regular_file", set()),
        ("foreign_model", {"regular_file"}),
        ("process_limits", {"errors"}),
        ("board_files", set()),
        ("cpu_quota", {"board_files"}),
        ("cores", {"board_files", "cpu_quota"}),
        ("config_file", {"config", "config_yaml", "errors", "regular_file"}),
        ("json_file", {"regular_file"}),
        ("recommendation", set()),
        ("chat_template", set()),
        ("vocabulary_size", set()),
        ("package", {"config", "errors", "foreign_model", "json_file", "regular_file"}),
        ("golden", {"errors", "json_file"}),
        ("elementary", set()),
        ("rotary", {"elementary", "package"}),
        ("framing", set()),
        ("protocol", {"config", "errors", "framing"}),
    ],
)
def test_shared_modules_know_only_those_below_them(name: str, allowed: set[str]) -> None:
    assert ours(DAEMON / f"{name}.py") <= allowed


@pytest.mark.parametrize("path", modules(DAEMON / "front"), ids=name_of)
def test_the_front_knows_neither_the_engine_nor_its_libraries(path: Path) -> None:
    assert not ours(path) & {"engine", "ops", "cli"}
    assert {name for name in imports(path) if name.startswith("youtu_edge.updates.")} <= {
        "youtu_edge.updates.store.ModelStore"
    }
    assert not {name.split(".")[0] for name in imports(path)} & HEAVY


@pytest.mark.parametrize("path", modules(DAEMON / "engine"), ids=name_of)
def test_the_engine_knows_nothing_of_the_front(path: Path) -> None:
    assert not ours(path) & {"front", "cli", "config_file"}
    assert not {name.split(".")[0] for name in imports(path)} & {"aiohttp", "yaml", "prometheus_client"}


@pytest.mark.parametrize("path", modules(DAEMON / "doctor"), ids=name_of)
def test_the_doctor_loads_no_library_that_may_be_sick(path: Path) -> None:
    """In its own process, that is; the probe does in another one."""
    assert not {name.split(".")[0] for name in imports(path)} & HEAVY
    assert not {name for name in imports(path) if name.startswith("youtu_edge.engine.")} - {
        f"youtu_edge.engine.memory.budget.{name}"
        for name in (
            *("FRONT_BYTES", "TEXT_IDLE_BYTES", "TEXT_WORKER_BYTES"),
            *("budget_bytes", "device_memory", "own_limit"),
        )
    }


def test_only_the_runner_imports_onnxruntime() -> None:
    users = {path.stem for path in modules(DAEMON) if any(name.split(".")[0] == "onnxruntime" for name in imports(path))}
    assert users <= {"runner"}


@pytest.mark.parametrize("name", ["runner", "sampler", "prompt", "detokenize", "grammar"])
def test_the_parts_of_a_step_know_no_scheduler(name: str) -> None:
    path = DAEMON / "engine" / f"{name}.py"
    if path.exists():
        assert not [
            used for used in imports(path) if used.startswith(("youtu_edge.engine.scheduler", "youtu_edge.engine.loop"))
        ]


def test_the_device_imports_nothing_of_the_exporter() -> None:
    assert [
        name_of(path) for path in modules(DAEMON) if any(name.startswith("youtu_export") for name in imports(path))
    ] == []


@pytest.mark.parametrize("path", modules(EXPORT), ids=name_of)
def test_the_exporter_imports_only_the_package_format_of_the_device(path: Path) -> None:
    runs_graphs = path.name == "graph_session.py"
    assert ours(path) <= _FOR_EXPORT | ({"ops", "rotary"} if runs_graphs else set())
    assert runs_graphs or "onnxruntime" not in {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", modules(DAEMON, EXPORT), ids=name_of)
def test_a_file_is_one_noun_and_not_a_book(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
