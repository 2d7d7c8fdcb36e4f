"""A directory in Hugging Face's format as a checkpoint: config.json, safetensors (one or many), tokenizer.json."""

from __future__ import annotations

from pathlib import Path

from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.hf_files import ModelFile, ShardIndex, read_object
from youtu_export.checkpoints.hf_text import read_text_sources
from youtu_export.checkpoints.internlm_names import with_llama_names
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.norm_gains import with_gains
from youtu_export.checkpoints.packed_checkpoints import unpack_tensors
from youtu_export.checkpoints.safetensors_file import read_safetensors
from youtu_export.checkpoints.stored_tensor import StoredTensor
from youtu_export.checkpoints.text_part import text_config, text_tensors
from youtu_export.errors import ExportError
from youtu_export.findings import Findings
from youtu_export.text_assets import settle

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def open_hf(directory: Path) -> Checkpoint:
    """Open a checkpoint directory. Raises ExportError naming the file and what is wrong with it."""
    if not directory.is_dir():
        raise ExportError(f"{directory}: no such directory")
    whole = read_object(directory / CONFIG, ModelFile)
    values, findings = text_config(whole), Findings()
    config = ModelConfig(directory / CONFIG, values)
    stored = text_tensors(whole, _read_tensors(directory, findings), findings)
    tensors = with_llama_names(config, with_gains(config, unpack_tensors(config, stored, findings)))
    config.limit_sizes(tensors.values())
    checkpoint = Checkpoint(directory, "hf", config, tensors, findings=findings)
    checkpoint.assets = settle(checkpoint, read_text_sources(directory, values))
    return checkpoint


def shard_names(index: Path) -> set[str]:
    """The files that an index refers to. Raises ExportError for names that are not plain file names."""
    return set(_places(index).values())


def _places(index: Path) -> dict[str, str]:
    """The file of each tensor."""
    places: dict[str, str] = read_object(index, ShardIndex)["weight_map"]
    if not places or not all(place and Path(place).name == place for place in places.values()):
        raise ExportError(f"{index}: weight_map is empty or names a file outside the directory")
    return places


def _read_tensors(directory: Path, findings: Findings) -> dict[str, StoredTensor]:
    """Tensors by name. For one that is in several shards, the index decides."""
    single = directory / SINGLE
    if not (directory / INDEX).exists():
        return read_safetensors(single)
    places = _places(directory / INDEX)
    if single.exists() and SINGLE not in places.values():
        raise ExportError(f"{single}: the weights exist twice, here and in the files of {INDEX}; remove one of them")
    tensors: dict[str, StoredTensor] = {}
    for place in sorted(set(places.values())):
        for name, tensor in read_safetensors(directory / place).items():
            if places.get(name, place) != place:
                findings.warnings.append(f"{tensor.path}: {name}: ignored; the index refers to {places[name]}")
            elif name in tensors:
                raise ExportError(f"{tensor.path}: {name}: also in {tensors[name].path.name}, and the index lists neither")
            else:
                tensors[name] = tensor
    for name, place in places.items():
        if name not in tensors:
            raise ExportError(f"{directory / place}: {name}: the index lists this tensor, but it is not here")
    return tensors
