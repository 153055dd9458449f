"""Parses every Python file below the given directories as Python 3.8 would.

Sandboxes may hold an older interpreter than the host. Only grammar is checked, not the library.
"""

import ast
import pathlib
import sys


def problems(root: pathlib.Path) -> "list[str]":
    found = []
    for path in sorted(root.rglob("*.py")):
        try:
            ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 8))
        except (SyntaxError, UnicodeDecodeError) as error:
            found.append(f"{path}: not Python 3.8: {error}")
    return found


def main(arguments: "list[str]") -> int:
    found = [problem for root in arguments for problem in problems(pathlib.Path(root))]
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
