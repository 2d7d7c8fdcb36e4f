"""What a container engine makes of an image and compose.yaml for its runtime: config.json of the OCI specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from containers.compose import Service, size_bytes

_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2))
"""null, zero, full, random, urandom, tty, ptmx: what every container may use."""


def make_config(
    image: dict[str, Any],
    service: Service,
    *,
    rootfs: Path,
    volumes: dict[str, Path],
    cgroup: str,
    own_cgroup_namespace: bool,
    environment: dict[str, str],
) -> dict[str, Any]:
    """config.json. `image`: the configuration that the Containerfile gave it. `volumes`: a directory for each target."""
    user, _, group = image["User"].partition(":")
    swap = size_bytes(service.memswap_limit)
    variables = dict(line.split("=", 1) for line in image["Env"]) | {"HOSTNAME": service.hostname}
    variables |= service.environment | environment
    namespaces = ["pid", "network", "ipc", "uts", "mount", *(["cgroup"] if own_cgroup_namespace else [])]
    return {
        "ociVersion": "1.0.0",
        "hostname": service.hostname,
        "root": {"path": str(rootfs), "readonly": service.read_only},
        "process": {
            "user": {"uid": int(user), "gid": int(group)},
            "args": [*image["Entrypoint"], *service.command],
            "env": [f"{name}={value}" for name, value in variables.items()],
            "cwd": image["WorkingDir"],
            "capabilities": _capabilities(service),
            "rlimits": [
                {"type": f"RLIMIT_{name.upper()}", "hard": limit, "soft": limit} for name, limit in service.ulimits.items()
            ],
            "noNewPrivileges": "no-new-privileges:true" in service.security_opt,
            "oomScoreAdj": service.oom_score_adj,
        },
        "mounts": [*_SYSTEM_MOUNTS, *map(_tmpfs, service.tmpfs), *_volumes(service, volumes)],
        "linux": {
            "namespaces": [{"type": name} for name in namespaces],
            "cgroupsPath": cgroup,
            "resources": {
                "memory": {"limit": size_bytes(service.mem_limit), **({"swap": swap} if _counts_swap() else {})},
                "pids": {"limit": service.pids_limit},
                "devices": [
                    {"allow": False, "access": "rwm"},
                    *({"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"} for a, b in _DEVICES),
                ],
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


_SYSTEM_MOUNTS: list[dict[str, Any]] = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/shm",
        "type": "tmpfs",
        "source": "shm",
        "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]},
]


def _capabilities(service: Service) -> dict[str, list[str]]:
    assert service.cap_drop == ["ALL"], "the container has no capabilities at all"
    return {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}


def _tmpfs(line: str) -> dict[str, Any]:
    target, _, options = line.partition(":")
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options.split(",")}


def _volumes(service: Service, directories: dict[str, Path]) -> list[dict[str, Any]]:
    return [
        {
            "destination": volume.target,
            "type": "bind",
            "source": str(directories[volume.target]),
            "options": ["rbind", "rprivate", "nosuid", "nodev", "ro" if volume.read_only else "rw"],
        }
        for volume in service.volumes
    ]


def _counts_swap() -> bool:
    """Whether the kernel can limit swap: where it cannot, container engines warn and leave it out."""
    return Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists()
