"""The exporter's error."""

from __future__ import annotations

from youtu_edge.errors import YoutuEdgeError


class ExportError(YoutuEdgeError):
    """The checkpoint cannot be exported; the message starts with the file and names the tensor or key."""

    code = "export_failed"
