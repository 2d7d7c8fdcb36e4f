"""Weights packed for this CPU, kept beside the package so that the next start maps them instead of packing again.

    PACKAGE/prepared/model.onnx      the optimised graph
                     weights.bin     original and packed weights, each at a multiple of a page
                     prepared.json   what it was made from and for, sha256 of the graph and of each piece of the weights,
                                     a probe

The layout belongs to one CPU, one ONNX Runtime and one package. Anything else, any damage, and a probe (the largest logits
of one token) that comes out differently mean that it is not used, never that it is used wrongly. It is made on the device
by `youtu-edge model prepare` and never shipped.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from youtu_edge.config import SchedulerConfig
from youtu_edge.engine.activations import measure_activations, measure_rest
from youtu_edge.engine.packed_layout import align
from youtu_edge.engine.runner import Runner, pack_weights, runtime_version
from youtu_edge.errors import PackageError
from youtu_edge.log import line
from youtu_edge.package import MODEL, WEIGHTS, FileEntry, Manifest, Package, file_entry, read_manifest, sync

log = logging.getLogger("youtu_edge.engine")

DIRECTORY = "prepared"
RECORD = "prepared.json"
PIECE_BYTES = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_PROBE_LOGITS = 8
_STEP = SchedulerConfig()

Probe = list[tuple[int, float]]


class Record(msgspec.Struct, frozen=True):
    """The contents of prepared.json."""

    fingerprint: str
    graph: FileEntry
    weights_size: int
    pieces: list[str]
    """sha256 of each PIECE_BYTES of the weights, so that all cores can check them."""
    probe: Probe
    step: SchedulerConfig
    activations: int
    """Bytes that a step of that size took here; measuring it at each start would cost seconds."""

    def activations_for(self, limits: SchedulerConfig) -> int | None:
        """A bound on the activations of steps within `limits`, if the recorded step was as large."""
        known = self.step.step_tokens >= limits.step_tokens and self.step.max_sequences >= limits.max_sequences
        return self.activations if known else None


class Prepared(msgspec.Struct, frozen=True):
    """A graph whose bytes were checked, with packed weights that were not yet, and the record of how they were made."""

    graph: Path
    record: Record

    @property
    def weights(self) -> Path:
        """The file with the packed weights."""
        return self.graph.with_name(WEIGHTS)

    def damage(self) -> str:
        """What is wrong with the weights, or "". Reads all of them, on all cores and without holding the interpreter."""
        try:
            wrong = [number for number, piece in enumerate(_pieces(self.weights)) if piece != self.record.pieces[number]]
        except (OSError, IndexError) as error:
            return f"{self.weights}: {error}"
        return f"{self.weights} is damaged at {wrong[0] * PIECE_BYTES >> 20} MiB" if wrong else ""


def reject(root: Path, reason: str) -> None:
    """Say that the packed weights are not used, why, and what helps."""
    log.warning(line("prepared_weights", used="no", reason=reason, remedy=f"youtu-edge model prepare {root}"))


def fingerprint(manifest: Manifest, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Names the package, the CPU's instruction sets and ONNX Runtime; equal strings mean an equal layout."""
    wanted = ("model name", "flags", "CPU implementer", "CPU part", "Features")
    lines = {line.strip() for line in cpuinfo.read_text().splitlines() if line.startswith(wanted)}
    text = "\n".join([manifest.checksum, runtime_version(), *sorted(lines)])
    return hashlib.sha256(text.encode()).hexdigest()


def prepare(package: Package) -> Path:
    """Pack the weights and store them; replaces an earlier result at once or not at all.

    Raises PackageError when they cannot be written.
    """
    target = package.root / DIRECTORY
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{DIRECTORY}-", dir=package.root))
    except OSError as error:
        raise PackageError(f"{package.root}: cannot be written: {error.strerror}") from None
    try:
        packed = temporary / "unaligned"
        packed.mkdir()
        pack_weights(package, packed / MODEL, WEIGHTS)
        align(packed / MODEL, packed / WEIGHTS, temporary / MODEL, temporary / WEIGHTS)
        shutil.rmtree(packed)
        expected = _probe(package, None)
        if _probe(package, temporary / MODEL) != expected:
            raise PackageError(f"{target}: the packed weights give other logits than the package; not used")
        record = Record(
            fingerprint=fingerprint(package.manifest),
            graph=file_entry(temporary / MODEL),
            weights_size=(temporary / WEIGHTS).stat().st_size,
            pieces=list(_pieces(temporary / WEIGHTS)),
            probe=expected,
            step=_STEP,
            activations=_activations(package, temporary / MODEL),
        )
        (temporary / RECORD).write_bytes(msgspec.json.encode(record))
        for name in (MODEL, WEIGHTS, RECORD):
            sync(temporary / name)
        shutil.rmtree(target, ignore_errors=True)
        temporary.chmod(0o755)  # mkdtemp's 0700 would lock out the daemon's user, when root prepares
        temporary.rename(target)
        sync(package.root)
    except (OSError, ValueError) as error:
        raise PackageError(f"{target}: cannot be written: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def find_prepared(root: Path) -> Prepared | None:
    """The packed graph if there is one for exactly the package in `root` on this machine; None otherwise, with a log line
    that says why. Its weights are not read: see `Prepared.damage`. Raises PackageError when the package's own manifest is
    damaged."""
    directory = root / DIRECTORY
    try:
        record = msgspec.json.decode((directory / RECORD).read_bytes(), type=Record)
        if record.fingerprint != fingerprint(read_manifest(root)):
            reason = "made for another package, CPU or ONNX Runtime"
        elif file_entry(directory / MODEL) != record.graph:
            reason = f"{directory / MODEL} is damaged"
        elif (directory / WEIGHTS).stat().st_size != record.weights_size:
            reason = f"{directory / WEIGHTS} is truncated"
        else:
            return Prepared(directory / MODEL, record)
    except FileNotFoundError as error:
        if not directory.exists():
            return None
        reason = f"{error.filename} is missing"
    except (OSError, msgspec.DecodeError) as error:
        reason = f"{directory / RECORD}: {error}"
    reject(root, reason)
    return None


def probe(runner: Runner) -> Probe:
    """Ids and values of the largest logits after one token; needs one page of cache."""
    logits = runner.run([0], [1], [0], [[0]], [0])[0]
    ids = logits.argsort(kind="stable")[-_PROBE_LOGITS:]
    return [(int(index), float(logits[index])) for index in ids]


def _pieces(path: Path) -> Iterator[str]:
    """sha256 of each piece of a file, in order."""
    size = path.stat().st_size
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(lambda begin: _piece(path, begin), range(0, size, PIECE_BYTES))


def _piece(path: Path, begin: int) -> str:
    digest, buffer, left = hashlib.sha256(), bytearray(_CHUNK), PIECE_BYTES
    with path.open("rb", buffering=0) as file:
        file.seek(begin)
        while left and (count := file.readinto(buffer)):
            digest.update(memoryview(buffer)[: min(count, left)])
            left -= min(count, left)
    return digest.hexdigest()


def _probe(package: Package, graph: Path | None) -> Probe:
    runner = Runner(package, page_tokens=16, threads=1, spin_us=0, context_length=16, graph=graph)
    runner.allocate_cache(1)
    return probe(runner)


def _activations(package: Package, graph: Path) -> int:
    tokens = _STEP.step_tokens
    runner = Runner(package, page_tokens=16, threads=1, spin_us=0, context_length=tokens, graph=graph)
    measure_rest(runner)
    return measure_activations(runner, tokens, _STEP.max_sequences)
