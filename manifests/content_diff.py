"""What changed inside a small file: values of JSON and XML by their place, cells of tables by row and column, lines.

Rules:
1. A change is one line: where, the value before, the value after; None where there was none, or is none any more.
2. Parts of a list that have an identifier are compared by it, whatever their order; rows of a table by the first column
   whose values are unique. Without one, by position.
3. A file that cannot be read as what its name says is compared line by line; one that is no text is not compared.
"""

import csv
import difflib
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from manifests.reading import XmlElement, xml_tree

MAX_SIZE = 1 << 20  # bytes of a file that is compared
MAX_SHOWN = 200  # characters of a value
_KEYS = ("id", "@id", "identifier", "uuid", "key", "code", "kcdbCode", "name", "label", "path")
_JSON = (".json", ".geojson", ".jsonld", ".ipynb")
_TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}
_XML = (".xml", ".gml", ".kml", ".rdf", ".svg", ".xsd")


class ContentChange(msgspec.Struct, frozen=True):
    """One change: at `where`, `before` became `after`. None: there was no value, or there is none."""

    where: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.where}: + {self.after}"
        if self.after is None:
            return f"{self.where}: - {self.before}"
        return f"{self.where}: {self.before} → {self.after}"


def content_changes(path: str, before: bytes, after: bytes) -> Iterator[ContentChange] | None:
    """Yield what changed inside a file; None if it is no text."""
    try:
        old, new = before.decode("utf-8-sig"), after.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if "\0" in old or "\0" in new:
        return None
    both = _values(path.lower(), old, new)
    return _compared(*both) if both is not None else _lines(old, new)


def _values(name: str, old: str, new: str) -> tuple[dict[str, str], dict[str, str]] | None:
    """Return the values of both by their places; None if they have no structure."""
    suffix = name[name.rfind(".") :] if "." in name else ""
    try:
        if suffix in _JSON:
            return dict(_of_json(json.loads(old), "")), dict(_of_json(json.loads(new), ""))
        if suffix in _XML:
            return dict(_of_xml(xml_tree(old), "")), dict(_of_xml(xml_tree(new), ""))
        if suffix in _TABLES:
            return _of_tables(*(list(csv.reader(io.StringIO(text), delimiter=_TABLES[suffix])) for text in (old, new)))
    except (ValueError, RecursionError, csv.Error):  # errors of JSON and XML are ValueErrors
        return None
    return None


def _compared(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[ContentChange]:
    for where in dict.fromkeys((*old, *new)):
        before, after = old.get(where), new.get(where)
        if before != after:
            yield ContentChange(where or ".", _short(before), _short(after))


def _short(value: str | None) -> str | None:
    return value if value is None or len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"


def _of_json(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _of_json(one, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list) and value:
        for name, one in zip(_names_of(value), value, strict=True):
            yield from _of_json(one, f"{where}[{name}]")
    else:
        yield where, json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


def _names_of(values: list[Any]) -> list[str]:
    """Return what the parts of a list are named by: an identifier that all have, each its own; else their position."""
    for key in _KEYS:
        found = [one.get(key) if isinstance(one, dict) else None for one in values]
        names = [str(one) for one in found if isinstance(one, str | int) and not isinstance(one, bool)]
        if len(names) == len(values) == len(set(names)):
            return names
    return [str(number) for number in range(len(values))]


def _of_xml(element: XmlElement, where: str, name: str = "") -> Iterator[tuple[str, str]]:
    place = f"{where}/{element.name}[{name}]" if name else f"{where}/{element.name}"
    if text := element.text.strip():
        yield place, text
    elif not element.parts and not element.attributes:
        yield place, ""
    for key, value in element.attributes.items():
        if not key.startswith("xmlns"):
            yield f"{place}/@{key}", value
    by_name: dict[str, list[XmlElement]] = {}
    for part in element.parts:
        by_name.setdefault(part.name, []).append(part)
    for parts in by_name.values():
        names = _names_of([{**part.attributes, **part.texts()} for part in parts]) if len(parts) > 1 else [""]
        for each, part in zip(names, parts, strict=True):
            yield from _of_xml(part, place, each)


def _of_tables(old: list[list[str]], new: list[list[str]]) -> tuple[dict[str, str], dict[str, str]] | None:
    """Return the cells of both tables by row and column; None if they have no common key."""
    if not old or not new:
        return None
    key = next((name for name in old[0] if name in new[0] and _is_key(old, name) and _is_key(new, name)), None)
    return (dict(_cells(old, key)), dict(_cells(new, key))) if key is not None else None


def _is_key(table: list[list[str]], name: str) -> bool:
    column = table[0].index(name)
    values = [row[column] if column < len(row) else "" for row in table[1:]]
    return all(values) and len(set(values)) == len(values)


def _cells(table: list[list[str]], key: str) -> Iterator[tuple[str, str]]:
    header, column = table[0], table[0].index(key)
    for row in table[1:]:
        for name, value in zip(header, row, strict=False):
            if name != key:
                yield f"{row[column]}, {name}", value
        if len(header) == 1:
            yield row[column], ""


def _lines(old: str, new: str) -> Iterator[ContentChange]:
    before, after = old.splitlines(), new.splitlines()
    for kind, begin, end, start, stop in difflib.SequenceMatcher(None, before, after).get_opcodes():
        if kind == "equal":
            continue
        for number in range(max(end - begin, stop - start)):
            left = before[begin + number] if begin + number < end else None
            right = after[start + number] if start + number < stop else None
            line = begin + number + 1 if left is not None else start + number + 1
            yield ContentChange(f"line {line}", _short(left), _short(right))
