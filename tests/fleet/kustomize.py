"""What `kubectl kustomize DIR` prints, for the few things that config/fleet/kubernetes uses. Anything else is an error.

resources, namespace, images, configMapGenerator (envs, behavior: merge), patches (strategic merges)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

Document = dict[str, Any]
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
"""Lists that a strategic merge joins by a field of their items; all others it replaces."""
_HASH_LETTERS = str.maketrans("013ae", "ghkmt")
"""kustomize writes no vowels and no digits that look like letters, so that a hash never makes a word."""


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Image(_Strict, rename="camel"):
    name: str
    new_name: str
    new_tag: str


class _Generator(_Strict):
    name: str
    envs: list[str]
    behavior: str = "create"
    namespace: str = ""


class _Patch(_Strict):
    path: str


class _Kustomization(_Strict, rename="camel"):
    api_version: str
    kind: str
    resources: list[str]
    namespace: str = ""
    images: list[_Image] = []
    config_map_generator: list[_Generator] = []
    patches: list[_Patch] = []


def render(directory: Path) -> list[Document]:
    """The documents of the base or overlay in `directory`, with the names of its config maps ending with their hashes."""
    documents = _accumulate(directory)
    renamed = {}
    for document in documents:
        if document["kind"] == "ConfigMap":
            name = document["metadata"]["name"]
            renamed[name] = document["metadata"]["name"] = f"{name}-{_hash(document)}"
    for document in documents:
        for reference in _config_map_references(document):
            reference["name"] = renamed.get(reference["name"], reference["name"])
    return documents


def _accumulate(directory: Path) -> list[Document]:
    settings = msgspec.convert(yaml.safe_load((directory / "kustomization.yaml").read_text("utf-8")), _Kustomization)
    assert settings.kind == "Kustomization"
    documents: list[Document] = []
    for name in settings.resources:
        path = directory / name
        documents += _accumulate(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text("utf-8")))
    for generator in settings.config_map_generator:
        _generate(documents, generator, directory)
    for patch in settings.patches:
        change = yaml.safe_load((directory / patch.path).read_text("utf-8"))
        (target,) = (each for each in documents if _identity(each) == _identity(change))
        _merge(target, change)
    for document in documents:
        if settings.namespace:
            document["metadata"]["namespace"] = settings.namespace
        for image in settings.images:
            _set_image(document, image)
    return documents


def _identity(document: Document) -> tuple[str, str, str]:
    return document["apiVersion"], document["kind"], document["metadata"]["name"]


def _generate(documents: list[Document], generator: _Generator, directory: Path) -> None:
    lines = [line for name in generator.envs for line in (directory / name).read_text("utf-8").splitlines()]
    data = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    made: Document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator.name}, "data": data}
    if generator.behavior == "create":
        documents.append(made)
        return
    assert generator.behavior == "merge"
    (existing,) = (each for each in documents if _identity(each) == _identity(made))
    existing["data"] |= data


def _merge(target: Document, change: Document) -> None:
    """Strategic merge, in place."""
    for key, value in change.items():
        old = target.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value)
        elif isinstance(value, list) and isinstance(old, list) and key in _MERGE_KEYS:
            name = _MERGE_KEYS[key]
            items = {item[name]: item for item in old}
            for item in value:
                _merge(items.setdefault(item[name], {}), item)
            target[key] = list(items.values())
        else:
            target[key] = value


def _set_image(document: Document, image: _Image) -> None:
    spec = document.get("spec", {}).get("template", {}).get("spec", {})
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        if container["image"] == image.name:
            container["image"] = f"{image.new_name}:{image.new_tag}"


def _config_map_references(node: Any) -> Iterator[Document]:
    """Every {name: …} of a configMapRef or a volume's configMap."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("configMapRef", "configMap"):
                yield value
            yield from _config_map_references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _config_map_references(item)


def _hash(config_map: Document) -> str:
    """The first ten hexadecimal digits of the SHA-256 of what is in it, in kustomize's letters. The name is left empty."""
    content = {"data": config_map["data"], "kind": "ConfigMap", "name": ""}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(_HASH_LETTERS)
