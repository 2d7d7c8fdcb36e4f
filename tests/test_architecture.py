"""The layers of ARCHITECTURE.md, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DAEMON = ROOT / "daemon" / "youtu_edge"
EXPORT = ROOT / "export" / "youtu_export"
_FOR_EXPORT = {
    "package", "cache_geometry", "file_digest", "golden", "errors", "chat_template", "vocabulary_size", "json_file",
    "regular_file", "recommendation", "rollout", "tool_formats", "command_parser", "help_page",
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
        ("request_errors", {"errors"}),
        ("config", {"config_values"}),
        ("log", set()),
        ("encoding", set()),
        ("allocator", set()),
        ("config_values", set()),
        ("config_yaml", set()),
        ("regular_file", set()),
        ("foreign_model", {"regular_file"}),
        ("process_limits", {"errors"}),
        ("board_files", set()),
        ("cpu_quota", {"board_files"}),
        ("cores", {"board_files", "cpu_quota"}),
        ("config_environment", {"config"}),
        ("config_file", {"config", "config_environment", "config_values", "config_yaml", "errors", "regular_file"}),
        ("json_file", {"regular_file"}),
        ("recommendation", set()),
        ("chat_template", set()),
        ("vocabulary_size", set()),
        ("file_digest", set()),
        ("cache_geometry", set()),
        (
            "package",
            {"cache_geometry", "config", "encoding", "errors", "file_digest", "foreign_model", "json_file", "regular_file"},
        ),
        ("golden", {"errors", "json_file"}),
        ("rollout", {"errors", "json_file"}),
        ("elementary", set()),
        ("rotary", {"elementary", "package"}),
    ],
)
def test_shared_modules_know_only_those_below_them(name: str, allowed: set[str]) -> None:
    assert ours(DAEMON / f"{name}.py") <= allowed


@pytest.mark.parametrize("path", modules(DAEMON / "protocol"), ids=name_of)
def test_the_protocol_knows_only_the_configuration_and_the_encoding(path: Path) -> None:
    assert ours(path) <= {"config", "encoding", "protocol"}


@pytest.mark.parametrize("path", modules(DAEMON / "front"), ids=name_of)
def test_the_front_knows_neither_the_engine_nor_its_libraries(path: Path) -> None:
    assert not ours(path) & {"engine", "ops", "cli"}
    assert {name for name in imports(path) if name.startswith("youtu_edge.updates.")} <= {
        "youtu_edge.updates.store.ModelStore",
        *(f"youtu_edge.updates.update_state.{name}" for name in ("FAILURES", "UpdateState", "read_state")),
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


FRONT_LAYERS = (
    {"database_schema"},
    {"database"},
    {"http", "data_directory", "systemd_notify"},
    {"keys"},
    {"inflight"},
    {"supervision"},
    {"machine", "reload"},
    {"admission"},
    {"answers"},
    {"durable"},
    {"conversations"},
    {"dialects", "status"},
    {"announcer", "shutdown", "storage"},
    {"service"},
    {"wiring"},
    {"serve"},
)
"""A package of the front imports only from layers above it here; those of one layer do not know each other."""


def sources() -> dict[str, Path]:
    """Every module of ours by its name."""
    found = {}
    for root in (DAEMON, EXPORT):
        for path in modules(root):
            parts = path.relative_to(root.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def graph() -> dict[str, set[str]]:
    """Which of our modules each of them imports, anywhere in the file."""
    found = sources()
    return {
        name: {
            module
            for used in imports(path)
            for module in (used if used in found else used.rpartition(".")[0],)
            if module in found and module != name
        }
        for name, path in found.items()
    }


def circles(edges: dict[str, set[str]]) -> list[str]:
    """A name for every module that reaches itself."""

    def reached(start: str) -> set[str]:
        seen, todo = set[str](), [start]
        while todo:
            for module in edges[todo.pop()] - seen:
                seen.add(module)
                todo.append(module)
        return seen

    return [name for name in edges if name in reached(name)]


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == []


def test_this_search_finds_a_circle() -> None:
    edges = graph()
    edges["youtu_edge.errors"] = {"youtu_edge.front.service"}
    assert "youtu_edge.front.service" in circles(edges)


def layer_of(layers: tuple[set[str], ...], package: str) -> int:
    return next(level for level, packages in enumerate(layers) if package in packages)


def crossings(prefix: str, layers: tuple[set[str], ...], edges: dict[str, set[str]]) -> list[str]:
    """Imports of another package that is not below one's own."""

    def package(module: str) -> str:
        return module.removeprefix(prefix).partition(".")[0]

    return [
        f"{name} imports {used}"
        for name, uses in edges.items()
        for used in uses
        if name.startswith(prefix) and used.startswith(prefix) and package(name) != package(used)
        if layer_of(layers, package(used)) >= layer_of(layers, package(name))
    ]


def test_the_packages_of_the_front_are_layers() -> None:
    assert crossings("youtu_edge.front.", FRONT_LAYERS, graph()) == []


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("http.error_body", "dialects.anthropic.response"),
        ("http.sse", "durable.headers"),
        ("http.openapi", "keys.access"),
        ("inflight.tokenizer_queries", "supervision.supervisor"),
        ("answers.generation_stream", "durable.durable_requests"),
        ("durable.headers", "conversations.turn"),
    ],
)
def test_a_tie_that_was_cut_would_be_seen(name: str, used: str) -> None:
    edges = graph()
    edges[f"youtu_edge.front.{name}"].add(f"youtu_edge.front.{used}")
    assert crossings("youtu_edge.front.", FRONT_LAYERS, edges) != []


def test_the_dialects_know_only_what_they_have_in_common() -> None:
    prefix = "youtu_edge.front.dialects."
    others = {
        (name, used)
        for name, uses in graph().items()
        for used in uses
        if name.startswith(prefix) and used.startswith(prefix)
        if used.split(".")[3] not in (name.split(".")[3], "common")
    }
    assert others == set()


@pytest.mark.parametrize("dialect", ["anthropic", "chat", "completions", "ollama", "plain", "responses"])
def test_every_dialect_has_the_same_four_files(dialect: str) -> None:
    files = {path.stem for path in modules(DAEMON / "front" / "dialects" / dialect)}
    assert files >= {"routes", "request", "response", "writer"}


def test_no_dialect_is_left_out() -> None:
    """`common` is what they share; `tokens` streams nothing, so that it has no writer."""
    folders = {path.parent.name for path in modules(DAEMON / "front" / "dialects")} - {"dialects"}
    assert folders == {"anthropic", "chat", "completions", "ollama", "plain", "responses"} | {"common", "tokens"}


def test_only_the_model_of_the_engine_imports_onnxruntime() -> None:
    users = {path.parent for path in modules(DAEMON) if any(name.split(".")[0] == "onnxruntime" for name in imports(path))}
    assert users <= {DAEMON / "engine" / "model"}


@pytest.mark.parametrize("name", ["model.runner", "sampler", "text.prompt", "text.detokenize", "grammar.grammar"])
def test_the_parts_of_a_step_know_no_scheduler(name: str) -> None:
    assert not graph()[f"youtu_edge.engine.{name}"] & {"youtu_edge.engine.scheduler", "youtu_edge.engine.loop"}


def test_the_device_imports_nothing_of_the_exporter() -> None:
    assert [
        name_of(path) for path in modules(DAEMON) if any(name.startswith("youtu_export") for name in imports(path))
    ] == []


@pytest.mark.parametrize("path", modules(EXPORT), ids=name_of)
def test_the_exporter_imports_only_the_package_format_of_the_device(path: Path) -> None:
    runs_graphs = path.name == "graph_session.py"
    assert ours(path) <= _FOR_EXPORT | ({"ops", "rotary"} if runs_graphs else set())
    assert runs_graphs or "onnxruntime" not in {name.split(".")[0] for name in imports(path)}


def layers() -> Iterator[str]:
    """Every module and what its docstring says: the daemon, its front from the lowest layer up, the exporter."""

    def order(name: str) -> tuple[int, str]:
        parts = name.split(".")
        in_front = parts[:2] == ["youtu_edge", "front"] and len(parts) > 2
        above = 100 if parts[0] == "youtu_export" else 0 if parts[1:2] == ["front"] else -1
        return (layer_of(FRONT_LAYERS, parts[2]) + 1 if in_front else above, name)

    for name, path in sorted(sources().items(), key=lambda item: order(item[0])):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        indent = "" if path.name == "__init__.py" else "    "
        yield f"{indent}{name.removeprefix('youtu_edge.')}: {docstring.splitlines()[0] if docstring else ''}"


if __name__ == "__main__":
    print("\n".join(layers()))
