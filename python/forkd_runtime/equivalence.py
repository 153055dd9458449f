"""When a command gives the same in a fork of the warm interpreter, and when only the real one does.

Each rule answers with a reason, for people, or with None. What no rule knows is not the same:
a rule that cannot look answers with a reason as well.
"""

from __future__ import annotations

import os
import re
import resource
from typing import Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional

from forkd_runtime.caller import Call
from forkd_runtime.warmed import Warmed

# Read once, when the interpreter, the C library or a numeric library starts.
_AT_START = re.compile(
    r"PYTHON.*|LD_.*|MALLOC_.*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|TZDIR"
    r"|(OMP|KMP|GOMP|OPENBLAS|GOTO|MKL|NUMEXPR|BLIS|VECLIB)_.*"
)
# Of these a fork takes account, or they are read when they are needed.
_TAKEN = frozenset(
    (
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONBREAKPOINT",
        "PYTHONSTARTUP",
    )
)
_SAME_STATUS = (b"Uid", b"Gid", b"NoNewPrivs", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb")
_NAMESPACES = ("mnt", "pid", "net", "user", "ipc", "uts")
# The warm interpreter's memory counts for these, and its stack is as large as it was made.
_FIXED_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK)
_ZIP_END = b"PK\5\6"
_ZIP_TAIL = 65536 + 22
_CUSTOMIZERS = ("sitecustomize", "usercustomize")


class _Standing(NamedTuple):
    """What a process is to the kernel, as far as it must be equal."""

    status: Dict[bytes, bytes]
    traced: bool
    namespaces: List[int]
    root: str
    nice: int
    scheduler: int
    cpus: FrozenSet[int]


def _standing(pid: int) -> _Standing:
    status: Dict[bytes, bytes] = {}
    with open("/proc/%d/status" % pid, "rb") as file:
        for line in file:
            key, _, value = line.partition(b":")
            status[key] = value.strip()
    return _Standing(
        {key: status[key] for key in _SAME_STATUS if key in status},
        status.get(b"TracerPid", b"0") != b"0",
        [os.stat("/proc/%d/ns/%s" % (pid, name)).st_ino for name in _NAMESPACES],
        os.readlink("/proc/%d/root" % pid),
        os.getpriority(os.PRIO_PROCESS, pid),
        os.sched_getscheduler(pid),
        frozenset(os.sched_getaffinity(pid)),
    )


def _killed_first(pid: int) -> bytes:
    with open("/proc/%d/oom_score_adj" % pid, "rb") as file:
        return file.read()


class Equivalence:
    """Made in the process that serves; its own standing is what others are compared with."""

    def __init__(self, warmed: Warmed) -> None:
        self._warmed = warmed
        self._own: Optional[_Standing] = None

    def objection(self, call: Call, pid: int) -> Optional[str]:
        """The first reason against running it warm."""
        for reason in self._objections(call, pid):
            if reason is not None:
                return reason
        return None

    def _objections(self, call: Call, pid: int) -> Iterator[Optional[str]]:
        yield self._standing_differs(pid)
        yield self._environment_differs(call.env)
        yield self._limits_differ(call)
        yield self._descriptor_collides(call)
        yield self._measures_coverage(call)
        yield self._is_customized(call)
        yield self._modules_differ(call, pid)

    def _standing_differs(self, pid: int) -> Optional[str]:
        if self._own is None:
            self._own = _standing(os.getpid())
        own, theirs = self._own, _standing(pid)
        if theirs.traced:
            return "it is traced"
        if _killed_first(pid) != _killed_first(os.getpid()):  # anybody may have changed ours
            return "its oom_score_adj differs from the warm interpreter's"
        for name, mine, other in zip(own._fields, own, theirs):
            if mine != other:
                return "its %s differs from the warm interpreter's" % name
        return None

    def _environment_differs(self, env: Mapping[str, str]) -> Optional[str]:
        started = self._warmed.started
        for key in sorted(started.keys() | env.keys()):
            if not _AT_START.fullmatch(key) or key in _TAKEN:
                continue
            if started.get(key) != env.get(key):
                return "%s is read when an interpreter starts" % key
        if _locale(started) != _locale(env):
            return "its locale differs from the warm interpreter's"
        for read in self._warmed.environment_reads:
            # With what the process was started: imports may have set it themselves meanwhile.
            if env.get(read.key) != started.get(read.key):
                return "%s was read while %s was imported, and differs" % (read.key, read.module)
        return None

    def _limits_differ(self, call: Call) -> Optional[str]:
        for number in _FIXED_LIMITS:
            if resource.getrlimit(number) != call.limits[number]:
                return "a limit of its memory differs"
        for number, (_, hard) in enumerate(call.limits):
            own = resource.getrlimit(number)[1]
            if own != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or hard > own):
                return "a limit is above the warm interpreter's"
        return None

    def _descriptor_collides(self, call: Call) -> Optional[str]:
        used = {file.fd for file in self._warmed.inheritance.files}
        if used.intersection(call.numbers):
            return "a descriptor has a number that warm-up has used"
        return None

    def _measures_coverage(self, call: Call) -> Optional[str]:
        if self._warmed.sources.are_own() and any(word.startswith("--cov") for word in call.argv):
            return "imports that warm-up has done would not be measured"
        return None

    def _is_customized(self, call: Call) -> Optional[str]:
        for directory in call.env.get("PYTHONPATH", "").split(os.pathsep):
            for name in _CUSTOMIZERS:
                for form in (name, name + ".py"):
                    if directory and os.path.exists(os.path.join(directory, form)):
                        return "%s of PYTHONPATH runs when an interpreter starts" % name
        return self._warmed.installed.user_site_differs(call.env) or None

    def _modules_differ(self, call: Call, pid: int) -> Optional[str]:
        sources, installed = self._warmed.sources, self._warmed.installed
        changed = min(sources.changed(), default="") or installed.changed()
        if changed:
            return "%s has changed since warm-up" % changed
        cwd = os.readlink("/proc/%d/cwd" % pid)
        if not os.path.isdir(cwd):
            return "its working directory cannot be reached by its path"
        script = os.path.realpath(os.path.join(cwd, call.text))
        if call.kind == "file" and _is_zip(script):
            return "zip archives run cold"
        places = [_first_entry(script) if call.kind == "file" else cwd]
        for entry in call.env.get("PYTHONPATH", "").split(os.pathsep):
            if entry:
                places.append(os.path.join(cwd, entry))
        for place in places:
            hidden = sources.hidden_by(place, self._warmed.modules.fresh)
            if hidden:
                return "%s in %s hides a module of warm-up" % (min(hidden), place)
        return None


def _first_entry(script: str) -> str:
    """Of sys.path."""
    return script if os.path.isdir(script) else os.path.dirname(script)


def _is_zip(path: str) -> bool:
    if os.path.isdir(path):
        return False
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _ZIP_TAIL))
        return _ZIP_END in file.read(_ZIP_TAIL)


def _locale(env: Mapping[str, str]) -> str:
    return env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or ""
