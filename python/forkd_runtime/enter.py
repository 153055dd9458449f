"""From the zygote into a prepared sandbox: fork, namespaces, and the loss of every privilege.

Whatever can be made before the fork is made there: each page that a child writes to is copied.
"""

from __future__ import annotations

import os
from typing import Dict, List, NoReturn, Optional

from forkd_runtime import frames, syscalls
from forkd_runtime.channel import close_all
from forkd_runtime.frames import Frame
from forkd_runtime.spawn import read_environment

# One call for all of them: the credentials of the user namespace are needed for the others.
_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)
FAILED = 70  # exit code of a child that could not enter


class Home:
    """The zygote's own pid namespace and what the kernel is like."""

    def __init__(self) -> None:
        self.pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self.last_capability = syscalls.last_capability()
        # user_namespaces(7): an ordinary user's namespaces keep the groups of that user.
        with open("/proc/self/setgroups") as file:
            self.may_set_groups = file.read().strip() != "deny"


class Crossing:
    """A request to fork into other namespaces. Owns its descriptors: the pidfd of a process that
    has them, `own` others, and those of control groups."""

    def __init__(self, frame: Frame, home: Home, own: int) -> None:
        self._fds = frame.fds
        name = frame.text(frames.K_NAME)
        if not name or len(frame.fds) <= own:
            raise frames.ProtocolError(
                "frame %#x needs a name and more than %d descriptors" % (frame.type, own)
            )
        self.name: str = name
        self._pidfd = frame.fds[0]
        self._cgroups: List[int] = frame.fds[1 + own :]
        self._home = home

    def close(self) -> None:
        close_all(self._fds)

    def fork(self) -> int:
        """As os.fork(): the child is in the sandbox's pid namespace, nothing else yet."""
        syscalls.setns(self._pidfd, syscalls.CLONE_NEWPID)
        try:
            pid = os.fork()
        except OSError:
            syscalls.setns(self._home.pid_namespace, syscalls.CLONE_NEWPID)
            raise
        if pid:
            # Until then the kernel refuses to make threads, and a next fork would go astray.
            syscalls.setns(self._home.pid_namespace, syscalls.CLONE_NEWPID)
        return pid

    def cross(self) -> None:
        """In the child. OSError when the kernel refuses something: then it must not go on."""
        # Out of the zygote's process group: kill(0, ...) reaches over pid namespaces.
        os.setsid()
        for fd in self._cgroups:
            os.write(fd, b"0")
        syscalls.setns(self._pidfd, _NAMESPACES)
        os.chdir("/")
        if self._home.may_set_groups:
            os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


class Entry(Crossing):
    """One ENTER request: a runtime in a sandbox."""

    def __init__(self, frame: Frame, home: Home, workdir: Optional[str]) -> None:
        super().__init__(frame, home, 1)
        self.socket = frame.fds[1]
        self._env: Dict[str, str] = read_environment(frame.texts(frames.K_ENV))
        program = frame.data(frames.K_DATA)
        self._seccomp = syscalls.SeccompProgram(program) if program else None
        self._workdir = workdir

    def enter(self) -> None:
        """In the child; as `cross`."""
        self.cross()
        self._replace_descriptors()
        self._drop_privileges()
        self._change_directory()
        os.environ.update(self._env)

    def _replace_descriptors(self) -> None:
        # The old ones show paths of the host in /proc/self/fd.
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        syscalls.close_from(3, (self.socket,))

    def _drop_privileges(self) -> None:
        syscalls.drop_capabilities(self._home.last_capability)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        # The change of credentials cleared it; without it /proc/self belongs to nobody.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)
        if self._seccomp is not None:
            self._seccomp.install()

    def _change_directory(self) -> None:
        if self._workdir is None:
            return
        try:
            os.chdir(self._workdir)
        except OSError:
            return  # made by the template only: "/" is where we are


class Seed(Crossing):
    """One SEED request: a process that waits to become another one, the zygote of a branch."""

    def __init__(self, frame: Frame, home: Home) -> None:
        super().__init__(frame, home, 2)
        self.socket, self._log = frame.fds[1:3]
        self._capabilities = frame.integer(frames.K_BYTES, 0, 0, 2**62)

    def park(self) -> NoReturn:
        """In the child."""
        self.cross()
        null = os.open(os.devnull, os.O_RDWR)
        for number, fd in enumerate((null, self._log, self._log, self.socket)):
            os.dup2(fd, number)
        syscalls.close_from(4)
        syscalls.keep_capabilities(self._home.last_capability, self._capabilities)
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        os.write(3, frames.encode(frames.PARKED, 0))
        while True:
            # Nothing comes: here it stays until it is somebody else, or killed.
            if not os.read(3, 1):
                os._exit(FAILED)
