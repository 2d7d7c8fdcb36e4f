"""What `youtu-edge serve` does before the front is there."""

from __future__ import annotations

import os
import ssl

import pytest

from youtu_edge.cli.serve import without_authorities


def test_contexts_have_no_authorities_meanwhile_and_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with without_authorities():
        assert not ssl.create_default_context().get_ca_certs()
    assert os.environ["SSL_CERT_FILE"] == "/nowhere/ca.pem"
    assert "SSL_CERT_DIR" not in os.environ
