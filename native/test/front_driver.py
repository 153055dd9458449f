"""Inside a sandbox: every probe with the real interpreter and as the sandbox has it."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Tuple

import probes

REAL, PYTHON = "/.forkd/real/python3", "/usr/bin/python3"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root", "OMP_NUM_THREADS": "1",
               "OPENBLAS_NUM_THREADS": "1", "LANG": "C.UTF-8"}
VOLATILE = ((r"0x[0-9a-f]+", "0x"), (r"\(pid=\d+\)", "(pid)"), (r"refcount : \d+", "refcount"),
            (r"Thread-\d+", "Thread"), (r"bash: line \d+: +\d+ ", "bash: "))
Outcome = Tuple[int, str, str]


def plain(text: bytes) -> str:
    decoded = text.decode("utf-8", "backslashreplace")
    for pattern, replacement in VOLATILE:
        decoded = re.sub(pattern, replacement, decoded)
    return decoded


def run(command: List[str], executable: str, env: Dict[str, str], cwd: str) -> Outcome:
    done = subprocess.run(command, executable=executable, input=b"one\ntwo\nthree\n", cwd=cwd,
                          capture_output=True, env=env, timeout=60)
    return done.returncode, plain(done.stdout), plain(done.stderr)


def prepared() -> str:
    place = "/tmp/probe"  # the same for both runs: paths are part of the output
    shutil.rmtree(place, ignore_errors=True)
    for name, text in probes.PREPARED.items():
        path = os.path.join(place, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
    return place


def programs() -> Dict[str, Tuple[Any, Any]]:
    """As -c and as a file. FORKD_WARM_DEBUG: a run that is not warm says so, and so differs."""
    found = {}
    env = {**ENVIRONMENT, "FORKD_WARM_DEBUG": "1"}
    with tempfile.TemporaryDirectory() as place:
        script = os.path.join(place, "program.py")
        for name, code in probes.CODE.items():
            with open(script, "w") as file:
                file.write(code + "\n")
            for kind, rest in (("code", ["-c", code]), ("file", [script])):
                command = [PYTHON, *rest, "a", "--b"]
                found["%s: %s" % (kind, name)] = (run(command, REAL, env, place),
                                                  run(command, PYTHON, env, place))
    return found


def lines() -> Dict[str, Tuple[Any, Any]]:
    found = {}
    for name, line in probes.LINES.items():
        command = ["bash", "-c", line]
        cold = run(command, "/bin/bash", {**ENVIRONMENT, "FORKD_COLD": "1"}, prepared())
        found["line: " + name] = (cold, run(command, "/bin/bash", ENVIRONMENT, prepared()))
    return found


def main() -> None:
    wanted = sys.argv[1:]
    if wanted:
        probes.CODE = {name: code for name, code in probes.CODE.items() if name in wanted}
        probes.LINES = {name: line for name, line in probes.LINES.items() if name in wanted}
    found = {**programs(), **lines()}
    different = {name: pair for name, pair in found.items() if pair[0] != pair[1]}
    print(json.dumps({"probes": len(found), "different": different}))


if __name__ == "__main__":
    main()
