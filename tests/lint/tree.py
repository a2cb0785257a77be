"""What the rules look at: the files of the tree, each read and parsed once."""

import ast
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TypeVar

PACKAGES = ("syncd", "transports", "manifests")

Node = TypeVar("Node", bound=ast.AST)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One offence: the file, the line (0: the file as a whole) and what is wrong with it."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        """Give the finding as an editor can follow it."""
        return f"{self.path}:{self.line}: {self.message}"


class File:
    """One file of the tree; its text is read, and parsed, when a rule first asks for it."""

    def __init__(self, path: str, read: Callable[[], str]) -> None:
        self.path = path
        self._read = read

    @cached_property
    def text(self) -> str:
        """The whole text."""
        return self._read()

    @cached_property
    def lines(self) -> list[str]:
        """The text line by line, without the ends."""
        return self.text.splitlines()

    @cached_property
    def module(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, self.path)

    @cached_property
    def _walked(self) -> list[ast.AST]:
        return list(ast.walk(self.module))

    def nodes(self, *kinds: type[Node]) -> Iterator[Node]:
        """Yield every node of the syntax tree that is of one of the kinds."""
        for node in self._walked:
            if isinstance(node, kinds):
                yield node

    def finding(self, line: int, message: str) -> Finding:
        """Return a finding in this file."""
        return Finding(self.path, line, message)


class Tree:
    """All files of the tree that a rule may look at."""

    def __init__(self, files: Iterable[File]) -> None:
        self.files = sorted(files, key=lambda file: file.path)

    @classmethod
    def on_disk(cls, root: Path) -> "Tree":
        """Return the files that git tracks or would track below the root; without git, those of the known folders."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        if listed.returncode == 0:
            paths = [path for path in listed.stdout.split("\0") if path and (root / path).is_file()]
        else:  # an unpacked source archive
            kept = (*PACKAGES, "deploy", "tests", "docs")
            below = (path for folder in kept for path in (root / folder).rglob("*") if "__pycache__" not in path.parts)
            paths = [path.relative_to(root).as_posix() for path in (*below, *root.glob("*.*")) if path.is_file()]
        return cls(File(path, (root / path).read_text) for path in paths)

    @classmethod
    def imagined(cls, texts: Mapping[str, str]) -> "Tree":
        """Return a tree that only exists in memory: path and text."""
        return cls(File(path, text.__str__) for path, text in texts.items())

    @cached_property
    def modules(self) -> list[File]:
        """The Python files of the program's packages."""
        return self._python(*PACKAGES)

    @cached_property
    def tests(self) -> list[File]:
        """The Python files below tests/, the rules themselves included."""
        return self._python("tests")

    @cached_property
    def python(self) -> list[File]:
        """Every Python file: the program, its tests, and what stands in deploy/."""
        return self._python(*PACKAGES, "tests", "deploy")

    def matching(self, *patterns: str) -> list[File]:
        """Return the files whose path fits one of the patterns, where `*` also crosses folders."""
        return [file for file in self.files if any(fnmatchcase(file.path, pattern) for pattern in patterns)]

    def _python(self, *folders: str) -> list[File]:
        return [file for file in self.files if file.path.endswith(".py") and file.path.split("/")[0] in folders]


@dataclass(frozen=True, slots=True)
class Rule:
    """A check of the whole tree, with examples of what it catches and of what it lets pass."""

    name: str
    summary: str
    check: Callable[[Tree], Iterator[Finding]]
    bites: Sequence[Mapping[str, str]]
    allows: Sequence[Mapping[str, str]]
    enforced: bool = True
    """False: shown with --report, and when the rule is named; it fails nothing yet."""

    def findings(self, tree: Tree) -> list[Finding]:
        """Return all findings of this rule, in the order of the files."""
        return sorted(self.check(tree))


def rule(
    *, bites: Sequence[Mapping[str, str]], allows: Sequence[Mapping[str, str]] = (), enforced: bool = True
) -> Callable[[Callable[[Tree], Iterator[Finding]]], Rule]:
    """Make a rule of a function; its name and docstring are those of the rule."""

    def made(check: Callable[[Tree], Iterator[Finding]]) -> Rule:
        summary = (check.__doc__ or "").strip().splitlines()[0]
        return Rule(check.__name__, summary, check, bites, allows, enforced)

    return made


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for a name or an attribute of names, and nothing for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""
