"""Descriptors that warm-up left open: a fork shares them, offset and all."""

from __future__ import annotations

import os
import socket
import stat
from typing import List, NamedTuple, Optional, Set, Tuple

from forkd_runtime.hazards.model import Hazard, cured, refused
from forkd_runtime.inherit import Inheritance, OpenFile

_DELETED = " (deleted)"
_HARMLESS_DEVICES = frozenset(
    "/dev/" + name for name in ("null", "zero", "full", "random", "urandom")
)
_REOPEN_FLAGS = (
    os.O_ACCMODE | os.O_APPEND | os.O_DIRECTORY | os.O_NONBLOCK | os.O_PATH | os.O_CLOEXEC
)
_Finding = Tuple[Hazard, OpenFile]


class _Descriptor(NamedTuple):
    fd: int
    target: str  # what /proc/self/fd says
    mode: int  # st_mode
    flags: int
    offset: int


def open_descriptors() -> Set[int]:
    """All of this process."""
    return {descriptor.fd for descriptor in _scan(set())}


def settle(ours: Set[int], inheritance: Inheritance) -> List[Hazard]:
    found = []
    for descriptor in _scan(ours):
        hazard, file = _judge(descriptor)
        found.append(hazard)
        inheritance.files.append(file)
    return found


def _scan(known: Set[int]) -> List[_Descriptor]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in known:
            try:
                found.append(_look(int(name)))
            except OSError:
                continue  # the descriptor that listed the directory: closed by now
    return found


def _look(fd: int) -> _Descriptor:
    target = os.readlink("/proc/self/fd/%d" % fd)
    position, flags = 0, 0
    with open("/proc/self/fdinfo/%d" % fd, "r") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key == "pos":
                position = int(value)
            elif key == "flags":
                flags = int(value, 8)
    return _Descriptor(fd, target, os.fstat(fd).st_mode, flags, position)


def _judge(descriptor: _Descriptor) -> _Finding:
    mode = descriptor.mode
    if stat.S_ISSOCK(mode):
        return _unusable(descriptor, "socket", describe_socket(descriptor.fd))
    if stat.S_ISFIFO(mode):
        return _unusable(descriptor, "pipe", descriptor.target)
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return _judge_device(descriptor)
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or not descriptor.target.startswith("/"):
        return _unusable(descriptor, "event_fd", descriptor.target)
    return _judge_file(descriptor)


def _judge_device(descriptor: _Descriptor) -> _Finding:
    if descriptor.target in _HARMLESS_DEVICES:
        return _reopened(descriptor, "device")
    name = "cuda" if descriptor.target.startswith("/dev/nvidia") else "device"
    return _unusable(descriptor, name, descriptor.target)


def _judge_file(descriptor: _Descriptor) -> _Finding:
    if descriptor.target.endswith(_DELETED):
        return _unusable(descriptor, "file", descriptor.target)
    access = descriptor.flags & os.O_ACCMODE
    if access == os.O_RDONLY or descriptor.flags & os.O_APPEND:
        return _reopened(descriptor, "file")
    detail = "%s is open for writing at offset %d" % (descriptor.target, descriptor.offset)
    hazard = refused("file", "descriptor %d: %s" % (descriptor.fd, detail))
    return hazard, _private(descriptor, required=False)


def _reopened(descriptor: _Descriptor, name: str) -> _Finding:
    detail = "descriptor %d: %s is opened anew in each child" % (
        descriptor.fd,
        descriptor.target,
    )
    return cured(name, detail), _private(descriptor, required=True)


def _private(descriptor: _Descriptor, required: bool) -> OpenFile:
    flags = descriptor.flags & _REOPEN_FLAGS
    if flags & os.O_ACCMODE != os.O_RDONLY:
        flags |= os.O_CREAT  # written by the parent only: the sandbox may not have it
    return OpenFile(descriptor.fd, descriptor.target, flags, descriptor.offset, required)


def _unusable(descriptor: _Descriptor, name: str, detail: str) -> _Finding:
    hazard = refused(name, "descriptor %d: %s" % (descriptor.fd, detail))
    flags = os.O_RDWR | (descriptor.flags & os.O_CLOEXEC)
    return hazard, OpenFile(descriptor.fd, None, flags, 0, False)


def describe_socket(fd: int) -> str:
    """Family, addresses and state, for people."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            own = _address(sock.getsockname())
            peer = _peer(sock)
            listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            family = getattr(sock.family, "name", str(sock.family))
    except OSError as error:
        return "a socket (%s)" % error
    if listening:
        return "%s listens on %s" % (family, own)
    return "%s %s connected to %s" % (family, own, peer) if peer else "%s %s" % (family, own)


def _peer(sock: socket.socket) -> Optional[str]:
    try:
        return _address(sock.getpeername())
    except OSError:
        return None


def _address(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        return "%s:%s" % address[:2]
    return repr(address) if address else "an unnamed socket"
