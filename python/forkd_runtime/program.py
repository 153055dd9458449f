"""A forked process becomes the program that SPAWN asks for: module, file or code."""

from __future__ import annotations

import builtins
import faulthandler
import gc
import importlib.machinery
import linecache
import marshal
import os
import runpy
import sys
import time
from types import CodeType, ModuleType
from typing import Any, Collection, Dict, List, NoReturn, Optional

import forkd_runtime
from forkd_runtime import ending, inherit, interpreter, reseed, streams, syscalls
from forkd_runtime.warmed import Warmed

KINDS = ("module", "file", "code")
_PYC_HEADER = 16


class Program:
    """A validated request; `argv` holds the arguments that follow the module, file or code."""

    def __init__(
        self,
        kind: str,
        text: str,
        argv: List[str],
        env: Dict[str, str],
        cwd: Optional[str],
        fds: List[int],
    ) -> None:
        self.kind = kind
        self.text = text  # module name, path or source
        self.argv = argv
        self.env = env
        self.cwd = cwd
        self.fds = fds
        self._code: Optional[CodeType] = None

    def run(self, warmed: Warmed) -> NoReturn:
        """In the forked child, at the bottom of its stack."""
        try:
            self._become(warmed)
        except BaseException as error:
            os.write(2, ("forkd: cannot start the program: %s\n" % error).encode())
            os._exit(126)
        ending.run(getattr(self, "_run_" + self.kind), warmed.modules.is_warm)

    def _become(self, warmed: Warmed) -> None:
        os.setsid()
        self._place()
        warmed.inheritance.restore()
        inherit.default_signals()
        self._take_over()
        replace_environment(self.env)
        streams.install(warmed.encoding, self.env, self._unbuffered())
        reseed.reseed(reseed.chosen_seed(self.env, warmed.seed))
        warmed.inheritance.restore_exit_callbacks()
        if self.env.get("FORKD_REVEAL") != "all":
            warmed.modules.hide()
        self._set_arguments()
        self._set_path(warmed)
        if self._writes_no_bytecode():
            sys.dont_write_bytecode = True
            interpreter.set_flag("dont_write_bytecode", 1)
        if warmed.inheritance.faulthandler:
            faulthandler.enable(2)
        if warmed.inheritance.collects_garbage:
            gc.enable()
        self._name_process()

    def _place(self) -> None:
        """Its descriptors and its directory."""
        for number, fd in enumerate(self.fds):
            os.dup2(fd, number)
        syscalls.close_from(3)
        if self.cwd is not None:
            os.chdir(self.cwd)

    def _take_over(self) -> None:
        """What else the process inherits from whoever started it: nothing here."""

    def _unbuffered(self) -> bool:
        return bool(self.env.get("PYTHONUNBUFFERED"))

    def _writes_no_bytecode(self) -> bool:
        return bool(self.env.get("PYTHONDONTWRITEBYTECODE"))

    def _name_process(self) -> None:
        """/proc/PID/cmdline and environ: who looks there must not see the template's."""
        words = getattr(sys, "orig_argv", None) or [sys.executable, *sys.argv]
        interpreter.show_command(os.path.basename(sys.executable), words, self.env)

    def _set_arguments(self) -> None:
        option = {"module": ["-m", self.text], "code": ["-c", self.text]}
        sys.argv = [{"module": "-m", "code": "-c"}.get(self.kind, self.text), *self.argv]
        if sys.version_info >= (3, 10):
            sys.orig_argv[:] = [sys.executable, *option.get(self.kind, [self.text]), *self.argv]

    def _set_path(self, warmed: Warmed) -> None:
        extra = [entry for entry in self.env.get("PYTHONPATH", "").split(os.pathsep) if entry]
        extra = [os.path.abspath(entry) for entry in extra]
        first = [] if self.env.get("PYTHONSAFEPATH") else [self._first_entry()]
        sys.path[:] = [*first, *extra, *warmed.path]
        started_with: Collection[str] = warmed.modules.fresh
        if self.kind == "module":
            started_with = forkd_runtime.STARTUP_MODULES
        warmed.modules.forget(warmed.sources.stale(first + extra, started_with))
        warmed.modules.start()
        warmed.modules.show(started_with)

    def _first_entry(self) -> str:
        if self.kind == "module":
            return os.getcwd()
        if self.kind == "code":
            return ""
        if _is_archive(self.text):
            return os.path.abspath(self.text)
        return os.path.dirname(os.path.realpath(self.text))

    def _run_module(self) -> None:
        fresh_main()
        runpy._run_module_as_main(self.text, True)  # type: ignore[attr-defined]

    def _run_code(self) -> None:
        main = fresh_main()
        code = compile(self.text, "<string>", "exec", dont_inherit=True)
        _remember_source(code, self.text)
        exec(code, main.__dict__)

    def _run_file(self) -> None:
        main = fresh_main()
        if _is_archive(self.text):
            runpy._run_module_as_main("__main__", False)  # type: ignore[attr-defined]
            return
        path = _absolute(self.text) if sys.version_info >= (3, 9) else self.text
        namespace = main.__dict__
        namespace["__file__"] = path
        namespace["__cached__"] = None
        exec(self._load(path, main), namespace)

    def _load(self, path: str, main: ModuleType) -> CodeType:
        loaders = importlib.machinery
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            problem = "[Errno %d] %s" % (error.errno or 0, error.strerror)
            text = "%s: can't open file %r: %s\n" % (sys.executable, path, problem)
            sys.stderr.write(text)
            raise SystemExit(2) from None
        if path.endswith(".pyc"):
            main.__loader__ = loaders.SourcelessFileLoader("__main__", path)
            return marshal.loads(source[_PYC_HEADER:])
        main.__loader__ = loaders.SourceFileLoader("__main__", path)
        return compile(source, path, "exec", dont_inherit=True)


def _absolute(path: str) -> str:
    """As the interpreter does it: `..` stays."""
    if path.startswith("/"):
        return path
    return os.path.join(os.getcwd(), path[2:] if path.startswith("./") else path)


def _is_archive(path: str) -> bool:
    """A directory or zip file that the interpreter can run."""
    if os.path.isdir(path):
        return True
    import zipimport  # loaded at start-up: a frozen part of the interpreter

    try:
        zipimport.zipimporter(path)
    except zipimport.ZipImportError:
        return False
    return True


def _remember_source(code: CodeType, source: str) -> None:
    """From 3.13 on, tracebacks show lines of `-c` code."""
    register: Any = getattr(linecache, "_register_code", None)
    if register is not None:
        by_code = hasattr(linecache, "_interactive_cache")
        register(code if by_code else "<string>", source, "<string>")


def replace_environment(env: Dict[str, str]) -> None:
    """os.environ and the C library's environment become `env`, nothing else."""
    zone = os.environ.get("TZ")
    os.environ._data.clear()  # type: ignore[attr-defined]
    syscalls.clear_environment()
    for key, value in env.items():
        os.environ[key] = value
    if env.get("TZ") != zone:
        time.tzset()


def fresh_main() -> ModuleType:
    """A new __main__, with the attributes that the interpreter gives it."""
    main = ModuleType("__main__")
    namespace: Dict[str, Any] = main.__dict__
    namespace["__loader__"] = importlib.machinery.BuiltinImporter
    if sys.version_info < (3, 14):
        namespace["__annotations__"] = {}
    namespace["__builtins__"] = builtins
    sys.modules["__main__"] = main
    return main
