"""Reads one YAML mapping and remembers where each key stands, so that every error can point at its line and column.

YAML 1.2. Refused: several documents, aliases and anchors (they can grow without bound), duplicate keys, tags, more than
1 MiB.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES = 1 << 20

Model = TypeVar("Model", bound=BaseModel)
Spot = tuple[int, int]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where, and what to do about it; lines and columns count from 1."""

    file: str
    line: int
    column: int
    where: str
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.where}: {self.what}: {self.todo}"


class YamlError(ValueError):
    """A file that is not what it should be; `problems` are all of them."""

    def __init__(self, problems: list[Problem]) -> None:
        """`problems` are sorted by where they stand."""
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        super().__init__("\n".join(map(str, self.problems)))


def load(model: type[Model], text: str, file: str) -> Model:
    """Return the model that `text` declares. Raises YamlError with every problem of the file."""
    if len(text) > MAX_BYTES:
        raise YamlError([Problem(file, 1, 1, "file", f"longer than {MAX_BYTES} bytes", "split it into several files")])
    tree = _Tree(file)
    try:
        values = tree.read(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        what = " ".join(filter(None, (error.context, error.problem))) or "not YAML"
        raise YamlError([Problem(file, line, column, "file", what, "mend the YAML here")]) from error
    except YAMLError as error:
        raise YamlError([Problem(file, 1, 1, "file", f"not YAML: {error}", "save it as UTF-8 YAML")]) from error
    problems = tree.problems
    try:
        found = model.model_validate(values)
    except ValidationError as error:
        problems += [tree.problem(model, detail) for detail in error.errors()]
        raise YamlError(problems) from error
    if problems:
        raise YamlError(problems)
    return found


class _Tree:
    """The values of one document, and the spots where its keys and values stand."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.keys: dict[Path, Spot] = {}
        self.values: dict[Path, Spot] = {}
        self.problems: list[Problem] = []

    def read(self, text: str) -> Any:
        yaml = YAML(typ="safe", pure=True)
        for event in yaml.parse(text):
            if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
                spot = (event.start_mark.line + 1, event.start_mark.column + 1)
                self._add(spot, "file", "anchors and aliases are not allowed here", "write the value out")
        if self.problems:
            raise YamlError(self.problems)
        nodes = list(yaml.compose_all(text))
        if len(nodes) > 1:
            self._add(_spot(nodes[1]), "file", "a second document begins", "give each its own file")
        if not nodes or not isinstance(nodes[0], MappingNode):
            spot = _spot(nodes[0]) if nodes and nodes[0] is not None else (1, 1)
            self._add(spot, "file", "no keys and values", "begin with a key such as `mirror: name`")
            raise YamlError(self.problems)
        self._yaml = yaml
        return self._value(nodes[0], ())

    def _value(self, node: Node, path: Path) -> Any:
        self.values[path] = _spot(node)
        if isinstance(node, MappingNode):
            found: dict[str, Any] = {}
            for key, value in node.value:
                name = str(key.value) if isinstance(key, ScalarNode) else repr(key.value)
                if name in found:
                    self._add(_spot(key), _dotted((*path, name)), "this key is here twice", "keep one of them")
                self.keys[(*path, name)] = _spot(key)
                found[name] = self._value(value, (*path, name))
            return found
        if isinstance(node, SequenceNode):
            return [self._value(child, (*path, at)) for at, child in enumerate(node.value)]
        return self._yaml.constructor.construct_object(node, deep=True)

    def problem(self, model: type[BaseModel], detail: Any) -> Problem:
        """Return the Problem of one of pydantic's errors."""
        path: Path = tuple(detail["loc"])
        kind, where = detail["type"], _dotted(path)
        if kind == "extra_forbidden":
            names = _names(model, path[:-1])
            near = get_close_matches(str(path[-1]), names, 1)
            todo = f"did you mean {near[0]}?" if near else f"use one of {', '.join(sorted(names))}"
            return Problem(self.file, *self._spot(path, key=True), where, "this key is not known", todo)
        if kind == "missing":
            return Problem(self.file, *self._spot(path[:-1], key=True), where, "is missing", f"add `{path[-1]}:`")
        message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        what, separator, todo = message.partition(": ")
        if not separator:
            what, todo = f"{what} (found {detail.get('input')!r})", "see docs/writing-a-manifest.md"
        return Problem(self.file, *self._spot(path, key=False), where or "file", what, todo)

    def _spot(self, path: Path, *, key: bool) -> Spot:
        spots = self.keys if key else self.values
        while path and path not in spots:
            path = path[:-1]
        return spots.get(path) or self.values.get(path, (1, 1))

    def _add(self, spot: Spot, where: str, what: str, todo: str) -> None:
        self.problems.append(Problem(self.file, *spot, where, what, todo))


def _names(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys allowed at `path` of a model."""
    for part in path:
        if not isinstance(part, str):
            continue
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        inner = (
            next((a for a in _types(field.annotation) if isinstance(a, type) and issubclass(a, BaseModel)), None)
            if field
            else None
        )
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _types(annotation: Any) -> list[Any]:
    inner = getattr(annotation, "__args__", None)
    return [annotation] if inner is None else [found for one in inner for found in _types(one)]


def _spot(node: Node) -> Spot:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)
