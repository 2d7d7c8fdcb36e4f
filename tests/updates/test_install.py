"""`youtu-edge model install` as a process: what is installed, what is rejected, what remains on the disk."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from export.package_weights import initializers, place
from updates.installed_packages import checksum, installed, served
from updates_support import Command, ask_for_memory, crash_the_runtime, edited, export_tiny, never_finish, permute_weights
from youtu_edge.errors import EXIT_CONFIG
from youtu_edge.updates.store import ModelStore
from youtu_export.sign import keygen, sign


def test_a_package_is_verified_tried_and_served(first: Path, store: ModelStore, command: Command) -> None:
    done = command("install", str(first))
    assert done.returncode == 0, done.stderr
    assert "48 of 48 golden tokens and their log-probabilities are equal" in done.stdout
    assert served(store) == checksum(first)
    listed = command("list").stdout.splitlines()
    assert len(listed) == 2
    assert listed[1].split()[:3] == [installed(store)[0], "1", "q4"]
    assert listed[1].endswith("active")


def test_an_archive_is_installed_like_a_directory_and_once(first: Path, store: ModelStore, command: Command) -> None:
    subprocess.run(["tar", "-czf", store.root.parent / "a.tar.gz", "-C", first, "."], check=True)
    assert command("install", str(store.root.parent / "a.tar.gz")).returncode == 0
    done = command("install", str(first))
    assert "is installed already" in done.stdout
    assert len(installed(store)) == 1
    assert served(store) == checksum(first)


def refused(command: Command, store: ModelStore, package: Path, reason: str, code: int = EXIT_CONFIG) -> None:
    """The command must fail in one line with the reason, without changing the link or the disk."""
    before = (store.target(), installed(store))
    done = command("install", str(package))
    assert done.returncode == code, done.stdout + done.stderr
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (store.target(), installed(store)) == before
    assert not list(store.versions_directory.glob(".*"))


def test_a_package_that_speaks_nonsense_is_refused(store: ModelStore, command: Command, tmp_path: Path) -> None:
    """Its checksums are right; it just is not the model that was exported. A float package is compared by regret."""
    package = export_tiny(tmp_path, "float", 2, "--recipe", "f32")
    done = command("install", str(package))
    assert "48 of 48 golden tokens are equal, mean regret 0.000" in done.stdout, done.stderr
    refused(command, store, edited(package, tmp_path / "nonsense", permute_weights), "0.2 is allowed; the largest is")


def test_a_reproducible_package_has_to_answer_exactly(store: ModelStore, command: Command, tmp_path: Path) -> None:
    """A probability that moved in its third digit is enough, and where it did is told."""
    package = export_tiny(tmp_path, "exact", 5)

    def move_a_probability(directory: Path) -> None:
        golden = json.loads((directory / "golden.json").read_text())
        golden["prompts"][1]["likely"][2][3][1] += 0.002
        (directory / "golden.json").write_text(json.dumps(golden))

    def exchange_two_tokens(directory: Path) -> None:
        golden = json.loads((directory / "golden.json").read_text())
        likely = golden["prompts"][0]["likely"][0]
        likely[0], likely[1] = likely[1], likely[0]
        (directory / "golden.json").write_text(json.dumps(golden))

    place = "token 3 after 'Water boils at a temperature of': log-probabilities differ by up to 0.0020"
    refused(command, store, edited(package, tmp_path / "moved", move_a_probability), place)
    place = "token 1 after 'The capital of France is' is "
    refused(command, store, edited(package, tmp_path / "exchanged", exchange_two_tokens), place)
    done = command("install", str(package))
    assert "48 of 48 golden tokens and their log-probabilities are equal" in done.stdout, done.stderr


def test_a_stretched_context_is_compared_by_regret(store: ModelStore, command: Command, tmp_path: Path) -> None:
    """Its positions are rotated by other angles, so that nothing can be equal to the last bit."""
    package = export_tiny(tmp_path, "stretched", 6)
    done = command("install", str(package), "--set", "model.context_length=8200", "--set", "model.rope_scaling=linear")
    assert "mean regret" in done.stdout, done.stderr


def test_a_package_that_crashes_the_runtime_is_refused(
    first: Path, second: Path, store: ModelStore, command: Command, tmp_path: Path
) -> None:
    """The crash happens in a separate process."""
    if platform.machine() != "x86_64":
        pytest.skip("this CPU does not trap a division by zero")
    assert command("install", str(first)).returncode == 0
    refused(command, store, edited(second, tmp_path / "crash", crash_the_runtime), "signal SIGFPE")


def test_a_package_that_wants_more_memory_than_the_daemon_has_is_refused(
    second: Path, store: ModelStore, command: Command, tmp_path: Path
) -> None:
    """The trial has the daemon's budget, here 1 GiB; the board's other programs never notice."""
    refused(command, store, edited(second, tmp_path / "hungry", ask_for_memory), "the package crashes the engine")


def test_a_graph_that_is_none_is_refused(second: Path, store: ModelStore, command: Command, tmp_path: Path) -> None:
    broken = edited(second, tmp_path / "broken", lambda package: (package / "model.onnx").write_bytes(bytes(1000)) and None)
    refused(command, store, broken, "ONNX Runtime cannot load it")


def test_another_tokenizer_is_noticed(second: Path, store: ModelStore, command: Command, tmp_path: Path) -> None:
    def cut_otherwise(package: Path) -> None:
        tokenizer = json.loads((package / "tokenizer.json").read_text())
        tokenizer["model"]["merges"] = []
        (package / "tokenizer.json").write_text(json.dumps(tokenizer))

    refused(command, store, edited(second, tmp_path / "tokenizer", cut_otherwise), "tokenizer splits")


def test_a_template_that_cannot_render_a_chat_is_noticed(
    second: Path, store: ModelStore, command: Command, tmp_path: Path
) -> None:
    def refuse(package: Path) -> None:
        (package / "chat_template.jinja").write_text("{{ raise_exception('never') }}")

    refused(command, store, edited(second, tmp_path / "template", refuse), "cannot answer a simple prompt")


def test_a_package_that_never_gets_ready_is_refused_at_the_deadline(
    second: Path, store: ModelStore, command: Command, tmp_path: Path
) -> None:
    endless = edited(second, tmp_path / "endless", never_finish)
    done = command("install", str(endless), "--set", "updates.trial_deadline_s=3")
    assert done.returncode == EXIT_CONFIG
    assert "updates.trial_deadline_s" in done.stderr
    assert installed(store) == []


def test_a_truncated_file_is_refused_by_name(first: Path, store: ModelStore, command: Command, tmp_path: Path) -> None:
    shutil.copytree(first, tmp_path / "cut")
    weights = tmp_path / "cut" / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    refused(command, store, tmp_path / "cut", "weights.bin: has")


def test_a_file_that_the_manifest_does_not_list_is_refused(
    first: Path, store: ModelStore, command: Command, tmp_path: Path
) -> None:
    shutil.copytree(first, tmp_path / "more")
    (tmp_path / "more" / "sitecustomize.py").write_text("print('hello')")
    subprocess.run(["tar", "-cf", tmp_path / "a.tar", "-C", tmp_path / "more", "."], check=True)
    refused(command, store, tmp_path / "a.tar", "sitecustomize.py: the manifest does not list this file")


def test_signatures_decide_as_soon_as_there_is_a_key(
    first: Path, second: Path, store: ModelStore, command: Command, tmp_path: Path
) -> None:
    keygen(tmp_path / "maker")
    keygen(tmp_path / "stranger")
    shutil.copy(tmp_path / "maker.pub", tmp_path / "trust")
    package = Path(shutil.copytree(first, tmp_path / "package"))
    refused(command, store, package, "is not signed")
    sign(package, tmp_path / "stranger")
    refused(command, store, package, "by none of the 1 keys")
    sign(package, tmp_path / "maker")
    (package / "manifest.json.sig").rename(tmp_path / "old.sig")
    shutil.rmtree(package)
    shutil.copytree(second, package)
    (tmp_path / "old.sig").rename(package / "manifest.json.sig")
    refused(command, store, package, "by none of the 1 keys")
    sign(package, tmp_path / "maker")
    assert "signed by maker.pub" in command("install", str(package)).stdout
    assert served(store) == checksum(second)


def test_a_lower_release_needs_to_be_asked_for(first: Path, second: Path, store: ModelStore, command: Command) -> None:
    """An old release may have a fault that the new one has not, even if it is signed."""
    assert command("install", str(second)).returncode == 0
    refused(command, store, first, "--allow-downgrade")
    assert command("install", str(first), "--allow-downgrade").returncode == 0
    assert served(store) == checksum(first)


def test_a_package_whose_scores_are_no_numbers_is_refused(first: Path, store: ModelStore, command: Command) -> None:
    """With golden prompts and without them, as older exporters made them."""

    def spoil(copy: Path) -> None:
        offset, length = place(initializers(copy)["/model/norm/weight"])
        with (copy / "weights.bin").open("r+b") as file:
            file.seek(offset)
            file.write(b"\xff" * length)

    def spoil_and_forget(copy: Path) -> None:
        spoil(copy)
        (copy / "golden.json").unlink()

    for number, edit in enumerate((spoil, spoil_and_forget)):
        done = command("install", str(edited(first, store.root.parent / f"bad-{number}", edit)))
        assert done.returncode == EXIT_CONFIG
        assert "the engine rejects the package" in done.stderr
        assert "NaN" in done.stderr
    assert installed(store) == []


def test_a_package_without_golden_prompts_is_only_tested_for_answering(
    store: ModelStore, command: Command, tmp_path: Path
) -> None:
    package = export_tiny(tmp_path, "plain", 3, "--no-golden")
    done = command("install", str(package), "--no-activate")
    assert "tested only that it answers" in done.stdout
    assert store.target() is None
    assert command("activate", "plain").returncode == 0
    assert served(store) == checksum(package)
