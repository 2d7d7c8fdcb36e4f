"""A package appears complete or not at all, and making it needs little memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tiny_model import make_tiny_checkpoint, make_tiny_package
from youtu_edge.package import open_package
from youtu_export.__main__ import main
from youtu_export.package_directory import new_directory

ROOT = Path(__file__).resolve().parents[2]


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT / "daemon"), str(ROOT / "export")]
    code = f"import sys; sys.path[:0] = {paths!r}\n" + code
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_an_existing_package_is_replaced_only_with_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --force the old one stays as it is; with it the new one stands there alone."""
    (tmp_path / "checkpoint").mkdir()
    checkpoint = str(make_tiny_checkpoint(tmp_path / "checkpoint", seed=1))
    package = make_tiny_package(tmp_path / "package")
    before = (package / "manifest.json").read_bytes()
    assert main(["hf", checkpoint, str(package)]) == 1
    assert f"{package}: already exists" in capsys.readouterr().err
    assert (package / "manifest.json").read_bytes() == before
    assert main(["hf", checkpoint, str(package), "--force", "--name", "new"]) == 0
    assert open_package(package).manifest.name == "new"
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "package"]


def test_force_never_replaces_anything_else_than_a_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped OUT must not delete files."""
    (tmp_path / "checkpoint").mkdir()
    checkpoint = str(make_tiny_checkpoint(tmp_path / "checkpoint"))
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter").write_text("dear")
    assert main(["hf", checkpoint, str(tmp_path / "documents"), "--force"]) == 1
    assert "not a model package" in capsys.readouterr().err
    assert (tmp_path / "documents" / "letter").read_text() == "dear"


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    """Neither the temporary directory nor a half-written package."""

    def fail() -> None:
        with new_directory(tmp_path / "package", force=False) as directory:
            (directory / "weights.bin").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: both make write() fail."""
    (tmp_path / "checkpoint").mkdir()
    checkpoint = make_tiny_checkpoint(tmp_path / "checkpoint")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "from youtu_export.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    done = _python(code, "hf", str(checkpoint), str(tmp_path / "package"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"youtu-export: {tmp_path / 'package'}: File too large"
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["checkpoint"]


def test_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    """The same as Ctrl-C: exit code 130 and a clean directory."""
    (tmp_path / "checkpoint").mkdir()
    checkpoint = make_tiny_checkpoint(tmp_path / "checkpoint")
    code = (
        "import os, signal; from youtu_export import __main__ as command; from youtu_export.quantise import weights_file\n"
        "weights_file.WeightsFile.append = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(command.main(sys.argv[1:]))"
    )
    done = _python(code, "hf", str(checkpoint), str(tmp_path / "package"))
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "youtu-export: interrupted; nothing was written"
    assert os.listdir(tmp_path) == ["checkpoint"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """270 MB of weights are written with less than four times the largest matrix plus 150 MB: less than all of them.

    Golden prompts come after that and need the memory of running the model."""
    (tmp_path / "checkpoint").mkdir()
    checkpoint = make_tiny_checkpoint(tmp_path / "checkpoint", layers=1)
    hidden, feed_forward, layers = 1024, 4096, 4
    _widen(checkpoint, hidden, feed_forward, layers)
    largest = hidden * feed_forward * 4
    # Not ru_maxrss, which a child inherits from the process that forked it.
    code = (
        "from youtu_export.__main__ import main; code = main(sys.argv[1:])\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]); sys.exit(code)"
    )
    for recipe in ("q4", "f32"):
        done = _python(code, "hf", str(checkpoint), str(tmp_path / recipe), "--recipe", recipe, "--no-golden")
        assert done.returncode == 0, done.stderr
        peak = int(done.stdout.splitlines()[-1]) * 1024
        assert peak < 4 * largest + 150e6, (recipe, peak)


def _widen(checkpoint: Path, hidden: int, feed_forward: int, layers: int) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {"hidden_size": hidden, "intermediate_size": feed_forward, "num_hidden_layers": layers, "head_dim": 64}
    config |= {"num_attention_heads": hidden // 64, "num_key_value_heads": hidden // 64}
    (checkpoint / "config.json").write_text(json.dumps(config))
    random, square, tall = np.random.default_rng(0), (hidden, hidden), (feed_forward, hidden)
    shapes: dict[str, tuple[int, ...]] = {"model.norm": (hidden,), "model.embed_tokens": (config["vocab_size"], hidden)}
    shapes["lm_head"] = shapes["model.embed_tokens"]
    for layer in range(layers):
        path = f"model.layers.{layer}"
        shapes |= {f"{path}.self_attn.{part}_proj": square for part in ("q", "k", "v", "o")}
        shapes |= {f"{path}.mlp.gate_proj": tall, f"{path}.mlp.up_proj": tall, f"{path}.mlp.down_proj": tall[::-1]}
        shapes |= {f"{path}.{norm}": (hidden,) for norm in ("input_layernorm", "post_attention_layernorm")}
    tensors = {f"{name}.weight": random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    save_file(tensors, checkpoint / "model.safetensors")
