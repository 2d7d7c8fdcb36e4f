"""What the tests of model updates share: packages with golden prompts, damaged packages, the command itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tiny_model import make_tiny_checkpoint
from youtu_edge.package import MODEL, file_entry, read_manifest, write_manifest
from youtu_export.__main__ import main as youtu_export

Command = Callable[..., subprocess.CompletedProcess[str]]


def export_tiny(directory: Path, name: str, seed: int, *options: str) -> Path:
    """A tiny package of 4 bits through the whole command, golden prompts included; `options` may name another recipe."""
    checkpoint = directory / f"checkpoint-{name}-{seed}"
    checkpoint.mkdir()
    make_tiny_checkpoint(checkpoint, seed=seed, context_length=8192)
    out = directory / f"{name}-{seed}"
    assert youtu_export(["hf", str(checkpoint), str(out), "--recipe", "q4", "--name", name, *options]) == 0
    return out


def make_trust(tmp_path: Path) -> Path:
    trust = tmp_path / "trust"
    trust.mkdir(exist_ok=True)
    return trust


def model_command(*arguments: str, settings: tuple[str, ...]) -> list[str]:
    """`youtu-edge model ARGUMENTS`; a `--set` among the arguments wins over the settings."""
    argv = [sys.executable, "-m", "youtu_edge", "model", arguments[0]]
    for setting in settings:
        argv += ["--set", setting]
    return [*argv, *arguments[1:]]


def edited(package: Path, target: Path, edit: Callable[[Path], None]) -> Path:
    """A copy of a package whose files were changed and whose checksums are right again."""
    shutil.copytree(package, target)
    edit(target)
    manifest = read_manifest(target)
    files = {name: file_entry(target / name) for name in manifest.files if (target / name).exists()}
    write_manifest(target, msgspec.structs.replace(manifest, files=files))
    return target


def permute_weights(package: Path) -> None:
    """Every weight of a float package is still there, in another place: a model that generates nonsense."""
    import numpy as np

    path = package / "weights.bin"
    weights = np.frombuffer(path.read_bytes(), dtype=np.float32)
    path.write_bytes(np.random.default_rng(0).permutation(weights).tobytes())


def crash_the_runtime(package: Path, *, only_when_decoding: bool = False) -> None:
    """A graph that divides the least integer by -1: SIGFPE where the CPU traps it, as x86 does.

    With `only_when_decoding` it does so only behind cached tokens, so that loading succeeds.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(str(package / MODEL), load_external_data=False)
    graph = model.graph
    output = graph.output[0].name
    last = next(node for node in graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "true_logits"
    # Of the graph's own input, so that nothing can be computed ahead of time.
    graph.node.append(helper.make_node("Sub", ["past_seqlens", "past_seqlens"], ["zeros"], name="/zeros"))
    for name, value in (("least", -(2**31)), ("one", 1), ("two", 2)):
        graph.initializer.append(helper.make_tensor(f"{name}_value", TensorProto.INT32, [1], [value]))
        graph.node.append(helper.make_node("Add", ["zeros", f"{name}_value"], [name], name=f"/{name}"))
    graph.node.append(helper.make_node("Min", ["past_seqlens", "one"], ["has_past"], name="/has_past"))
    graph.node.append(
        helper.make_node("Mul", ["has_past" if only_when_decoding else "one", "two"], ["twice"], name="/twice")
    )
    graph.node.append(helper.make_node("Sub", ["one", "twice"], ["divisors"], name="/divisors"))
    graph.node.append(helper.make_node("Div", ["least", "divisors"], ["quotients"], name="/crash"))
    graph.node.append(helper.make_node("Cast", ["quotients"], ["floats"], name="/floats", to=TensorProto.FLOAT))
    graph.node.append(helper.make_node("ReduceMax", ["floats"], ["largest"], name="/largest", keepdims=0))
    graph.node.append(helper.make_node("Add", ["true_logits", "largest"], [output], name="/sum"))
    onnx.save(model, str(package / MODEL))


def ask_for_memory(package: Path) -> None:
    """A graph whose steps allocate an array of 4 GiB."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(str(package / MODEL), load_external_data=False)
    graph = model.graph
    output = graph.output[0].name
    last = next(node for node in graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "true_logits"
    graph.initializer.append(helper.make_tensor("size_value", TensorProto.INT64, [1], [1 << 30]))
    graph.node.append(helper.make_node("Shape", ["past_seqlens"], ["sequences"], name="/sequences"))
    graph.node.append(helper.make_node("Mul", ["sequences", "size_value"], ["size"], name="/size"))
    graph.node.append(helper.make_node("Cast", ["past_seqlens"], ["pasts"], name="/pasts", to=TensorProto.FLOAT))
    graph.node.append(helper.make_node("ReduceMax", ["pasts"], ["past"], name="/past", keepdims=0))
    graph.node.append(helper.make_node("Expand", ["past", "size"], ["huge"], name="/huge"))
    graph.node.append(helper.make_node("ReduceMin", ["huge"], ["least"], name="/least", keepdims=0))
    graph.node.append(helper.make_node("Add", ["true_logits", "least"], [output], name="/sum"))
    onnx.save(model, str(package / MODEL))


def never_finish(package: Path) -> None:
    """A graph with an endless loop: its first step never ends."""
    import onnx
    from onnx import TensorProto, helper

    def value(name: str, kind: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [])

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"], name="/body/go_on"),
            helper.make_node("Identity", ["turn"], ["turned"], name="/body/turn"),
        ],
        "body",
        [value("round", TensorProto.INT64), value("go_on", TensorProto.BOOL), value("turn", TensorProto.FLOAT)],
        [value("still", TensorProto.BOOL), value("turned", TensorProto.FLOAT)],
    )
    model = onnx.load(str(package / MODEL), load_external_data=False)
    graph = model.graph
    output = graph.output[0].name
    last = next(node for node in graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "true_logits"
    graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    graph.node.append(helper.make_node("Cast", ["past_seqlens"], ["pasts"], name="/pasts", to=TensorProto.FLOAT))
    graph.node.append(helper.make_node("ReduceMax", ["pasts"], ["past"], name="/past", keepdims=0))
    graph.node.append(helper.make_node("Loop", ["", "yes", "past"], ["end"], name="/loop", body=body))
    graph.node.append(helper.make_node("Add", ["true_logits", "end"], [output], name="/sum"))
    onnx.save(model, str(package / MODEL))


def wait_until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait until the condition holds; fails after a generous timeout."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "this did not happen in time"
        time.sleep(0.02)
