"""Memory that is shared for writing: children would see each other's changes."""

from __future__ import annotations

from typing import Iterable, List, NamedTuple, Optional

from forkd_runtime.hazards.model import Hazard, cured, refused, warned
from forkd_runtime.inherit import Inheritance, Mapping

_REPLACED_MAX = 64 * 1048576  # bytes of shared memory that each child copies
# Memory without a file behind it, or with one that nobody can open by a name any more
_ANONYMOUS = ("/dev/zero", "/dev/shm/", "/memfd:", "/SYSV")


class Shared(NamedTuple):
    """A writable shared mapping."""

    address: int
    length: int
    path: str


def settle(inheritance: Inheritance) -> List[Hazard]:
    with open("/proc/self/maps", "r", encoding="utf-8", errors="surrogateescape") as file:
        lines = file.readlines()
    found = []
    for shared in writable_shared(lines):
        hazard = _judge(shared)
        found.append(hazard)
        if hazard.action == "cured":
            inheritance.mappings.append(Mapping(shared.address, shared.length))
    return found + _cuda(lines)


def writable_shared(lines: Iterable[str]) -> List[Shared]:
    """Of /proc/self/maps: those with the flags w and s."""
    found = []
    for line in lines:
        fields = line.rstrip("\n").split(None, 5)
        permissions = fields[1]
        if permissions[1] != "w" or permissions[3] != "s":
            continue
        low, high = (int(address, 16) for address in fields[0].split("-"))
        found.append(Shared(low, high - low, fields[5] if len(fields) == 6 else ""))
    return found


def _judge(shared: Shared) -> Hazard:
    if shared.path.startswith("/dev/nvidia"):
        return refused("cuda", "%s is mapped" % shared.path)
    what = "%d kB of %s" % (shared.length // 1024, shared.path or "anonymous memory")
    anonymous = not shared.path or shared.path.startswith(_ANONYMOUS)
    if not anonymous:
        return refused("shared_mapping", what + " are mapped for writing")
    if shared.length > _REPLACED_MAX:
        return refused("shared_mapping", what + " are too many to copy for each child")
    return cured("shared_mapping", what + ": each child gets a copy of its own")


def _cuda(lines: Iterable[str]) -> List[Hazard]:
    path: Optional[str] = next((line for line in lines if "/libcuda.so" in line), None)
    if path is None:
        return []
    detail = "%s is loaded: a GPU that was used in warm-up cannot be used in children"
    return [warned("cuda", detail % path.split(None, 5)[5].strip())]
