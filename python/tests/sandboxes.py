"""A small stand-in for launcher and warden: namespaces made with plain system calls.

`in_user_namespace` runs a test as PID 1 of namespaces of its own; there a Warden owns a zygote,
and an Agent is PID 1 of one sandbox.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from typing import Any, Callable, Dict, List, Optional, Sequence

from serving import DEADLINE, ENVIRONMENT, PYTHON, ROOT, Peer

from forkd_runtime import frames, syscalls

_libc = ctypes.CDLL(None, use_errno=True)
_OTHER_NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)
_MS_PRIVATE_REC = (1 << 18) | (1 << 14)
UID_BASE = 100000


def _check(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (call, os.strerror(code)))


def unshare(kinds: int) -> None:
    _check(_libc.unshare(kinds), "unshare(%#x)" % kinds)


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    _check(
        _libc.mount(source.encode(), target.encode(), kind.encode(), flags, None),
        "mount %s" % target,
    )


class Agent:
    """PID 1 of a sandbox: namespaces prepared, the user namespace last."""

    def __init__(self, name: str) -> None:
        home = os.open("/proc/self/ns/pid", os.O_RDONLY)
        ready_read, ready_write = os.pipe()
        mapped_read, mapped_write = os.pipe()
        unshare(syscalls.CLONE_NEWPID)
        self.pid = os.fork()
        if self.pid == 0:
            self._prepare(name, ready_write, mapped_read)
        syscalls.setns(home, syscalls.CLONE_NEWPID)
        os.close(home)
        os.close(ready_write)
        assert os.read(ready_read, 1) == b"u"
        for kind in ("uid", "gid"):
            with open("/proc/%d/%s_map" % (self.pid, kind), "w") as file:
                file.write("0 0 65536\n")
        os.write(mapped_write, b"m")
        assert os.read(ready_read, 1) == b"r"
        self.pidfd = os.pidfd_open(self.pid)

    def _prepare(self, name: str, ready: int, mapped: int) -> None:
        try:
            syscalls.close_from(3, (ready, mapped))  # channels of the test end when it closes them
            unshare(_OTHER_NAMESPACES)
            mount("none", "/", "none", _MS_PRIVATE_REC)
            mount("proc", "/proc", "proc")
            socket.sethostname(name)
            unshare(syscalls.CLONE_NEWUSER)
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)  # else uid_map cannot be written
            os.write(ready, b"u")
            assert os.read(mapped, 1) == b"m"
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            os.write(ready, b"r")
            while True:
                signal.pause()
        except BaseException as error:
            sys.stderr.write("agent: %r\n" % error)
            os._exit(1)

    def kill(self) -> None:
        """Its end is seen only when the zygote has reaped its runtime."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pidfd)


class Warden:
    """Owns a zygote."""

    def __init__(self, spec: Dict[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        theirs_fd = theirs.fileno()

        def descriptor_3() -> None:
            os.dup2(theirs_fd, 3)
            syscalls.close_from(4)

        self.process = subprocess.Popen(
            [PYTHON, "-m", "forkd_runtime.zygote"],
            preexec_fn=descriptor_3,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**ENVIRONMENT, "PYTHONPATH": ROOT, "SECRET": "of the zygote"},
        )
        theirs.close()
        self.peer = Peer(ours.detach())
        data = json.dumps(spec).encode()
        self.peer.channel.send(frames.WARM, 1, ((frames.K_DATA, data),))
        self.warmed = self.peer.next()
        self._request = 1

    def enter(
        self,
        pidfd: int,
        name: str,
        seccomp: Optional[bytes] = None,
        cgroups: Sequence[int] = (),
    ) -> Peer:
        """Sends ENTER; returns the runtime channel without waiting for any answer."""
        ours, theirs = socket.socketpair()
        self._request += 1
        fields: List[Any] = [(frames.K_NAME, name), (frames.K_ENV, "HOSTNAME=" + name)]
        if seccomp is not None:
            fields.append((frames.K_DATA, seccomp))
        fds = (pidfd, theirs.fileno(), *cgroups)
        self.peer.channel.send_with_fds(frames.ENTER, self._request, fields, fds)
        theirs.close()
        return Peer(ours.detach())

    def close(self) -> int:
        """Ends the zygote by closing its channel; its exit status."""
        self.peer.channel.close()
        return self.process.wait(DEADLINE)


def in_user_namespace(body: Callable[[], None]) -> int:
    """Runs body() as PID 1 and root of a fresh user namespace; its exit status."""
    unshared_read, unshared_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(mapped_write)
        unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWPID | _OTHER_NAMESPACES)
        os.write(unshared_write, b"u")
        assert os.read(mapped_read, 1) == b"m"
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        first = os.fork()
        if first == 0:
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            _body_as_init(body)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)
    assert os.read(unshared_read, 1) == b"u"
    for kind in ("uid", "gid"):
        with open("/proc/%d/%s_map" % (child, kind), "w") as file:
            file.write("0 %d 65536\n" % UID_BASE)
    os.write(mapped_write, b"m")
    for fd in (unshared_read, unshared_write, mapped_read, mapped_write):
        os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _body_as_init(body: Callable[[], None]) -> None:
    try:
        mount("none", "/", "none", _MS_PRIVATE_REC)
        mount("proc", "/proc", "proc")
        body()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
