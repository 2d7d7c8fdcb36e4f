#!/usr/bin/env python3
"""Print the requirements that the wheels in a directory have on a device and the directory lacks, one per line.

    missing_requirements.py DIR PYTHON_VERSION PROCESSOR     for example: wheels 3.12 aarch64

`pip download --platform` chooses wheels for the device, but evaluates the markers of requirements
(`; python_version < "3.13"`) for the machine that it runs on. Needs pip, whose copy of `packaging` evaluates them here.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name


def missing(directory: Path, python: str, processor: str) -> Iterator[str]:
    """Requirements, without extras, whose project has no wheel in the directory."""
    device = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": processor, "extra": ""}
    device |= {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "implementation_name": "cpython"}
    wheels = sorted(directory.glob("*.whl"))
    have = {canonicalize_name(wheel.name.split("-")[0]) for wheel in wheels}
    for wheel in wheels:
        for text in _requirements(wheel):
            requirement = Requirement(text)
            is_needed = requirement.marker is None or requirement.marker.evaluate(device)
            if is_needed and canonicalize_name(requirement.name) not in have:
                requirement.marker = None
                yield str(requirement)


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
        return HeaderParser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []


if __name__ == "__main__":
    print("\n".join(sorted(set(missing(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))))
