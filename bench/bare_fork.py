"""The floor: a bare fork(2) of an interpreter that is as warm as the template.

    bare_fork.py RECIPE_DIR     then one number n per line; answers the milliseconds of n forks

Each child ends at once, without finalising the interpreter; a batch ends when all are reaped.
"""
import gc
import importlib
import os
import re
import sys
import time

IMPORT = re.compile(r"^    - ([\w.]+)$", re.MULTILINE)


def warm(directory: str) -> None:
    """What the recipe does. Its import list is read by form: there is no YAML in the library."""
    with open(os.path.join(directory, "recipe.yaml")) as file:
        modules = IMPORT.findall(file.read())
    if not modules:
        raise SystemExit("no imports found in the recipe of " + directory)
    for module in modules:
        importlib.import_module(module)
    script = os.path.join(directory, "warm.py")
    with open(script) as file:
        exec(compile(file.read(), script, "exec"), {"__name__": "__main__"})
    gc.collect()
    gc.freeze()


def fork_all(n: int) -> float:
    start = time.perf_counter()
    for _ in range(n):
        if os.fork() == 0:
            os._exit(0)
    for _ in range(n):
        os.wait()
    return (time.perf_counter() - start) * 1000


def main() -> None:
    warm(sys.argv[1])
    print("warm", flush=True)
    for line in sys.stdin:
        print("%.4f" % fork_all(int(line)), flush=True)


if __name__ == "__main__":
    main()
