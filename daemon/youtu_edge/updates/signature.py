"""Verifies who made a package: an Ed25519 signature (RFC 8032) over manifest.json, which lists every other file's sha256.
The index of a file server is signed in the same way.

`manifest.json.sig` holds the 64 bytes of the signature and nothing else; a key is a PEM file (SubjectPublicKeyInfo) named
*.pub in `updates.trust_dir`. OpenSSL reads both. The only module of the device that imports `cryptography`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from youtu_edge.config import UpdatesConfig
from youtu_edge.errors import ConfigError, PackageError, UpdateError
from youtu_edge.package import MANIFEST
from youtu_edge.regular_file import open_regular
from youtu_edge.updates.archive import SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_SIGNATURE_BYTES = 64
_LARGEST_KEY = 64 * 1024


def check_signature(package: Path, updates: UpdatesConfig) -> str:
    """Verify the signature of the package in `package`; returns the result in words.

    Raises PackageError when the signature is wrong, or missing where one is required; ConfigError for unusable keys.
    """
    try:
        signature: bytes | None = (package / SIGNATURE).read_bytes()
    except FileNotFoundError:
        signature = None
    signed = Signed(MANIFEST, "the package", "`youtu-export sign PACKAGE --key FILE`")
    return check_message((package / MANIFEST).read_bytes(), signature, signed, updates)


@dataclass(frozen=True)
class Signed:
    """What is signed, in words: the file, what it stands for, and the command that signs it. The signature is FILE.sig."""

    file: str
    what: str
    command: str


def check_message(message: bytes, signature: bytes | None, signed: Signed, updates: UpdatesConfig) -> str:
    """Verify the signature (None: there is none) of `message`; returns the result in words. Raises as `check_signature`."""
    keys = trusted_keys(updates)
    required = bool(keys) if updates.require_signature is None else updates.require_signature
    name = f"{signed.file}.sig"
    if signature is None:
        if required:
            raise PackageError(
                f"{signed.what} is not signed ({name}) and this device requires a signature; sign it with {signed.command}"
            )
        return "not signed"
    if not keys:
        if required:
            raise ConfigError(f"updates.require_signature: there is no key in {updates.trust_dir} to verify with")
        return f"signed, not verified: there is no key in {updates.trust_dir}"
    if len(signature) != _SIGNATURE_BYTES:
        raise PackageError(f"{name}: has {len(signature)} bytes instead of {_SIGNATURE_BYTES}; sign {signed.what} again")
    signer = _signer(keys, signature, message)
    if signer is None:
        raise PackageError(
            f"{name}: made by none of the {len(keys)} keys in {updates.trust_dir}, or {signed.file} was changed after "
            "signing; nothing was installed"
        )
    return f"signed by {signer}"


def trusted_keys(updates: UpdatesConfig) -> dict[str, Ed25519PublicKey]:
    """Public keys of updates.trust_dir by file name. Raises ConfigError: an unreadable key must not count as missing."""
    directory = Path(updates.trust_dir)
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".pub")
    except FileNotFoundError:
        if updates.trust_dir != UpdatesConfig().trust_dir:
            raise ConfigError(f"updates.trust_dir: {directory} does not exist") from None
        return {}
    except OSError as error:
        raise ConfigError(f"updates.trust_dir: {directory} cannot be read: {error.strerror}") from None
    return {path.name: _public_key(path) for path in paths}


def _public_key(path: Path) -> Ed25519PublicKey:
    ed25519, load = _library()
    try:
        with open_regular(path) as file:
            key: Any = load(file.read(_LARGEST_KEY))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:  # the library raises many kinds
        raise ConfigError(f"{path}: not a public key in PEM form: {error}") from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ConfigError(f"{path}: not an Ed25519 key; make one with `youtu-export keygen FILE`")
    found: Ed25519PublicKey = key
    return found


def _signer(keys: dict[str, Ed25519PublicKey], signature: bytes, message: bytes) -> str | None:
    from cryptography.exceptions import InvalidSignature

    for name, key in keys.items():
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return name
    return None


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise UpdateError(f"signatures need the Python package cryptography: {error}; pip install cryptography") from None
    return ed25519, load_pem_public_key
