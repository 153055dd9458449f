"""Rules that hold for every file of the package."""

from __future__ import annotations

import ast
import pathlib
from typing import List

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = sorted((ROOT / "forkd_runtime").rglob("*.py"))
FILES = PACKAGE + sorted((ROOT / "tests").glob("*.py"))


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_grammar_of_python_38(path: pathlib.Path) -> None:
    ast.parse(path.read_text("utf-8"), str(path), feature_version=(3, 8))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_sizes(path: pathlib.Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) <= 400
    assert max(len(line) for line in lines) <= 100 if lines else True


def functions(path: pathlib.Path) -> List[ast.FunctionDef]:
    tree = ast.parse(path.read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_functions_are_short_typed_and_told_of(path: pathlib.Path) -> None:
    for function in functions(path):
        assert (function.end_lineno or 0) - function.lineno < 45, function.name
        assert function.returns is not None, function.name
        arguments = [*function.args.args, *function.args.kwonlyargs]
        untyped = [a.arg for a in arguments if a.annotation is None and a.arg != "self"]
        assert not untyped, (function.name, untyped)


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_modules_and_public_classes_have_a_docstring(path: pathlib.Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_only_the_standard_library(path: pathlib.Path) -> None:
    import sys

    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for imported in names:
            top = imported.split(".")[0]
            assert top == "forkd_runtime" or top in sys.stdlib_module_names, imported
