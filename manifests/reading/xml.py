"""Reads untrusted XML as a stream: no document types, no entities, bounded depth and bounded elements.

`elements` yields each element of a wanted name when it closes, with its children; nothing else is stored, so a document
of a million files needs the memory of one. `events` yields every element twice, as it opens and as it closes, for
formats in which outer elements describe inner ones. Names are local; the namespace is a separate field. Every parser of
XML is a target of `parse_xml`, and there is no other loop over expat.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO, Generic, Self, TypeVar
from xml.parsers import expat

from manifests.messages import message
from manifests.reading.buckets import HEAD, refuse_bucket
from manifests.reading.document import Document, DocumentError

Yielded = TypeVar("Yielded")

MAX_DEPTH = 64  # nested elements
MAX_PART = 4 << 20  # characters of text and attributes in one wanted element
PIECE = 64 << 10  # bytes read at once


class XmlError(ValueError):
    """The document is not valid XML, or has content that is not allowed."""


class Doctype(XmlError):
    """A document type declaration. No format needs one, and its entities can expand without limit."""


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

    def texts(self) -> dict[str, str]:
        """Return the text of each part by its name; of parts with one name, the last one's."""
        return {part.name: part.text for part in self.parts}


class XmlTarget(Generic[Yielded]):
    """What the parser calls: `path` has the local names of the open elements, `done` what there is to yield."""

    separator: str | None = " "
    """Between a namespace and a local name; None: namespaces are not resolved, and prefixes are cut off."""

    def __init__(self, root: str = "") -> None:
        """`root` is the required name of the outermost element; "" allows any."""
        self.root = root
        self.path: list[str] = []
        self.done: list[Yielded] = []

    def enter(self, tag: str) -> tuple[str, str]:
        """Note that an element opens, and return its namespace and local name. Raises XmlError."""
        space, _, name = tag.rpartition(self.separator or ":")
        if not self.path and self.root and name != self.root:
            raise XmlError(message("begins with <{name}>, not with <{root}>", name=name[:40], root=self.root))
        if len(self.path) >= MAX_DEPTH:
            raise XmlError(message("has elements nested more than {max_depth} deep", max_depth=MAX_DEPTH))
        self.path.append(name)
        return space, name

    def local(self, attributes: dict[str, str]) -> dict[str, str]:
        """Return attributes by their local names."""
        separator = self.separator or ":"
        return {key.rpartition(separator)[2]: value for key, value in attributes.items()}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Called as an element opens."""
        raise NotImplementedError

    def end(self, tag: str) -> None:
        """Called as an element closes."""
        del tag
        self.path.pop()

    def text(self, characters: str) -> None:
        """Called with a piece of text."""
        raise NotImplementedError

    def declare(self, prefix: str | None, uri: str | None) -> None:
        """Called as the scope of a namespace begins."""

    def undeclare(self, prefix: str | None) -> None:
        """Called as the scope of a namespace ends."""


def parse_xml(pieces: Iterable[bytes | str], target: XmlTarget[Yielded]) -> Iterator[Yielded]:
    """Parse a document, and yield what the target has done after each piece. Raises XmlError, Doctype.

    What was done before an error is yielded first.
    """
    parser = expat.ParserCreate(namespace_separator=target.separator)
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = target.start, target.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = target.text, _refuse_doctype
    parser.StartNamespaceDeclHandler, parser.EndNamespaceDeclHandler = target.declare, target.undeclare
    wrong: Exception | None = None
    is_first = True
    for piece in chain(pieces, (b"",)):
        try:
            parser.Parse(piece.lstrip() if is_first else piece, not piece)
        except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two: an unknown encoding
            wrong = error
        is_first = False
        yield from target.done
        target.done.clear()
        if isinstance(wrong, XmlError):
            raise wrong
        if wrong is not None:
            raise XmlError(message("cannot be read as XML: {wrong}", wrong=wrong)) from wrong


def _refuse_doctype(name: str, *_: object) -> None:
    raise Doctype(message("has a document type declaration ({name}), which is not allowed", name=name[:40]))


class _ElementBuilder(XmlTarget[XmlElement]):
    """Builds each wanted element with its parts. `wanted` is None for the whole document."""

    def __init__(self, wanted: Container[str] | None, root: str, most: int) -> None:
        super().__init__(root)
        self.wanted = wanted
        self.most = most
        self.open: list[XmlElement] = []  # from the outermost wanted element down
        self.taken = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        space, name = self.enter(tag)
        if not self.open and self.wanted is not None and name not in self.wanted:
            return
        part = XmlElement(name, space, self.local(attributes) if attributes else {})
        self._take(len(name))
        for key, value in attributes.items():
            self._take(len(key) + len(value))
        if self.open:
            self.open[-1].parts.append(part)
        self.open.append(part)

    def text(self, characters: str) -> None:
        if self.open and not self.open[-1].parts:
            self._take(len(characters))
            self.open[-1].text += characters

    def end(self, tag: str) -> None:
        super().end(tag)
        if self.open:
            part = self.open.pop()
            if not self.open:
                self.taken = 0
                self.done.append(part)

    def _take(self, count: int) -> None:
        self.taken += count + 64
        if self.taken > self.most:
            raise XmlError(
                message(
                    "has an element <{name}> of more than {most} bytes",
                    name=self.open[0].name if self.open else "",
                    most=self.most,
                )
            )


class _ElementEvents(XmlTarget[tuple[bool, XmlElement]]):
    """Keeps the open elements only."""

    def __init__(self, root: str = "") -> None:
        super().__init__(root)
        self.open: list[XmlElement] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        space, name = self.enter(tag)
        part = XmlElement(name, space, self.local(attributes) if attributes else {})
        self.open.append(part)
        self.done.append((True, part))

    def text(self, characters: str) -> None:
        if self.open:
            part = self.open[-1]
            if len(part.text) + len(characters) > MAX_PART:
                raise XmlError(
                    message("has an element <{name}> of more than {max_part} bytes", name=part.name, max_part=MAX_PART)
                )
            part.text += characters

    def end(self, tag: str) -> None:
        super().end(tag)
        self.done.append((False, self.open.pop()))


class _PrefixedBuilder(_ElementBuilder):
    separator = None


class _PrefixedEvents(_ElementEvents):
    separator = None


def elements(document: Document, wanted: Container[str], *, root: str = "") -> Iterator[XmlElement]:
    """Yield every element whose local name is wanted, and is not inside another wanted one, in document order.

    `root` is the required name of the outermost element. Raises DocumentError for invalid or other XML, a DOCTYPE, or
    too much nesting; elements that were complete before it were yielded.
    """
    return parse_document(document, _ElementBuilder(wanted, root, MAX_PART))


def events(document: Document, *, root: str = "") -> Iterator[tuple[bool, XmlElement]]:
    """Yield `(True, part)` as an element opens and `(False, part)` as it closes, its own text then in it; never parts.

    `root` and errors are as for `elements`.
    """
    return parse_document(document, _ElementEvents(root))


def parse_document(document: Document, target: XmlTarget[Yielded]) -> Iterator[Yielded]:
    """Parse a document as `parse_xml` does. Raises DocumentError, with the document's url."""
    at = document.stream.tell()
    refuse_bucket(document.stream.read(HEAD), document.url)
    document.stream.seek(at)
    try:
        yield from parse_xml(_pieces(document.stream), target)
    except XmlError as error:
        raise DocumentError(message("{url}: {cause}", url=document.url, cause=error)) from error


def xml_events(pieces: Iterable[bytes | str]) -> Iterator[tuple[bool, XmlElement]]:
    """Yield what `events` yields, for XML that is no Document; prefixes need no declaration. Raises XmlError."""
    return parse_xml(pieces, _PrefixedEvents())


def xml_tree(body: bytes | str, most: int = MAX_PART) -> XmlElement:
    """Return the outermost element with all its parts; prefixes need no declaration. Raises XmlError, Doctype."""
    (root,) = parse_xml((body,), _PrefixedBuilder(None, "", most))
    return root


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(PIECE), b"")
