"""Warm-up: imports, script and functions of the recipe, then everything a fork needs ready."""

from __future__ import annotations

import gc
import importlib
import json
import os
import platform
import sys
import threading
import time
import traceback
from types import ModuleType
from typing import Any, Callable, Dict, List, NoReturn, Optional, Tuple

from forkd_runtime import ending, hazards, hooks, program, reveal
from forkd_runtime.evaluate import describe, remember_source
from forkd_runtime.heap import Heap
from forkd_runtime.inherit import Inheritance
from forkd_runtime.installed import Installed
from forkd_runtime.recorder import RECORDER
from forkd_runtime.rehearsal import rehearse
from forkd_runtime.shadow import Sources
from forkd_runtime.streams import Encoding
from forkd_runtime.warmed import Warmed

SCRIPT_MODULE = "__forkd_warm__"
_OWN_PATH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class WarmFailed(Exception):
    """What failed in the user's warm-up, for people, and the user's part of the traceback."""

    def __init__(self, message: str, tb: str = "") -> None:
        super().__init__(message)
        self.traceback = tb


class Spec:
    """The recipe's warm-up: the data of a WARM frame."""

    def __init__(self, data: bytes) -> None:
        try:
            fields = json.loads(data.decode("utf-8"))
        except ValueError as error:
            raise WarmFailed("warm-up: its description is not JSON: %s" % error) from None
        if not isinstance(fields, dict):
            raise WarmFailed("warm-up: its description is not a JSON object")
        self.imports = _texts(fields, "imports")
        self.functions = _texts(fields, "functions")
        self.path = _texts(fields, "path")
        self.allow = _texts(fields, "allow")
        self.script: Optional[str] = _value(fields, "script", str)
        self.script_name: str = _value(fields, "script_name", str) or "warm.py"
        self.workdir: Optional[str] = _value(fields, "workdir", str)
        self.seed: Optional[int] = _value(fields, "seed", int)
        self.before_snapshot: Optional[str] = _value(fields, "before_snapshot", str)
        self.after_fork: Optional[str] = _value(fields, "after_fork", str)
        self.hook_ms: int = _value(fields, "hook_ms", int) or hooks.DEADLINE_MS
        self.exec: bool = bool(_value(fields, "exec", bool))
        self.unsafe: str = _value(fields, "unsafe", str) or "refuse"
        if self.unsafe not in ("refuse", "warn"):
            raise WarmFailed('warm-up: unsafe must be "refuse" or "warn", not %r' % self.unsafe)


def _value(fields: Dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if value is not None and not isinstance(value, kind):
        raise WarmFailed("warm-up: %s must be of type %s" % (name, kind.__name__))
    return value


def _texts(fields: Dict[str, Any], name: str) -> List[str]:
    values = fields.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise WarmFailed("warm-up: %s must be a list of strings" % name)
    return values


class Launch:
    """What the interpreter was like before any user code ran. Made first of all."""

    def __init__(self) -> None:
        self.encoding = Encoding()
        self.path = _installed_path()
        self.environment = dict(os.environ)
        self.fresh = reveal.Fresh(self.environment)
        self.ledger = hazards.Ledger()


def _installed_path() -> List[str]:
    """sys.path without the current directory, PYTHONPATH and our own place."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    foreign = {os.path.abspath(entry) for entry in given if entry} | {_OWN_PATH}
    rest = [entry for entry in given if entry and os.path.abspath(entry) != _OWN_PATH]
    # Subprocesses of user code must not inherit a search path that is only ours.
    if rest:
        os.environ["PYTHONPATH"] = os.pathsep.join(rest)
    else:
        os.environ.pop("PYTHONPATH", None)
    return [entry for entry in sys.path[1:] if os.path.abspath(entry) not in foreign]


def warm(launch: Launch, spec: Spec) -> Warmed:
    """Runs the warm-up. WarmFailed when it fails or leaves what cannot be forked safely."""
    started = time.monotonic()
    launch.ledger.start()
    if spec.workdir is not None:
        _attempt("working directory %s" % spec.workdir, lambda: os.chdir(spec.workdir or "/"))
    path = [*spec.path, *launch.path]
    sys.path[:] = [os.getcwd(), *_environment_path(), *path]
    heap = Heap()
    import_ms, script = _run(spec, heap)
    RECORDER.stop()
    inheritance = Inheritance()
    policy = hazards.Policy(spec.unsafe, spec.allow)
    found = _settle(launch, policy, inheritance)
    gc.freeze()  # just collected: the collection to come has only new objects to look at
    if spec.script is not None:
        remember_source(spec.script_name, spec.script)  # settling forgot all sources
    sources = Sources()
    sources.record()
    report = _report(spec, import_ms, found)
    warmed = Warmed(
        report,
        script,
        path,
        spec.workdir,
        spec.seed,
        launch.encoding,
        inheritance,
        sources,
        _bound(spec.imports),
        spec.hook_ms,
        Installed(path, sources.installed),
        launch.environment,
        RECORDER.reads(),
        spec.exec,
        reveal.Modules(RECORDER, launch.fresh, spec.imports),
        policy,
    )
    rehearse(warmed)
    _freeze(inheritance)
    report["huge_kib"] = heap.collapse()
    report["rss_kib"] = _resident_kib()
    report["warm_ms"] = _milliseconds(started)
    log("warm after %d ms" % report["warm_ms"])
    return warmed


def _run(spec: Spec, heap: Heap) -> Tuple[Dict[str, int], Optional[ModuleType]]:
    """Everything of the author's: milliseconds of each import, and the script's namespace."""
    with heap:
        import_ms = {name: _import(name, heap) for name in spec.imports}
    script = _run_script(spec)
    for function in spec.functions:
        _call(function)
    _prepare_hooks(spec, script)
    return import_ms, script


def _settle(
    launch: Launch, policy: hazards.Policy, inheritance: Inheritance
) -> List[hazards.Hazard]:
    found = hazards.settle(launch.ledger, inheritance, policy)
    refused = [hazard for hazard in found if hazard.action == "refused"]
    if refused:
        raise WarmFailed(hazards.explain(refused))
    for hazard in found:
        log("%s: %s: %s" % (hazard.action, hazard.name, hazard.detail))
    return found


def log(line: str) -> None:
    """Progress, for the launcher to pass on."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _environment_path() -> List[str]:
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [os.path.abspath(entry) for entry in given if entry]


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _attempt(what: str, body: Callable[[], Any]) -> int:
    """Runs a part of the warm-up; returns its milliseconds."""
    started = time.monotonic()
    try:
        body()
    except BaseException as error:  # SystemExit in a warm-up is a failure as well
        _fail(what, error)
    return _milliseconds(started)


def _fail(what: str, error: BaseException) -> NoReturn:
    tb = ending.user_traceback(error.__traceback__)
    lines = traceback.format_exception(type(error), error, tb)
    message = "warm-up: %s failed: %s" % (what, describe(error))
    raise WarmFailed(message, "".join(lines)) from None


def _import(name: str, heap: Heap) -> int:
    elapsed = _attempt("import %s" % name, lambda: importlib.import_module(name))
    heap.check()
    log("import %s %d ms" % (name, elapsed))
    return elapsed


def _bound(imports: List[str]) -> Dict[str, ModuleType]:
    """The names that `import a.b` binds, and `np`, which clients of forkd are used to."""
    names = [name.partition(".")[0] for name in imports]
    bound = {name: sys.modules[name] for name in names if name in sys.modules}
    if "numpy" in bound:
        bound["np"] = bound["numpy"]
    return bound


def _run_script(spec: Spec) -> Optional[ModuleType]:
    if spec.script is None:
        return None
    source, name = spec.script, spec.script_name
    previous = sys.modules["__main__"]
    module = program.fresh_main()
    module.__file__ = name
    sys.modules[SCRIPT_MODULE] = module
    remember_source(name, source)

    def body() -> None:
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)

    try:
        elapsed = _attempt("script %s" % name, body)
    finally:
        sys.modules["__main__"] = previous
    log("script %s %d ms" % (name, elapsed))
    return module


def _prepare_hooks(spec: Spec, script: Optional[ModuleType]) -> None:
    """Takes the recipe's hooks and runs those that come before the snapshot."""
    for kind, source in ((hooks.BEFORE, spec.before_snapshot), (hooks.AFTER, spec.after_fork)):
        try:
            hooks.add_script(kind, source, script)
        except SyntaxError as error:
            _fail("%s of the recipe" % kind, error)
    try:
        hooks.run(hooks.BEFORE, spec.hook_ms)
    except hooks.HookFailed as failure:
        raise WarmFailed("warm-up: %s" % failure, failure.traceback) from None


def _call(reference: str) -> None:
    def body() -> None:
        module, separator, path = reference.partition(":")
        if not separator or not path:
            raise ValueError("not of the form package.module:function")
        target: Any = importlib.import_module(module)
        for part in path.split("."):
            target = getattr(target, part)
        target()

    elapsed = _attempt("function %s" % reference, body)
    log("call %s %d ms" % (reference, elapsed))


def _report(
    spec: Spec, import_ms: Dict[str, int], found: List[hazards.Hazard]
) -> Dict[str, Any]:
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "modules": {name: _version(name) for name in spec.imports},
        "import_ms": import_ms,
        "warm_ms": 0,
        "hazards": [hazard._asdict() for hazard in found],
        "threads": threading.active_count(),
        "huge_kib": 0,
        "rss_kib": 0,
    }


def _version(name: str) -> Optional[str]:
    version = getattr(sys.modules.get(name), "__version__", None)
    return version if isinstance(version, str) else None


def _resident_kib() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)


def _freeze(inheritance: Inheritance) -> None:
    """Nothing of the parent's heap is looked at by a collection in a child: that would copy it."""
    inheritance.collects_garbage = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
