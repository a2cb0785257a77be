"""The contents of a YAML file: plain values, the line and column of each, and every mistake at its position.

The parser is in `manifests.yaml.parse`, so that code that only reports mistakes does not import it.
"""

from typing import Any, NamedTuple

import msgspec

from manifests.messages import count, message

Path = tuple[str | int, ...]
MOST_PROBLEMS = 50  # of one file: a longer list helps no reader
Value = str | int | float | bool | list["Value"] | dict[str, "Value"] | None


class Position(NamedTuple):
    """A position in a file; both count from 1."""

    line: int
    column: int


class ManifestProblem(msgspec.Struct, frozen=True):
    """One mistake: its position, the fault, the remedy. `where` is the key's path, or `file`."""

    file: str
    line: int
    column: int
    where: str
    what: str
    todo: str

    def __str__(self) -> str:
        return message(
            "{file}:{line}:{column}: {where}: {what}: {todo}",
            file=self.file,
            line=self.line,
            column=self.column,
            where=self.where,
            what=self.what,
            todo=self.todo,
        )


class ManifestError(ValueError):
    """All mistakes of a file, in the order of the file; one line each."""

    def __init__(self, problems: tuple[ManifestProblem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class YamlTree(msgspec.Struct):
    """A file's values, and the position of each key and each value, by its path (`("source", "include", 0)`)."""

    file: str
    root: dict[str, Value] = {}
    keys: dict[Path, Position] = {}
    values: dict[Path, Position] = {}
    problems: list[ManifestProblem] = []

    def wrong(self, place: Position, path: Path, what: str, todo: str) -> None:
        """Add one mistake."""
        self.problems.append(ManifestProblem(self.file, place.line, place.column, dotted(path) or "file", what, todo))

    def at(self, path: Path) -> Any:
        """Return the value at a path of the file."""
        value: Any = self.root
        for part in path:
            value = value[part]
        return value

    def error(self) -> "ManifestError":
        """Return the mistakes as one error, in the order of the file; of very many the first ones, and their number."""
        told = sorted(dict.fromkeys(self.problems), key=lambda p: (p.line, p.column))
        more = len(told) - MOST_PROBLEMS
        if more > 0:
            last = told[MOST_PROBLEMS]
            what = count(more, "{n} more mistake", "{n:,} more mistakes")
            told[MOST_PROBLEMS:] = [
                ManifestProblem(self.file, last.line, last.column, "file", what, message("correct these first"))
            ]
        return ManifestError(tuple(told))

    def refuse(self) -> None:
        """Raise ManifestError if there is a mistake."""
        if self.problems:
            raise self.error()


def dotted(path: Path) -> str:
    """Write a path as people do: `source.include[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
