"""Signing keys and signatures: Ed25519 (RFC 8032) over manifest.json, which lists every other file with its sha256.

The signature is the 64 bytes in manifest.json.sig, beside the manifest and not listed in it; OpenSSL can check it:
openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in manifest.json -sigfile manifest.json.sig
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from youtu_edge.file_digest import sync
from youtu_edge.package import MANIFEST, open_package
from youtu_export.errors import ExportError

SIGNATURE = f"{MANIFEST}.sig"


def keygen(path: Path) -> Path:
    """Write a new private key to `path`, readable only by its owner, and the public key to `path`.pub; returns that."""
    ed25519, serialization = _library()
    key = ed25519.Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    public_path = path.with_name(f"{path.name}.pub")
    for target, data, mode in ((path, private, 0o600), (public_path, public, 0o644)):
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            raise ExportError(f"{target}: already exists; a key is never overwritten") from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    return public_path


def sign(package: Path, key_file: Path) -> Path:
    """Check every byte of a package, then sign its manifest; returns the signature's path. Replaces an older signature."""
    open_package(package)
    key = read_private_key(key_file)
    temporary = package / f".{SIGNATURE}"
    temporary.write_bytes(key.sign((package / MANIFEST).read_bytes()))
    sync(temporary)
    temporary.rename(package / SIGNATURE)
    sync(package)
    return package / SIGNATURE


def read_private_key(path: Path) -> Any:
    """An Ed25519PrivateKey. Raises ExportError and OSError."""
    ed25519, serialization = _library()
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ExportError(f"{path}: not a private key in PEM form without a password: {error}") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ExportError(f"{path}: not an Ed25519 key; make one with `youtu-export keygen FILE`")
    return key


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ExportError(f"signing needs the Python package cryptography: {error}; pip install cryptography") from None
    return ed25519, serialization
