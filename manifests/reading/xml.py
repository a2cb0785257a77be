"""Reads untrusted XML as a stream: no document types, no entities, bounded depth and bounded elements.

`elements` yields each element of a wanted name when it closes, with its children; nothing else is stored, so a document
of a million files needs the memory of one. `events` yields every element twice, as it opens and as it closes, for
formats in which outer elements describe inner ones. Names are local; the namespace is a separate field.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar
from xml.parsers import expat

from manifests.reading.document import Document, DocumentError

Yielded = TypeVar("Yielded")

MAX_DEPTH = 64  # nested elements
MAX_PART = 4 << 20  # characters of text and attributes in one wanted element
PIECE = 64 << 10  # bytes read at once

BROKEN_XML = (expat.ExpatError, ValueError, LookupError)
"""The exceptions of expat for invalid XML; the latter two for an unknown encoding."""


@dataclass(slots=True)
class XmlElement:
    """One element: its local name and namespace, its attributes by local name, the text in front of its children."""

    name: str
    space: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    parts: list[Self] = field(default_factory=list)
    text: str = ""

    def all(self, *path: str) -> Iterator[Self]:
        """Yield the parts found down a path of names."""
        for part in self.parts:
            if part.name == path[0]:
                if len(path) == 1:
                    yield part
                else:
                    yield from part.all(*path[1:])

    def first(self, *path: str) -> Self | None:
        """Return the first part down a path of names."""
        return next(self.all(*path), None)

    def text_of(self, *path: str) -> str:
        """Return the text of the first part down a path, without the space around it; "" if there is none."""
        found = self.first(*path)
        return found.text.strip() if found is not None else ""


class _RejectedXml(ValueError):
    """Raised within a handler for content that is not allowed."""


class _ElementBuilder:
    """The state of expat's handlers: the stack of open elements, and the wanted ones among them."""

    def __init__(self, wanted: Container[str], root: str) -> None:
        self.wanted = wanted
        self.root = root
        self.depth = 0
        self.open: list[XmlElement] = []  # from the outermost wanted element down
        self.taken = 0
        self.done: list[XmlElement] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        space, _, name = tag.rpartition(" ")
        if self.depth == 0 and self.root and name != self.root:
            raise _RejectedXml(f"begins with <{name[:40]}>, not with <{self.root}>")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _RejectedXml(f"has elements nested more than {MAX_DEPTH} deep")
        if not self.open and name not in self.wanted:
            return
        part = XmlElement(name, space)
        self._take(len(name))
        for key, value in attributes.items():
            part.attributes[key.rpartition(" ")[2]] = value
            self._take(len(key) + len(value))
        if self.open:
            self.open[-1].parts.append(part)
        self.open.append(part)

    def text(self, characters: str) -> None:
        if self.open and not self.open[-1].parts:
            self._take(len(characters))
            self.open[-1].text += characters

    def end(self, _: str) -> None:
        self.depth -= 1
        if self.open:
            part = self.open.pop()
            if not self.open:
                self.taken = 0
                self.done.append(part)

    def _take(self, count: int) -> None:
        self.taken += count + 64
        if self.taken > MAX_PART:
            raise _RejectedXml(
                f"has an element <{self.open[0].name if self.open else ''}> of more than {MAX_PART} bytes"
            )

    def doctype(self, *_: object) -> None:
        raise _RejectedXml("has a document type declaration, which is not allowed")


def elements(document: Document, wanted: Container[str], *, root: str = "") -> Iterator[XmlElement]:
    """Yield every element whose local name is wanted, and is not inside another wanted one, in document order.

    `root` is the required name of the outermost element. Raises DocumentError for invalid or other XML, a DOCTYPE, or
    too much nesting; elements that were complete before it were yielded.
    """
    return _fed(document, _ElementBuilder(wanted, root))


def events(document: Document, *, root: str = "") -> Iterator[tuple[bool, XmlElement]]:
    """Yield `(True, part)` as an element opens and `(False, part)` as it closes, its own text then in it; never parts.

    `root` and errors are as for `elements`.
    """
    return _fed(document, _ElementEvents(root))


class _ElementEvents:
    """The state of expat's handlers for `events`: only the open elements."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.open: list[XmlElement] = []
        self.done: list[tuple[bool, XmlElement]] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        space, _, name = tag.rpartition(" ")
        if not self.open and self.root and name != self.root:
            raise _RejectedXml(f"begins with <{name[:40]}>, not with <{self.root}>")
        if len(self.open) >= MAX_DEPTH:
            raise _RejectedXml(f"has elements nested more than {MAX_DEPTH} deep")
        part = XmlElement(name, space, {key.rpartition(" ")[2]: value for key, value in attributes.items()})
        self.open.append(part)
        self.done.append((True, part))

    def text(self, characters: str) -> None:
        if self.open:
            part = self.open[-1]
            if len(part.text) + len(characters) > MAX_PART:
                raise _RejectedXml(f"has an element <{part.name}> of more than {MAX_PART} bytes")
            part.text += characters

    def end(self, _: str) -> None:
        self.done.append((False, self.open.pop()))

    def doctype(self, *_: object) -> None:
        raise _RejectedXml("has a document type declaration, which is not allowed")


class _XmlTarget(Protocol[Yielded]):
    """The handlers of expat; `done` holds the results to yield."""

    done: list[Yielded]

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...
    def end(self, _: str) -> None: ...
    def text(self, characters: str) -> None: ...
    def doctype(self, *_: object) -> None: ...


def _fed(document: Document, building: _XmlTarget[Yielded]) -> Iterator[Yielded]:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = building.start
    parser.EndElementHandler = building.end
    parser.CharacterDataHandler = building.text
    parser.StartDoctypeDeclHandler = building.doctype
    piece = document.stream.read(PIECE).lstrip()
    wrong: Exception | None = None
    while wrong is None:
        try:
            parser.Parse(piece, not piece)
        except BROKEN_XML as error:
            wrong = error
        yield from building.done
        building.done.clear()
        if not piece:
            break
        piece = document.stream.read(PIECE)
    if wrong is not None:
        raise DocumentError(f"{document.url}: {_said(wrong)}") from wrong


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, _RejectedXml) else f"cannot be read as XML: {error}"
