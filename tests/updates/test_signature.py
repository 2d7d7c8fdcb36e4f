"""Signatures: made by the exporter, checked by the device, understood by OpenSSL."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from youtu_edge.config import UpdatesConfig
from youtu_edge.errors import ConfigError, PackageError
from youtu_edge.updates.signature import check_signature
from youtu_export.__main__ import main as youtu_export
from youtu_export.errors import ExportError
from youtu_export.sign import SIGNATURE, keygen, sign


@pytest.fixture
def package(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "package"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    keygen(tmp_path / "maker")
    return tmp_path / "maker"


def trusting(tmp_path: Path, *keys: Path, require: bool | None = None) -> UpdatesConfig:
    trust = tmp_path / "trust"
    trust.mkdir(exist_ok=True)
    for path in keys:
        shutil.copy(f"{path}.pub", trust)
    return UpdatesConfig(trust_dir=str(trust), require_signature=require)


def test_a_signed_package_is_known_by_the_name_of_its_key(package: Path, key: Path, tmp_path: Path) -> None:
    keygen(tmp_path / "another")
    sign(package, key)
    assert check_signature(package, trusting(tmp_path, tmp_path / "another", key)) == "signed by maker.pub"


def test_the_private_key_is_readable_by_its_owner_alone_and_never_overwritten(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    with pytest.raises(ExportError, match="never overwritten"):
        keygen(key)
    assert key.read_bytes() == before


def test_openssl_agrees_with_the_signature(package: Path, key: Path) -> None:
    """The formats are the standard ones; a package can be checked without our program."""
    if not shutil.which("openssl"):
        pytest.skip("the program openssl is not installed")
    sign(package, key)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", f"{key}.pub", "-rawin"]
    command += ["-in", package / "manifest.json", "-sigfile", package / SIGNATURE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Verified Successfully" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("require", "trusted", "result"),
    [
        (None, False, "not signed"),
        (False, False, "not signed"),
        (False, True, "not signed"),
        (None, True, None),
        (True, True, None),
        (True, False, None),
    ],
)
def test_an_unsigned_package_is_refused_once_there_is_a_key_or_the_configuration_says_so(
    package: Path, key: Path, tmp_path: Path, require: bool | None, trusted: bool, result: str | None
) -> None:
    updates = trusting(tmp_path, *([key] if trusted else []), require=require)
    if result is None:
        with pytest.raises(PackageError, match="is not signed"):
            check_signature(package, updates)
    else:
        assert check_signature(package, updates) == result


@pytest.mark.parametrize("require", [None, True, False])
def test_a_wrong_signature_is_refused_whatever_the_configuration_says(
    package: Path, key: Path, tmp_path: Path, require: bool | None
) -> None:
    """Of another maker, of another manifest, cut off."""
    updates = trusting(tmp_path, key, require=require)
    keygen(tmp_path / "another")
    sign(package, tmp_path / "another")
    with pytest.raises(PackageError, match="by none of the 1 keys"):
        check_signature(package, updates)
    sign(package, key)
    manifest = package / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"tiny"', b'"Tiny"'))
    with pytest.raises(PackageError, match="was changed after signing"):
        check_signature(package, updates)
    (package / SIGNATURE).write_bytes(bytes(63))
    with pytest.raises(PackageError, match="63 bytes instead of 64"):
        check_signature(package, updates)


def test_a_signature_that_nobody_can_check_does_not_count_as_one(package: Path, key: Path, tmp_path: Path) -> None:
    sign(package, key)
    assert "not verified" in check_signature(package, trusting(tmp_path))
    with pytest.raises(ConfigError, match="no key in"):
        check_signature(package, trusting(tmp_path, require=True))


def test_a_key_that_cannot_be_read_stops_everything_instead_of_trusting_everybody(package: Path, tmp_path: Path) -> None:
    updates = trusting(tmp_path)
    (tmp_path / "trust" / "broken.pub").write_text("no key")
    with pytest.raises(ConfigError, match=r"broken\.pub: not a public key"):
        check_signature(package, updates)
    with pytest.raises(ConfigError, match="nowhere does not exist"):
        check_signature(package, UpdatesConfig(trust_dir=str(tmp_path / "nowhere")))


def test_a_key_of_another_kind_is_refused_by_name(package: Path, key: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    other = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    private = other.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "ec").write_bytes(private)
    updates = trusting(tmp_path, key)
    (tmp_path / "trust" / "ec.pub").write_bytes(public)
    with pytest.raises(ExportError, match="not an Ed25519 key"):
        sign(package, tmp_path / "ec")
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        check_signature(package, updates)


def test_a_damaged_package_is_not_signed(package: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says so in one line and leaves no signature."""
    (package / "weights.bin").write_bytes(b"")
    assert youtu_export(["sign", str(package), "--key", str(key)]) == 1
    assert "weights.bin" in capsys.readouterr().err
    assert not (package / SIGNATURE).exists()
