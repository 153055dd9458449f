"""Ordinary containers: each starts a cold interpreter. The host's /usr is their root, read-only."""
import ctypes
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from typing import Any, Dict, List

CLONE_NEWNS = 0x00020000
OWN = "/work"  # where the suite is seen inside


class Peer:
    """A plain process: the command as it is."""

    def command(self, command: List[str]) -> List[str]:
        return command

    def options(self) -> Dict[str, Any]:
        return {}

    def close(self) -> None:
        """Nothing to put away."""


class Bubblewrap(Peer):
    """Namespaces of its own for everything, a private /tmp."""

    NAME = "bubblewrap"

    def __init__(self, directory: str) -> None:
        self._directory = directory

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("bwrap") is not None

    def command(self, command: List[str]) -> List[str]:
        links = [("usr/" + name, "/" + name) for name in ("bin", "lib", "lib64", "sbin")]
        wrap = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr"]
        for target, link in links:
            wrap += ["--symlink", target, link]
        wrap += ["--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev", "/dev"]
        wrap += ["--tmpfs", "/tmp", "--ro-bind", self._directory, OWN, "--chdir", OWN, "--"]
        return wrap + command


class Crun(Peer):
    """An OCI runtime with a bundle per command."""

    NAME = "crun"

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._bundles = tempfile.mkdtemp(prefix="fc")
        self._numbers = itertools.count()
        self._root = os.path.join(self._bundles, "rootfs")
        for name in ("usr", "etc", "proc", "dev", "tmp", OWN[1:]):
            os.makedirs(os.path.join(self._root, name))
        for name in ("bin", "lib", "lib64", "sbin"):
            os.symlink("usr/" + name, os.path.join(self._root, name))
        self._mounts = _unified_cgroup_namespace()

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("crun") is not None

    def command(self, command: List[str]) -> List[str]:
        name = "forkd-bench-%d-%d" % (os.getpid(), next(self._numbers))
        bundle = os.path.join(self._bundles, name)
        os.mkdir(bundle)
        with open(os.path.join(bundle, "config.json"), "w") as file:
            json.dump(self._config(command), file)
        state = os.path.join(self._bundles, "state")
        return [
            "crun",
            "--root=" + state,
            "--cgroup-manager=disabled",
            "run",
            "--bundle=" + bundle,
            name,
        ]

    def _config(self, command: List[str]) -> Dict[str, Any]:
        kept = ("PYTHONDONTWRITEBYTECODE=1", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1")
        kept += ("PYTEST_DISABLE_PLUGIN_AUTOLOAD=1",)
        binds = [("/usr", "/usr"), ("/etc", "/etc"), (self._directory, OWN)]
        mounts: List[Dict[str, Any]] = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
        ]
        for source, to in binds:
            mounts.append(
                {"destination": to, "type": "bind", "source": source, "options": ["rbind", "ro"]}
            )
        kinds = ("pid", "mount", "network", "ipc", "uts")
        return {
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": command,
                "env": ["PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", *kept],
                "cwd": OWN,
                "noNewPrivileges": True,
                "capabilities": {"bounding": [], "effective": [], "permitted": []},
            },
            "root": {"path": self._root, "readonly": True},
            "hostname": "bench",
            "mounts": mounts,
            "linux": {"namespaces": [{"type": kind} for kind in kinds]},
        }

    def options(self) -> Dict[str, Any]:
        if self._mounts is None:
            return {}
        namespace = "/proc/%d/ns/mnt" % self._mounts.pid
        libc = ctypes.CDLL(None, use_errno=True)

        def enter() -> None:
            fd = os.open(namespace, os.O_RDONLY)
            directory = os.getcwd()
            if libc.setns(fd, CLONE_NEWNS) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            os.close(fd)
            os.chdir(directory)

        return {"preexec_fn": enter}

    def close(self) -> None:
        if self._mounts is not None:
            self._mounts.communicate()
        shutil.rmtree(self._bundles)


def _unified_cgroup_namespace():
    """A mount namespace that shows cgroup v2 alone: crun refuses the hybrid hierarchy.

    None where the host is unified already; else a process that holds it until its input ends.
    """
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return None
    script = (
        "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && echo ready && cat"
    )
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    if holder.stdout.readline().strip() != "ready":
        holder.communicate()
        raise RuntimeError("crun: no mount namespace with cgroup v2 could be made")
    return holder
