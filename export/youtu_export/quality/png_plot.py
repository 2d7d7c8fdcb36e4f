"""A bar chart as PNG without any library: bars, horizontal lines and digits, no letters.

PNG (ISO/IEC 15948): signature, then chunks length | type | data | CRC-32; IHDR, PLTE, IDAT with zlib-packed rows, IEND.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

_PALETTE = ((255, 255, 255), (40, 40, 40), (205, 205, 205), (31, 119, 180), (255, 127, 14), (44, 160, 44), (148, 103, 189))
_INK, _GRID, _FIRST = 1, 2, 3
COLOURS = ("blue", "orange", "green", "purple")
_HEIGHT, _LEFT, _BORDER = 300, 46, 16
_GLYPHS = {
    "0": (7, 5, 5, 5, 7), "1": (2, 6, 2, 2, 7), "2": (7, 1, 7, 4, 7), "3": (7, 1, 7, 1, 7), "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7), "6": (7, 4, 7, 5, 7), "7": (7, 1, 1, 1, 1), "8": (7, 5, 7, 5, 7), "9": (7, 5, 7, 1, 7),
    ".": (0, 0, 0, 0, 2), "-": (0, 0, 7, 0, 0),
}  # fmt: skip
_GLYPH_SIZE = 2


def bar_chart(values: Sequence[float], groups: Sequence[int]) -> bytes:
    """PNG of one bar per value, from zero up, coloured by group (modulo the number of COLOURS)."""
    width = max(2, 900 // max(1, len(values)))
    bar = max(1, width - 1)
    image = np.zeros((_HEIGHT + 2 * _BORDER, _LEFT + width * len(values) + _BORDER), np.uint8)
    top = _nice(max([*values, 1e-9]))
    for part in range(5):
        y = _BORDER + _HEIGHT - part * _HEIGHT // 4
        image[y, _LEFT - 4 :] = _INK if part == 0 else _GRID
        _write(image, f"{top * part / 4:.3f}", 2, y - 5)
    for index, (value, group) in enumerate(zip(values, groups, strict=True)):
        height = round(min(1.0, value / top) * _HEIGHT)
        left = _LEFT + index * width
        image[_BORDER + _HEIGHT - height : _BORDER + _HEIGHT, left : left + bar] = _FIRST + group % len(COLOURS)
    return _png(image)


def _nice(largest: float) -> float:
    """The smallest of 1, 2, 4, 6, 8 times a power of ten that is not below `largest`."""
    power = 10.0 ** np.floor(np.log10(largest))
    return float(next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= largest * (1 - 1e-9)))


def _write(image: Image, text: str, x: int, y: int) -> None:
    for character in text:
        for row, bits in enumerate(_GLYPHS[character]):
            for column in range(3):
                if bits >> (2 - column) & 1:
                    left, upper = x + column * _GLYPH_SIZE, y + row * _GLYPH_SIZE
                    image[upper : upper + _GLYPH_SIZE, left : left + _GLYPH_SIZE] = _INK
        x += 4 * _GLYPH_SIZE


def _png(image: Image) -> bytes:
    height, width = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # eight bits, palette
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image], axis=1).tobytes()  # filter byte 0 before every row
    palette = bytes(value for colour in _PALETTE for value in colour)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
