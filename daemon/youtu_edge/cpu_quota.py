"""The CPU time that the cgroup allows, as set by `docker run --cpus` and CPUQuota=. It does not say on which cores."""

from __future__ import annotations

import re

from youtu_edge.board_files import BoardFiles

_ROOT = "sys/fs/cgroup"


def cpu_quota(files: BoardFiles) -> float | None:
    """In cores, such as 1.5: the lowest quota of our cgroup and those above it; None if there is no limit."""
    found: list[float] = []
    for entry in (files.text("proc/self/cgroup") or "").splitlines():
        _, controllers, path = [*entry.split(":", 2), "", ""][:3]
        if controllers == "":
            found += _quotas_up(files, _ROOT, path)
        elif "cpu" in controllers.split(","):
            found += _quotas_up(files, f"{_ROOT}/cpu", path)
    return min(found, default=None)


def _quotas_up(files: BoardFiles, root: str, path: str) -> list[float]:
    names = [name for name in path.split("/") if name and name != ".."]
    found = (_quota(files, "/".join([root, *names[:depth]])) for depth in range(len(names), -1, -1))
    return [quota for quota in found if quota]


def _quota(files: BoardFiles, directory: str) -> float | None:
    text = files.text(f"{directory}/cpu.max")
    if text is None:  # version 1
        text = f"{files.text(f'{directory}/cpu.cfs_quota_us')} {files.text(f'{directory}/cpu.cfs_period_us')}"
    found = re.fullmatch(r"(\d+) ([1-9]\d*)", text)
    return int(found[1]) / int(found[2]) if found else None
