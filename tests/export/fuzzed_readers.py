"""What a mutated file may do to the command that reads it: succeed, or end with one line that names the file.

Readers: `hf` (checkpoints of each family, shards, AWQ and GPTQ), `gguf` (each architecture and kind of tokenizer) and
`package` (what the device reads).
"""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from safetensors.numpy import load_file, save_file

from export import chatglm_first, small_families, small_family_gguf, small_gguf
from export.bounded_run import Ended, run_bounded
from export.mutations import Files, mutated
from tiny_model import make_tiny_checkpoint, make_tiny_package
from youtu_edge import __main__ as device
from youtu_edge.config import ModelConfig
from youtu_edge.engine.model.rope_scaling import served_rope
from youtu_edge.engine.service import load_prompter
from youtu_edge.errors import EXIT_CONFIG, PackageError, one_line
from youtu_edge.front.admission.sampling import read_recommendation
from youtu_edge.golden import GOLDEN, read_golden
from youtu_edge.package import open_package
from youtu_edge.rotary import rotary_tables
from youtu_export.__main__ import main as export

LARGEST_RSS = 500 << 20  # bytes
DEADLINE_S = 10
READERS = ("hf", "gguf", "package")
_GGUF = "model.gguf"


@dataclass(frozen=True)
class Verdict:
    """One case. `fault` is empty for one that ended as it should."""

    seed: int
    sample: str
    what: str
    fault: str
    ended: Ended


def samples(reader: str, directory: Path) -> dict[str, Files]:
    """The undamaged inputs of a reader by name, made below an empty directory."""
    made = dict({"hf": _checkpoints, "gguf": _gguf_files, "package": _packages}[reader](directory))
    return {name: _files(path) for name, path in made.items()}


def cases(reader: str, inputs: dict[str, Files], first_seed: int, *, golden: bool) -> Iterator[Verdict]:
    """Damage the inputs in turn and judge, for ever. Case number i has the seed `first_seed` + i.

    golden: let the exporter run what it made, which takes most of the time.
    """
    names = sorted(inputs)
    for seed in itertools.count(first_seed):
        sample = names[seed % len(names)]
        files, what = mutated(Random(seed), inputs[sample])
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory) / "source"
            _write(source, files)
            target = source / _GGUF if reader == "gguf" else source
            ended = run_bounded(_command(reader, target, Path(directory) / "out", golden=golden), DEADLINE_S)
        expected = EXIT_CONFIG if reader == "package" else 1
        yield Verdict(seed, sample, what, fault(ended, source, expected), ended)


def _command(reader: str, source: Path, out: Path, *, golden: bool) -> Callable[[], int]:
    if reader == "package":
        return lambda: _read_package(source)
    options = [] if golden else ["--no-golden"]
    return lambda: export([reader, str(source), str(out), *options])


def _read_package(directory: Path) -> int:
    """The commands of the device, and after them what engine and front read before they serve."""
    for action in ("show", "verify"):
        code = device.main(["model", action, str(directory)])
        if code:
            return code
    try:
        package = open_package(directory)
        rope, context = served_rope(package.manifest, ModelConfig())
        rotary_tables(rope, min(context, 64))
        len(package.manifest.cache.input_names)
        load_prompter(package)
        read_recommendation(directory)
        if GOLDEN in package.manifest.files:
            read_golden(package.path(GOLDEN))
    except PackageError as error:
        print(f"youtu-edge: {one_line(error.message)}", file=sys.stderr)
        return error.exit_code
    return 0


def fault(ended: Ended, source: Path, expected: int) -> str:
    """A short description of a wrong outcome, suitable for counting. `expected`: the exit code of a rejection."""
    if ended.trace:
        return f"traceback: {ended.trace.strip().splitlines()[-1].split(':')[0]}"
    if ended.signal in (signal.SIGALRM, signal.SIGXCPU, signal.SIGKILL):
        return f"not done after {DEADLINE_S} s"
    if ended.signal:
        return f"signal {ended.signal}"
    if ended.rss_bytes > LARGEST_RSS:
        return "memory"
    if ended.code not in (0, expected):
        return f"exit code {ended.code}"
    lines = ended.lines()
    if ended.code == 0:
        return "lines of a success" if lines else ""
    if len(lines) != 1:
        return f"{len(lines)} lines"
    if str(source) not in lines[0]:
        return "names no file"
    return "" if lines[0].isprintable() else "control characters"


def _checkpoints(directory: Path) -> Iterator[tuple[str, Path]]:
    (directory / "llama").mkdir()
    yield "llama", _with_settings(make_tiny_checkpoint(directory / "llama"))
    for family, config in small_families.CONFIGS.items():
        tensors = small_families.random_tensors(config)
        yield family, _with_settings(small_families.write_checkpoint(directory / family, config, tensors))
    rope = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32, "mscale": 0.7,
            "mscale_all_dim": 0.7}  # fmt: skip
    config = small_families.CONFIGS["youtu"] | {"rope_parameters": rope}
    yield "yarn", small_families.write_checkpoint(directory / "yarn", config, small_families.random_tensors(config))
    yield "chatglm-6b", chatglm_first.write_checkpoint(directory / "chatglm-6b", chatglm_first.random_tensors())
    yield "sharded", _sharded(shutil.copytree(directory / "llama", directory / "sharded"))
    for method in ("awq", "gptq", "compressed-tensors"):
        yield method, _quantised(shutil.copytree(directory / "llama", directory / method), method)


def _with_settings(directory: Path) -> Path:
    """The other files that a checkpoint has."""
    settings = {
        "bos_token": {"content": "<|im_start|>"},
        "eos_token": "<|im_end|>",
        "add_bos_token": False,
        "chat_template": "{{ messages[0].content }}",
        "added_tokens_decoder": {"0": {"content": "<|endoftext|>"}},
    }
    generation = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "eos_token_id": [2, 0], "do_sample": True}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    (directory / "generation_config.json").write_text(json.dumps(generation))
    (directory / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<|im_end|>"}}))
    return directory


def _sharded(directory: Path) -> Path:
    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    places = {name: f"model-{1 + index % 2}-of-2.safetensors" for index, name in enumerate(tensors)}
    for place in set(places.values()):
        save_file({name: tensor for name, tensor in tensors.items() if places[name] == place}, directory / place)
    (directory / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": places})
    )
    return directory


def _quantised(directory: Path, method: str) -> Path:
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": True}
    group = {"targets": ["Linear"], "input_activations": None, "weights": weights}
    settings = {"quant_method": method, "bits": 4, "group_size": 32}
    if method == "compressed-tensors":
        settings = {"quant_method": method, "format": "pack-quantized", "config_groups": {"group_0": group}}
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    random, tensors = np.random.default_rng(0), load_file(directory / "model.safetensors")
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        (rows, columns), prefix = tensors.pop(name).shape, name.removesuffix("weight")
        shapes = {
            "awq": {"qweight": (columns, rows // 8), "qzeros": (columns // 32, rows // 8)},
            "gptq": {"qweight": (columns // 8, rows), "qzeros": (columns // 32, rows // 8)},
            "compressed-tensors": {"weight_packed": (rows, columns // 8)},
        }[method]
        for part, shape in shapes.items():
            low, high = (0, 0x66666666) if part == "qzeros" else (-(2**31), 2**31)
            tensors[prefix + part] = (random.integers(low, high, shape, np.int64) & 0x77777777).astype(np.int32)
        scales = "weight_scale" if method == "compressed-tensors" else "scales"
        shape = (rows, columns // 32) if method == "compressed-tensors" else (columns // 32, rows)
        tensors[prefix + scales] = np.full(shape, 0.01, np.float16)
    save_file(tensors, directory / "model.safetensors")
    return directory


def _gguf_files(directory: Path) -> Iterator[tuple[str, Path]]:
    def at(name: str) -> Path:
        (directory / name).mkdir()
        return directory / name / _GGUF

    kinds = {"blk.0.attn_q.weight": "Q4_0", "blk.0.ffn_up.weight": "Q8_0", "blk.0.ffn_gate.weight": "F16"}
    tensors = small_gguf.random_tensors()
    small_gguf.write_gguf(at("llama"), tensors, kinds, metadata={"tokenizer.chat_template": "{{ messages[0].content }}"})
    yield "llama", directory / "llama"
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "ab", "▁ab"]
    tokens += [f"x{index}" for index in range(len(tensors["token_embd.weight"]) - len(tokens))]
    pieces = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [-float(index) for index in range(len(tokens))],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259),
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.pre": None,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
    }
    small_gguf.write_gguf(at("pieces"), tensors, metadata=pieces)
    yield "pieces", directory / "pieces"
    for family, config in small_families.CONFIGS.items():
        more = {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0, "rope__scaling__original_context_length": 32,
                "rope__scaling__yarn_log_multiplier": 0.07}  # fmt: skip
        changes = more if family == "youtu" else {}
        small_family_gguf.write_family_gguf(at(family), config, small_families.random_tensors(config), **changes)
        yield family, directory / family


def _packages(directory: Path) -> Iterator[tuple[str, Path]]:
    yield "tiny", make_tiny_package(directory / "tiny", recipe="q4", layers=1)
    (directory / "source").mkdir()
    checkpoint = _with_settings(make_tiny_checkpoint(directory / "source", layers=1))
    if export(["hf", str(checkpoint), str(directory / "golden")]):
        raise AssertionError("the undamaged checkpoint is refused")
    yield "golden", directory / "golden"


def _files(directory: Path) -> Files:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def _write(directory: Path, files: Files) -> None:
    directory.mkdir()
    for name, data in files.items():
        (directory / name).write_bytes(data)
