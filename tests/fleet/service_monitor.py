"""What config/fleet/kubernetes uses of a ServiceMonitor, by the Prometheus operator's reference; all else is an error."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class _SecretKey(_Strict):
    name: str
    key: str


class _Authorization(_Strict):
    type: Literal["Bearer"]
    credentials: _SecretKey


class _Relabeling(_Strict):
    source_labels: list[str]
    target_label: str


class _Endpoint(_Strict):
    port: str
    path: str
    interval: str
    authorization: _Authorization
    relabelings: list[_Relabeling]


class _Selector(_Strict):
    match_labels: dict[str, str]


class _Spec(_Strict):
    job_label: str
    selector: _Selector
    endpoints: list[_Endpoint]


class _Metadata(_Strict):
    name: str
    namespace: str


class ServiceMonitor(_Strict):
    """The document. `job_label`: of the service, its value is the job in Prometheus; `selector`: labels of the service."""

    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["ServiceMonitor"]
    metadata: _Metadata
    spec: _Spec

    @classmethod
    def read(cls, document: dict[str, Any]) -> ServiceMonitor:
        """Raises msgspec.ValidationError."""
        return msgspec.convert(document, cls)

    @property
    def selector(self) -> dict[str, str]:
        """Labels of the services whose endpoints are asked."""
        return self.spec.selector.match_labels

    @property
    def endpoints(self) -> list[_Endpoint]:
        """What is asked of each."""
        return self.spec.endpoints

    @property
    def job_label(self) -> str:
        """The label of the service that names the job."""
        return self.spec.job_label
