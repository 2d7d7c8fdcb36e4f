"""Compressed request bodies. A few bytes may expand to gigabytes, so they are decompressed piece by piece."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from youtu_edge.request_errors import InvalidRequestError

_PIECE_BYTES = 64 * 1024
_RAW = -zlib.MAX_WBITS
ENCODINGS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""zlib's `wbits` by Content-Encoding. Some clients send `deflate` without zlib's header; see `Inflater`."""


class Inflater:
    """One body. Raises InvalidRequestError for a stream that is corrupt, truncated, or followed by more data."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream = zlib.decompressobj(ENCODINGS[encoding])
        self._is_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decompressed data, in pieces of bounded size."""
        if not self._is_begun and data:
            self._is_begun = True
            # The low half of zlib's first byte is 8 (RFC 1950); no useful raw stream begins like that.
            if self._encoding == "deflate" and data[0] & 0x0F != 8:
                self._stream = zlib.decompressobj(_RAW)
        while data:
            if self._stream.eof:
                raise self._broken("data follows its end")
            try:
                piece = self._stream.decompress(data, _PIECE_BYTES)
            except zlib.error:
                raise self._broken("it is corrupt") from None
            if piece:
                yield piece
            data = self._stream.unconsumed_tail or self._stream.unused_data

    def finish(self) -> None:
        """The body is complete; checks that the stream is, too."""
        if self._is_begun and not self._stream.eof:
            raise self._broken("it is truncated")

    def _broken(self, why: str) -> InvalidRequestError:
        return InvalidRequestError(f"the body is not {self._encoding} as Content-Encoding says: {why}")
