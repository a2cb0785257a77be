"""Parses one YAML file into plain values, with the line and column of each, and reports every mistake at its position.

Rules:
1. Only YAML 1.2's core schema is allowed: no tags, anchors, aliases or merge keys (so no bombs), one
   document, a mapping at the top, text keys, no key twice, no key without a value.
2. Everything is bounded: bytes, depth, values.
3. All mistakes are reported at once; at a syntax error, parsing ends.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import RoundTripScanner, ScannerError
from ruamel.yaml.tokens import ScalarToken

from manifests.messages import message
from manifests.yaml.yaml_tree import ManifestError, Path, Position, Value, YamlTree

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_VALUES = 20_000

LONGEST_TAG = 200  # characters; the library decodes a tag in quadratic time, a file of one tag in half a minute

_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_QUOTED = re.compile(r"'[^']{2,}'")
_HIDDEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
_HALFWIDTH = {"：": ":", "，": ",", "“": '"', "”": '"', "‘": "'", "’": "'", "｛": "{", "｝": "}", "［": "[", "］": "]"}
_FULLWIDTH = re.compile(r"(?<=[\s\w\[{,:\"'])[：，“‘｛［]|^[：，“‘｛［]|[”’｝］](?=\s*[,\]}]|\s*$)")
_PLAIN_VALUE = re.compile(r"\s*(?:- )?[\w-]+:\s+[^\s\[{“‘｛［\"'#]")  # whose punctuation is its own
_KEY_BELOW = re.compile(r"\n[ \t]*[\w-]+:(?:\s|$)")
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,40}|[0-9]{1,40}(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,3})?")


def read(text: str | bytes, file: str) -> YamlTree:
    """Parse one file. Mistakes are in the tree's `problems`; a syntax error raises ManifestError."""
    tree = YamlTree(file)
    events = _Events(_decoded(text, tree), tree)
    try:
        _document(events, tree)
    except _Stop:
        tree.refuse()
        raise
    return tree


class _Stop(Exception):
    """Nothing after this position can be parsed; the reason is among the problems."""


def _decoded(text: str | bytes, tree: YamlTree) -> str:
    """Return the file as text; raises ManifestError if it is too long or not UTF-8."""
    if len(text) > MAX_BYTES:
        tree.wrong(
            Position(1, 1),
            (),
            message("the file is longer than {max_bytes:,} bytes", max_bytes=MAX_BYTES),
            message("split it into several files"),
        )
        tree.refuse()
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        place = Position(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        tree.wrong(
            place,
            (),
            message("the byte 0x{text:02x} is not UTF-8", text=text[error.start]),
            message("save the file as UTF-8"),
        )
        raise ManifestError(tuple(tree.problems)) from error


class _Events:
    """The parser's events, counted; its errors become problems."""

    def __init__(self, text: str, tree: YamlTree) -> None:
        self.tree = tree
        self.count = 0
        self._text = text
        parser = YAML(typ="rt", pure=True)
        parser.Scanner = _BoundedScanner
        self._events: Iterator[Event] = iter(parser.parse(text))

    def next(self) -> Event:
        """Return the next event; raises _Stop at a syntax error."""
        self.count += 1
        if self.count > MAX_VALUES:
            self.tree.wrong(
                Position(1, 1),
                (),
                message("the file contains more than {max_values:,} values", max_values=MAX_VALUES),
                message("split it"),
            )
            raise _Stop
        try:
            event = next(self._events)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Position(mark.line + 1, mark.column + 1) if mark is not None else Position(1, 1)
            if not self.refuse_fullwidth(place.line) and not self._refuse_unclosed(place.line):
                what, todo = _syntax(str(error.problem or message("this is not valid YAML")), str(error.context or ""))
                self.tree.wrong(place, (), what, todo)
            raise _Stop from error
        except ReaderError as error:
            before = self._text[: error.position]
            place = Position(before.count("\n") + 1, error.position - before.rfind("\n"))
            self.tree.wrong(
                place, (), message("an invisible control character"), message("delete it; a file contains text only")
            )
            raise _Stop from error
        except (YAMLError, ValueError, RecursionError) as error:
            self.tree.wrong(
                Position(1, 1), (), message("this is not valid YAML"), message("compare it with an example")
            )
            raise _Stop from error
        return event

    def refuse_fullwidth(self, last: int) -> bool:
        """Report the first fullwidth punctuation up to line `last` that stands in the place of YAML's own, if any."""
        for number, line in enumerate(self._text.splitlines()[:last], 1):
            found = _FULLWIDTH.search(line.partition(" #")[0]) if _PLAIN_VALUE.match(line) is None else None
            if found is not None:
                written = found[0]
                self.tree.wrong(
                    Position(number, found.start() + 1),
                    (),
                    message("a fullwidth {written}", written=written),
                    message("write {character} in its place", character=_HALFWIDTH[written]),
                )
                return True
        return False

    def _refuse_unclosed(self, last: int) -> bool:
        """Report a quote that was closed only by that of a later line, which the keys between them show, if any."""
        found: Position | None = None
        parser = YAML(typ="rt", pure=True)
        parser.Scanner = _BoundedScanner
        with suppress(YAMLError):
            for token in parser.scan(self._text):
                if not isinstance(token, ScalarToken) or token.plain:
                    continue
                begins, ends = token.start_mark, token.end_mark
                if begins.line < ends.line < last and _KEY_BELOW.search(self._text, begins.index, ends.index):
                    found = Position(begins.line + 1, begins.column + 1)
        if found is not None:
            self.tree.wrong(found, (), message("an unclosed quote"), message("close it"))
        return found is not None


class _BoundedScanner(RoundTripScanner):
    """The library's scanner, which stops at an endless tag."""

    def scan_tag_uri(self, name: Any, start_mark: Any) -> str:
        """Return the suffix of a tag; raises ScannerError where it is too long."""
        suffix = str(super().scan_tag_uri(name, start_mark))
        if len(suffix) > LONGEST_TAG:
            raise ScannerError("while scanning a tag", start_mark, "the tag is too long", start_mark)
        return suffix


def _syntax(problem: str, context: str) -> tuple[str, str]:
    """Convert the parser's message into a fault and a remedy; the file's text is never quoted."""
    if "'\\t'" in problem:
        return message("a tab"), message("indent with spaces")
    if "cannot start any token" in problem:
        return problem, message("put the value in quotes")
    if "mapping values are not allowed" in problem:
        return (
            message("a second `: ` in one line, or a line indented too far"),
            message("put the value in quotes, or indent it as the lines around it"),
        )
    if "quoted scalar" in context:
        return message("an unclosed quote"), message("close it")
    if "flow" in context:
        return (
            message("an unclosed [ or {, or a missing comma"),
            message("close it, and separate the values with commas"),
        )
    if "expected <block end>" in problem:
        return message("inconsistent indentation"), message("give all keys of one block the same indentation")
    if "could not find expected ':'" in problem:
        return message("a line that is neither `key: value` nor `- value`"), message(
            "write a colon and a space after the key"
        )
    if "tag" in f"{context} {problem}":
        return message("a value that begins with !"), message("put it in quotes")
    if "alias" in context or "anchor" in context:
        return message("a value that begins with * or &"), message('put it in quotes, as in "*.nc"')
    return _QUOTED.sub("that", problem), message("compare it with an example; quotes around the value often help")


def _place(event: Event) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _document(events: _Events, tree: YamlTree) -> None:
    events.next()  # the stream's start
    first = events.next()
    if not isinstance(first, DocumentStartEvent):
        tree.wrong(Position(1, 1), (), message("the file is empty"), message("begin with its first key"))
        raise _Stop
    top = events.next()
    value = _value(events, tree, top, (), 0)
    if isinstance(value, dict):
        tree.root = value
    elif isinstance(top, ScalarEvent) and top.value == "":
        tree.wrong(_place(top), (), message("the file is empty"), message("begin with its first key"))
        raise _Stop
    else:
        if not events.refuse_fullwidth(_place(top).line + str(getattr(top, "value", "")).count("\n")):
            tree.wrong(
                _place(top), (), message("the file is not a mapping"), message("write `key: value` lines at the top")
            )
        raise _Stop
    events.next()  # the document's end
    after = events.next()
    if isinstance(after, DocumentStartEvent):
        tree.wrong(
            _place(after),
            (),
            message("a second document begins here"),
            message("write a file for each; delete the ---"),
        )
        raise _Stop


def _value(events: _Events, tree: YamlTree, event: Event, path: Path, depth: int) -> Value:
    """Build one value, which begins with `event`."""
    place = _place(event)
    tree.values[path] = place
    if isinstance(event, AliasEvent):
        tree.wrong(
            place,
            path,
            message("an alias (a value that begins with *)"),
            message('write it out, or put it in quotes, as in "*.nc"'),
        )
        return None
    _refuse_decoration(tree, event, place, path)
    if isinstance(event, ScalarEvent):
        return _scalar(tree, event, place, path)
    if depth >= MAX_DEPTH:
        tree.wrong(
            place,
            (),
            message("more than {max_depth} levels deep", max_depth=MAX_DEPTH),
            message("close the brackets, or use fewer levels"),
        )
        raise _Stop
    if isinstance(event, MappingStartEvent):
        return _mapping(events, tree, path, depth)
    listed: list[Value] = []
    while not isinstance(following := events.next(), SequenceEndEvent):
        listed.append(_value(events, tree, following, (*path, len(listed)), depth + 1))
    return listed


def _mapping(events: _Events, tree: YamlTree, path: Path, depth: int) -> dict[str, Value]:
    mapping: dict[str, Value] = {}
    while not isinstance(event := events.next(), MappingEndEvent):
        place = _place(event)
        if not isinstance(event, ScalarEvent):
            tree.wrong(
                place,
                path,
                message("a key that is not text"),
                message('write `key: value`, and quote a glob, as in "*.nc"'),
            )
            raise _Stop
        _refuse_decoration(tree, event, place, path)
        key = str(event.value)
        inner = (*path, key)
        if event.implicit[0] and "：" in key:
            tree.wrong(
                Position(place.line, place.column + key.index("：")),
                path,
                message("a fullwidth {written}", written="："),
                message("write {character} in its place", character=": "),
            )
            _value(events, YamlTree(tree.file), events.next(), inner, depth + 1)  # skip it
            continue
        if inner in tree.keys:
            first = tree.keys[inner].line
            tree.wrong(
                place,
                inner,
                message("is a duplicate key, first used in line {first}", first=first),
                message("delete one of the two"),
            )
            _value(events, YamlTree(tree.file), events.next(), inner, depth + 1)  # skip it
            continue
        tree.keys[inner] = place
        mapping[key] = _value(events, tree, events.next(), inner, depth + 1)
    return mapping


def _refuse_decoration(tree: YamlTree, event: Event, place: Position, path: Path) -> None:
    """Reject anchors, and tags other than that of text."""
    if isinstance(event, NodeEvent) and event.anchor is not None:
        tree.wrong(
            place,
            path,
            message("an anchor (a value that begins with &)"),
            message("write the value without it, or quote it"),
        )
    tag = event.tag if isinstance(event, ScalarEvent | CollectionStartEvent) else None
    if tag is not None and str(tag) not in _TEXT_TAGS:
        tree.wrong(
            place, path, message("a tag (a value that begins with !)"), message('put it in quotes, as in "!name"')
        )


def _scalar(tree: YamlTree, event: ScalarEvent, place: Position, path: Path) -> Value:
    text = str(event.value)
    if _HIDDEN.search(text):
        tree.wrong(place, path, message("an invisible control character"), message("delete it"))
        return ""
    if event.style in {"'", '"', "|", ">"} or not event.implicit[0]:
        return text
    if _NULL.fullmatch(text):
        if path:
            tree.wrong(
                tree.keys.get(path, place), path, message("has no value"), message("write one, or delete the key")
            )
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
