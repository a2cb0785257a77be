"""The old import path of the XML parsers in `manifests.reader_api`; 0.3 removes it."""

from collections.abc import Container, Iterator

from manifests import reading  # whole: a name of ours here would hide the old one
from manifests.moved import forwarding, warn


class _Part(reading.XmlElement):
    """An XmlElement under its old name."""

    __slots__ = ()

    def says(self, *path: str) -> str:
        """Return the text of the first part down a path; the old name of `text_of`."""
        warn("manifests.xml.Part.says", "XmlElement")
        return self.text_of(*path)


def _parts(document: reading.Document, wanted: Container[str], *, root: str = "") -> Iterator[reading.XmlElement]:
    """Yield the elements of a wanted name; the old name of `elements`."""
    for element in reading.elements(document, wanted, root=root):
        _rename(element)
        yield element


def _events(document: reading.Document, *, root: str = "") -> Iterator[tuple[bool, reading.XmlElement]]:
    """Yield every element as it opens and as it closes, with the old names of its methods."""
    for is_start, element in reading.events(document, root=root):
        _rename(element)
        yield is_start, element


def _rename(element: reading.XmlElement) -> None:
    element.__class__ = _Part
    for part in element.parts:
        _rename(part)


__getattr__ = forwarding(
    __name__,
    "manifests.reading.xml",
    {"Part": "XmlElement", "parts": "elements"},
    {"Part": _Part, "parts": _parts, "events": _events},
)
