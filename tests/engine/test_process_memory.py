"""What this process holds of a mapped file, as the kernel counts it."""

from __future__ import annotations

import mmap
from pathlib import Path

from youtu_edge.engine.memory.process_memory import untouched_bytes


def test_a_mapped_file_is_untouched_until_it_is_read(tmp_path: Path) -> None:
    size = 32 * 1024 * 1024
    path = tmp_path / "a file"
    path.write_bytes(b"x" * size)
    assert untouched_bytes(path) == 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as mapped:
        assert untouched_bytes(path) == size
        assert mapped[size // 2] == ord("x")
        assert 0 < untouched_bytes(path) < size
        assert all(mapped[place] == ord("x") for place in range(0, size, 4096))
        assert untouched_bytes(path) == 0
