"""What a warmed process knows, and hands to everything that is forked from it."""

from __future__ import annotations

import copy
import json
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional

from forkd_runtime.evaluate import Evaluator
from forkd_runtime.hazards.model import Policy
from forkd_runtime.inherit import Inheritance
from forkd_runtime.installed import Installed
from forkd_runtime.recorder import Read
from forkd_runtime.reveal import Modules
from forkd_runtime.shadow import Sources
from forkd_runtime.streams import Encoding


class Warmed:
    """Made once at the end of warm-up; read-only afterwards."""

    def __init__(
        self,
        report: Dict[str, Any],
        script: Optional[ModuleType],
        path: List[str],
        workdir: Optional[str],
        seed: Optional[int],
        encoding: Encoding,
        inheritance: Inheritance,
        sources: Sources,
        imported: Dict[str, ModuleType],
        hook_ms: int,
        installed: Installed,
        started: Dict[str, str],
        environment_reads: List[Read],
        serves_callers: bool,
        modules: Modules,
        policy: Policy,
    ) -> None:
        self.report = report
        self.script = script  # namespace of the warm-up script
        self.path = path  # sys.path without the script's directory and PYTHONPATH
        self.workdir = workdir
        self.seed = seed
        self.encoding = encoding
        self.inheritance = inheritance
        self.sources = sources
        self.imported = imported  # what an eval sees without importing it
        self.hook_ms = hook_ms  # for all after_fork hooks together
        self.installed = installed
        self.started = started  # the environment when the interpreter started
        self.environment_reads = environment_reads
        self.serves_callers = serves_callers  # a doorway is wanted
        self.modules = modules
        self.policy = policy  # what the recipe tolerates
        # Where a fork with this can become a zygote: what it does then.
        self.zygote: Optional[Callable[["Warmed"], Callable[[], Any]]] = None
        self.evaluator: Optional[Evaluator] = None  # of the session that was branched
        # Made before the fork, so that a child only appends its pid.
        self._pong = json.dumps(self._runtime_report())[:-1]

    def _runtime_report(self) -> Dict[str, Any]:
        modules = self.report["modules"]
        return {
            "python": self.report["python"],
            "numpy_version": modules.get("numpy"),
            "modules": modules,
        }

    def runtime_report(self, pid: int) -> str:
        """JSON of READY and PONG_RUNTIME."""
        return '%s, "pid": %d}' % (self._pong, pid)

    def twin(self, report: Dict[str, Any], workdir: str, inheritance: Inheritance) -> "Warmed":
        """The same for a branch."""
        other = copy.copy(self)
        other.report, other.workdir, other.inheritance = report, workdir, inheritance
        return other
