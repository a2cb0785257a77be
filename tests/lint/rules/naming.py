"""What modules, functions, classes and test modules are called, and what modules say of themselves."""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.lint.tree import Finding, Tree, rule

GIVEN = {"data_received", "get_extra_info"}  # names that a library calls
FORBIDDEN = {"item", "record", "resource", "handler", "manager", "helper", "util", "data", "info"}

# Words that say nothing of what a module holds, as names of test modules or of what they share.
EMPTY = {
    "elsewhere", "eyes", "gallery", "made", "misc", "more", "other", "reading", "seed", "stuff", "surprises", "things",
    "told", "various", "watched", "way", "words",
}  # fmt: skip

# Words that a reader has to decode, as words of a function's or a class's name, and what says the same.
DECODED = {
    "anew": "again", "aside": "archive, quarantine", "beside": "what it is", "drained": "join", "errand": "batch",
    "hand": "submit, pass", "hear": "on_event", "heard": "on_event", "judge": "check, evaluate", "lest": "guard",
    "mend": "repair", "mended": "repaired", "mind": "check", "nobody": "none", "pour": "copy", "rota": "schedule",
    "sift": "filter", "somebody": "any", "tell": "report, emit", "told": "reported", "whole": "complete",
    "whoever": "any",
}  # fmt: skip

SHOWN = {"DamageMended", "tell"}  # an event that --json and the log show; a method that plug-ins of 0.1 call


def words_of(name: str) -> set[str]:
    """Return the words of a name, lower case and singular: `HTTPHandlers` gives http, handler."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return {part.lower() for part in parts} | {part.lower().removesuffix("s") for part in parts}


def _is_vague(name: str) -> bool:
    if name in GIVEN or (name.startswith("__") and name.endswith("__")):
        return False
    return bool(words_of(name) & FORBIDDEN) or re.match(r"_*(process|do)_", name) is not None


@rule(
    bites=[
        {"syncd/copy.py": "x = 1\n"},
        {"syncd/copy.py": '"""Copies bytes."""\n'},
    ],
    allows=[{"syncd/copy.py": '"""Copies a body to its sink."""\n', "syncd/__init__.py": ""}],
)
def module_docstring(tree: Tree) -> Iterator[Finding]:
    """A module begins with a docstring of at least four words that says what it is for."""
    for file in tree.modules:
        if file.path.endswith("/__init__.py"):
            continue
        said = ast.get_docstring(file.module)
        if not said:
            yield file.finding(1, "no docstring that says what the module is for")
        elif len(said.splitlines()[0].split()) < 4:
            yield file.finding(1, "the docstring's first line has fewer than four words")


@rule(
    bites=[{"syncd/copies/__init__.py": ""}, {"syncd/copies/__init__.py": '"""Copies bytes."""\n'}],
    allows=[{"syncd/copies/__init__.py": '"""Copies bodies to their sinks, from one end to the other."""\n'}],
)
def package_docstring(tree: Tree) -> Iterator[Finding]:
    """A package's `__init__.py` says in its docstring what the package is for."""
    for file in tree.modules:
        if file.path.endswith("/__init__.py"):
            said = ast.get_docstring(file.module)
            if not said or len(said.splitlines()[0].split()) < 4:
                yield file.finding(1, "no docstring that says what the package is for")


@rule(
    bites=[
        {"syncd/utils.py": ""},
        {"syncd/copy.py": "class HTTPHandlers: ...\n"},
        {"syncd/copy.py": "def process_body(): ...\n"},
        {"syncd/copy.py": "async def do_copy(): ...\n"},
    ],
    allows=[{"syncd/copy.py": "class Body:\n    def data_received(self): ...\n"}],
)
def vague_names(tree: Tree) -> Iterator[Finding]:
    """No module, function or class is named by a word that says nothing: item, handler, util, data, process_…."""
    for file in tree.modules:
        stem = PurePosixPath(file.path).stem
        if _is_vague(stem):
            yield file.finding(0, f"the module's name {stem} says nothing of its duty")
        for node in file.nodes(ast.stmt):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and _is_vague(node.name):
                yield file.finding(node.lineno, f"the name {node.name} says nothing of its duty")


@rule(
    bites=[
        {"syncd/copy.py": "def _tell(event): ...\n"},
        {"transports/copy.py": "class Body:\n    async def is_whole(self): ...\n"},
        {"manifests/copy.py": "class _Told: ...\n"},
    ],
    allows=[{"syncd/copy.py": "def report(event, told): ...\n", "tests/unit/test_copy.py": "def tell(): ...\n"}],
)
def decoded_names(tree: Tree) -> Iterator[Finding]:
    """A function or class is named by the field's words, not by a word that a reader has to decode."""
    for file in tree.modules:
        for node in file.nodes(ast.stmt):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name not in SHOWN:
                for part in re.findall(r"[A-Z]?[a-z]+", node.name):
                    if (plain := DECODED.get(part.lower())) is not None:
                        yield file.finding(node.lineno, f"{node.name}: say {plain} for {part.lower()}")


@rule(
    bites=[
        {"syncd/a.py": "class Place: ...\n", "transports/b.py": "class Place: ...\n"},
        {"manifests/a.py": "class Note: ...\n", "manifests/b.py": "class _Note: ...\n"},
        {"syncd/a.py": "class Note: ...\ndef f():\n    class Note: ...\n"},
    ],
    allows=[{"syncd/a.py": "class Note: ...\n", "syncd/b.py": "class Notes: ...\n", "tests/c.py": "class Note: ...\n"}],
)
def unique_class_names(tree: Tree) -> Iterator[Finding]:
    """A class name stands once in the program; an underscore in front makes no other name of it."""
    first: dict[str, str] = {}
    for file in tree.modules:
        for node in file.nodes(ast.ClassDef):
            name = node.name.lstrip("_")
            if (known := first.setdefault(name, f"{file.path}:{node.lineno}")) != f"{file.path}:{node.lineno}":
                yield file.finding(node.lineno, f"{node.name} is the name of another class, too: {known}")


@rule(
    bites=[{"tests/unit/test_surprises.py": ""}, {"tests/browser/eyes.py": ""}, {"tests/api/test_more_words.py": ""}],
    allows=[{"tests/unit/test_upstream_quirks.py": "", "tests/browser/page_actions.py": ""}],
)
def names_of_test_modules(tree: Tree) -> Iterator[Finding]:
    """A module of the tests is named by the module or behaviour that it holds."""
    for file in tree.tests:
        stem = PurePosixPath(file.path).stem
        for word in re.split(r"_+", stem):
            if word in EMPTY:
                yield file.finding(0, f"the name {stem} does not say what the module holds: {word}")
