"""A model from a hub gives the same package as its directory; what the hub does not serve is reported in one line."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from export.hub_fixtures import FIRST, NEEDED, SECOND, cache_directory, checkpoint, hub
from export.hub_server import COMMIT, MODEL, HubServer
from export.small_gguf import random_tensors, write_gguf
from youtu_edge.package import read_manifest
from youtu_export.__main__ import main

__all__ = ["checkpoint", "hub"]
Capture = pytest.CaptureFixture[str]


def _export(tmp_path: Path, *arguments: str, source: str = MODEL, format_: str = "hf") -> Path:
    assert main([format_, source, str(tmp_path / "package"), "--no-golden", *arguments]) == 0
    return tmp_path / "package"


def _refusal(capsys: Capture, tmp_path: Path, *arguments: str, source: str = MODEL, format_: str = "hf") -> str:
    """The one line of an export that fails and leaves nothing at its target or beside it."""
    capsys.readouterr()
    assert main([format_, source, str(tmp_path / "package"), "--no-golden", *arguments]) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in ("original", "cache", "files")) == []
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("fetched ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
def test_only_what_is_needed_is_fetched_and_becomes_the_same_package(
    name: str, hub: HubServer, checkpoint: Path, tmp_path: Path
) -> None:
    package = _export(tmp_path, "--from", name)
    assert hub.fetched() == NEEDED
    assert main(["hf", str(checkpoint), str(tmp_path / "local"), "--no-golden", "--name", "Tiny-1"]) == 0
    for file in (tmp_path / "local").iterdir():
        if file.name != "manifest.json":
            assert (package / file.name).read_bytes() == file.read_bytes(), file.name
    fetched, local = read_manifest(package), read_manifest(tmp_path / "local")
    assert msgspec.structs.replace(fetched, source={}, checksum="") == msgspec.structs.replace(
        local, source={}, checksum=""
    )


@pytest.mark.parametrize(
    ("arguments", "hub_name", "revision"),
    [
        ([], "huggingface", "main"),
        (["--revision", "v1"], "huggingface", "v1"),
        (["--revision", COMMIT], "huggingface", COMMIT),
        (["--from", "modelscope"], "modelscope", "master"),
    ],
)
def test_the_commit_is_in_the_manifest_and_in_the_report(
    arguments: list[str], hub_name: str, revision: str, hub: HubServer, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.write_text("The king and the singer. " * 3)
    package = _export(tmp_path, *arguments, "--report", "--report-text", str(text))
    source = read_manifest(package).source
    assert source.pop("sha256")
    assert source == {
        "format": "hf",
        "name": MODEL,
        "hub": hub_name,
        "endpoint": hub.address,
        "revision": revision,
        "commit": COMMIT,
    }
    assert f"* source commit: {COMMIT}" in (package / "report.md").read_text().splitlines()


def test_what_is_there_is_checked_and_not_fetched_again(hub: HubServer, tmp_path: Path) -> None:
    """A commit that is complete needs no network at all; a file that was damaged since is fetched again."""
    _export(tmp_path)
    hub.requests.clear()
    assert main(["hf", MODEL, str(tmp_path / "b"), "--no-golden", "--recipe", "q8", "--revision", COMMIT]) == 0
    assert hub.requests == []
    damaged = cache_directory(tmp_path) / SECOND
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(["hf", MODEL, str(tmp_path / "c"), "--no-golden", "--revision", COMMIT]) == 0
    assert hub.fetched() == {SECOND}
    assert damaged.read_bytes() == content


def test_a_directory_on_this_disk_wins_over_a_hub(
    hub: HubServer, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """And options that only hubs know are refused instead of ignored."""
    monkeypatch.chdir(tmp_path)
    checkpoint.rename(tmp_path / "original" / "here")
    package = _export(tmp_path, source="original/here")
    assert set(read_manifest(package).source) == {"format", "name", "sha256"}
    assert hub.requests == []
    for option in (["--from", "modelscope"], ["--revision", "main"], ["--cache", "x"]):
        assert main(["hf", "original/here", str(tmp_path / "other"), *option]) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert said == f"youtu-export: {option[0]}: only for models on a hub, and original/here is a local path"


@pytest.mark.parametrize("source", ["no-such-directory", "./a/b", "/a/b", "a/b/c", "a b/c", "a/b:c.gguf", "../x"])
def test_what_is_neither_a_directory_nor_the_name_of_a_model(
    source: str, hub: HubServer, tmp_path: Path, capsys: Capture
) -> None:
    assert f"{source}: no such directory, and not the name of a model on a hub" in _refusal(capsys, tmp_path, source=source)
    assert hub.requests == []


def test_a_target_that_exists_is_refused_before_anything_is_fetched(
    hub: HubServer, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "package").mkdir()
    assert main(["hf", MODEL, str(tmp_path / "package")]) == 1
    assert "already exists" in capsys.readouterr().err
    assert hub.requests == []


def test_a_gguf_file_of_a_repository(hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    """Only this file is fetched; another name is answered with those that there are."""
    (tmp_path / "files").mkdir()
    path = write_gguf(tmp_path / "files" / "tiny-q8.gguf", random_tensors())
    hub.files["quantised/tiny-q8.gguf"] = path.read_bytes()
    hub.files["tiny-00001-of-00002.gguf"] = b"GGUF"
    said = _refusal(capsys, tmp_path, source=f"{MODEL}:tiny.gguf", format_="gguf")
    assert f"tiny.gguf: no such file at {COMMIT}; its GGUF files: quantised/tiny-q8.gguf, tiny-00001-of-00002.gguf" in said
    said = _refusal(capsys, tmp_path, source=f"{MODEL}:tiny-00001-of-00002.gguf", format_="gguf")
    assert "one part of a split file" in said
    assert f"write {MODEL}:FILE.gguf" in _refusal(capsys, tmp_path, source=MODEL, format_="gguf")
    assert hub.fetched() == set()
    package = _export(tmp_path, source=f"{MODEL}:quantised/tiny-q8.gguf", format_="gguf")
    assert hub.fetched() == {"quantised/tiny-q8.gguf"}
    manifest = read_manifest(package)
    assert (manifest.name, manifest.source["name"]) == ("tiny-q8", f"{MODEL}:quantised/tiny-q8.gguf")
    assert main(["gguf", str(path), str(tmp_path / "local"), "--no-golden"]) == 0
    assert (tmp_path / "local" / "weights.bin").read_bytes() == (package / "weights.bin").read_bytes()


@pytest.mark.parametrize(("name", "variable"), [("huggingface", "HF_TOKEN"), ("modelscope", "MODELSCOPE_API_TOKEN")])
def test_the_token_comes_from_the_environment_and_goes_to_no_other_host(
    name: str, variable: str, hub: HubServer, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "secret-1"
    assert f"it is private: set {variable}" in _refusal(capsys, tmp_path, "--from", name)
    monkeypatch.setenv(variable, "secret-2")
    said = _refusal(capsys, tmp_path, "--from", name)
    assert f"the token in {variable} may not read it" in said
    assert "secret" not in said
    monkeypatch.setenv(variable, "secret-1")
    hub.requests.clear()
    _export(tmp_path, "--from", name)
    assert {request.authorization for request in hub.requests if request.is_other_host} <= {None}
    assert {request.authorization for request in hub.requests if not request.is_other_host} == {"Bearer secret-1"}
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"secret-1" in content for content in kept)


def test_a_gated_model(hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    """Whether the listing or only the content is refused, with or without a token."""
    for file in ("", "config.json", SECOND):
        for status in (401, 403):
            hub.refusals = {file: (status, "GatedRepo")}
            said = _refusal(capsys, tmp_path)
            assert f"youtu-export: {MODEL}: {f'{file}: ' if file else ''}access is restricted" in said
            assert f"accept its conditions on {hub.address}/{MODEL}/tree/" in said
            assert "set HF_TOKEN to a token" in said


def test_a_wrong_model_or_revision(hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    assert f"no revision 'v2' on {hub.address}" in _refusal(capsys, tmp_path, "--revision", "v2")
    assert f"no revision '../../x' on {hub.address}" in _refusal(capsys, tmp_path, "--revision", "../../x")
    said = _refusal(capsys, tmp_path, source="some-org/other")
    assert f"some-org/other: not a local path, and {hub.address} has no such model" in said
    said = _refusal(capsys, tmp_path, "--from", "modelscope", "--revision", "v2")
    assert "has no such model or no revision 'v2' (no such revision)" in said
    said = _refusal(capsys, tmp_path, "--from", "modelscope", source="some-org/other")
    assert "has no such model or no revision 'master'" in said
    hub.refusals = {"": (500, "")}
    assert "status 500 Internal Server Error" in _refusal(capsys, tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", SECOND])
def test_a_file_that_the_repository_lacks(missing: str, hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    """Before the first gigabyte: nothing but the index is fetched."""
    del hub.files[missing]
    assert f"youtu-export: {MODEL}: {missing}: no such file at {COMMIT}" in _refusal(capsys, tmp_path)
    assert hub.fetched() <= {"model.safetensors.index.json"}


def test_a_repository_without_safetensors_says_what_it_has(hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    hub.files = {path: hub.files[path] for path in ("config.json", "tokenizer.json", "pytorch_model.bin")}
    said = _refusal(capsys, tmp_path)
    assert "only safetensors are read, but the weights are in pytorch_model.bin: look for a converted model" in said
    hub.files = {"tiny-q4.gguf": b"GGUF"}
    assert f"youtu-export gguf {MODEL}:FILE OUT with FILE tiny-q4.gguf" in _refusal(capsys, tmp_path)


def test_an_index_that_leads_out_of_the_directory(hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    for place in ("../../x.safetensors", "/etc/passwd", "a/b.safetensors", ""):
        hub.files["model.safetensors.index.json"] = json.dumps({"weight_map": {"a": place}}).encode()
        (cache_directory(tmp_path).with_suffix(".json")).unlink(missing_ok=True)
        assert "weight_map is empty or names a file outside the directory" in _refusal(capsys, tmp_path)


def test_a_file_that_is_listed_and_not_there(hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    hub.refusals = {FIRST: (404, "EntryNotFound")}
    said = _refusal(capsys, tmp_path)
    assert f"{MODEL}: {FIRST}: {hub.address} lists this file but does not have it" in said


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
@pytest.mark.parametrize("file", ["config.json", SECOND])
def test_a_flipped_bit_is_found(file: str, name: str, hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    """By git's sha1 or by sha256, as the hub describes the file; the next run fetches only this file again."""
    hub.damaged.add(file)
    said = _refusal(capsys, tmp_path, "--from", name)
    kind = "git sha1" if (file, name) == ("config.json", "huggingface") else "sha256"
    assert f"{cache_directory(tmp_path, name) / file}: damaged in transfer: {kind} " in said
    if kind == "sha256":
        assert hashlib.sha256(hub.files[file]).hexdigest() in said
    assert not list(cache_directory(tmp_path, name).rglob(f"{file}*"))
    hub.damaged.clear()
    _export(tmp_path, "--from", name)
    assert len(hub.asked_for(file)) == 2


def test_without_a_network_the_error_says_what_to_copy_and_where(
    hub: HubServer, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (("HF_ENDPOINT", "http://127.0.0.1:9"), ("HF_HUB_OFFLINE", "1")):
        with monkeypatch.context() as without:
            without.setenv(variable, value)
            without.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", variable == "HF_HUB_OFFLINE")
            endpoint = value if variable == "HF_ENDPOINT" else hub.address
            said = _refusal(capsys, tmp_path)
            assert f"{MODEL}: not a local path, and {endpoint} cannot be reached: " in said
            assert (
                f"fetch from {endpoint}/{MODEL}/tree/main elsewhere config.json, tokenizer.json, model.safetensors" in said
            )
            assert "copy them into a directory here and give that instead" in said
            said = _refusal(capsys, tmp_path, source=f"{MODEL}:a.gguf", format_="gguf")
            assert f"fetch a.gguf from {endpoint}/{MODEL}/tree/main elsewhere, copy it here and give its path" in said
    assert hub.requests == []


def test_requests_go_through_the_proxy_of_the_environment(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such host exists, so only the proxy can have answered."""
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.invalid")
    package = _export(tmp_path)
    assert read_manifest(package).source["endpoint"] == "http://mirror.invalid"
    through = [request for request in hub.requests if request.target.startswith("http://mirror.invalid/")]
    assert {request.target for request in through} >= {f"http://mirror.invalid/{MODEL}/resolve/{COMMIT}/config.json"}
    hub.requests = [request for request in hub.requests if request not in through]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HF_ENDPOINT", "mirror"), ("HF_ENDPOINT", "http://["), ("HF_ENDPOINT", "https://"), ("HTTP_PROXY", "gopher://x")],
)
def test_an_unusable_address_in_the_environment_is_named(
    variable: str, value: str, hub: HubServer, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv(variable.lower(), value)
    assert variable in _refusal(capsys, tmp_path)


def test_a_disk_without_room_is_refused_before_the_first_byte(hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
    hub.sizes[SECOND] = 10**18
    said = _refusal(capsys, tmp_path)
    assert f"{cache_directory(tmp_path)}: " in said
    assert "1000000000." in said
    assert "GB remain to be fetched; free some space, or choose another directory: --cache DIR" in said
    assert not hub.asked_for(FIRST)


def test_without_the_library_the_error_names_the_extra(
    hub: HubServer, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'youtu-edge[hub]'" in _refusal(capsys, tmp_path)


def test_a_directory_is_exported_without_importing_the_library(checkpoint: Path, tmp_path: Path) -> None:
    """Also on machines where it is not installed."""
    code = "import sys; sys.modules['huggingface_hub'] = None; from youtu_export.__main__ import main; sys.exit(main())"
    arguments = ["hf", str(checkpoint), str(tmp_path / "package"), "--no-golden"]
    assert subprocess.run([sys.executable, "-c", code, *arguments], check=False).returncode == 0
