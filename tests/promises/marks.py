"""Reads from the tests which promises and faults each of them holds.

The files are parsed, not imported, so this takes a second. A mark must be written out above its test, with its values;
on a test that never runs (skipped or expected to fail without a condition) it is refused.
"""

import ast
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.promises.statements import FAULTS, NOT_YET, PROMISES

TESTS = Path(__file__).parents[1]
OURS = ("promise", "fault")


class Refused(ValueError):
    """A mark cannot be taken for evidence; the message begins with file and line."""


@dataclass(frozen=True, slots=True)
class Held:
    """One test and what it holds; `holds` mixes names of promises and numbers of faults."""

    file: str
    test: str
    line: int
    holds: frozenset[str | int]

    @property
    def sentence(self) -> str:
        """Return the truth that the test's name tells."""
        return self.test.rpartition(".")[2].removeprefix("test_").replace("_", " ")


def read_marks(tests: Path = TESTS) -> list[Held]:
    """Return every test below a folder that has a mark of ours, sorted. Raises Refused."""
    found: list[Held] = []
    for file in sorted(tests.rglob("*.py")):
        text = file.read_text()
        if any(f"mark.{name}" in text for name in OURS):
            found += _read(file.relative_to(tests.parent).as_posix(), ast.parse(text))
    return found


def _read(file: str, tree: ast.Module) -> Iterator[Held]:
    never = _never_runs(_module_marks(tree))
    for node, above, owner in _functions(tree):
        holds: set[str | int] = set()
        for mark in node.decorator_list:
            name = _mark_name(mark)
            if name in OURS:
                holds |= _values(file, mark, name)
        if not holds:
            continue
        if never or _never_runs(above) or _never_runs(node.decorator_list) or _skips_first(node):
            raise Refused(f"{file}:{node.lineno}: {node.name} never runs, so it holds nothing")
        if not node.name.startswith("test_"):
            raise Refused(f"{file}:{node.lineno}: {node.name} is no test")
        yield Held(file, owner + node.name, node.lineno, frozenset(holds))


def _functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, list[ast.expr], str]]:
    """Yield each function of a module or of its classes, with the marks of the class and its name."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, [], ""
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield inner, node.decorator_list, f"{node.name}."


def _module_marks(tree: ast.Module) -> list[ast.expr]:
    """Return what `pytestmark` lists."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            return node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    return []


def _mark_name(mark: ast.expr) -> str:
    """Return `x` of `pytest.mark.x` or `pytest.mark.x(...)`, else ""."""
    named = mark.func if isinstance(mark, ast.Call) else mark
    is_mark = isinstance(named, ast.Attribute) and isinstance(named.value, ast.Attribute) and named.value.attr == "mark"
    return named.attr if is_mark and isinstance(named, ast.Attribute) else ""


def _values(file: str, mark: ast.expr, name: str) -> set[str | int]:
    if not isinstance(mark, ast.Call) or not mark.args or mark.keywords:
        raise Refused(f"{file}:{mark.lineno}: {name} names nothing: write its values in brackets")
    known: Container[str | int] = (PROMISES if name == "promise" else FAULTS).keys()
    values: set[str | int] = set()
    for one in mark.args:
        value = one.value if isinstance(one, ast.Constant) else None
        if not isinstance(value, str | int) or value not in known:
            raise Refused(f"{file}:{one.lineno}: {ast.unparse(one)} is no {name}")
        if value in NOT_YET:
            raise Refused(
                f"{file}:{one.lineno}: {value} is not kept yet; take it out of NOT_YET in tests/promises/statements.py"
            )
        values.add(value)
    return values


def _never_runs(marks: list[ast.expr]) -> bool:
    """True if a mark skips a test, or expects it to fail, under every condition."""
    for mark in marks:
        name = _mark_name(mark)
        if name == "skip" or (name == "xfail" and not (isinstance(mark, ast.Call) and mark.args)):
            return True
        if name in ("skipif", "xfail") and isinstance(mark, ast.Call) and mark.args:
            condition = mark.args[0]
            if isinstance(condition, ast.Constant) and condition.value:
                return True
    return False


def _skips_first(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """True if the first thing a test does is to call pytest.skip or pytest.xfail."""
    body = [one for one in node.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    first = body[0] if body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Call)
        and ast.unparse(first.value.func) in ("pytest.skip", "pytest.xfail")
    )
