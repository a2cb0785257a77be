"""The reader for Metalinks, of version 4 (RFC 5854) and of version 3, which UniProt and ASF still write.

The list has the size, the digests and the urls of each file, the best url first. Rules:

1. `priority` counts up from the best (4), `preference` down from it (3); equal ones keep their order;
   urls in a country that the manifest prefers come first.
2. Urls of other protocols than the manifest's are ignored. A file without any other url, or every file with
   `beside: true`, is downloaded from the folder of the list.
3. Invalid digests are ignored and noted; those without a type, and those of pieces, are ignored. Names that lead out of
   the folder are yielded unchanged; `check_path` rejects them.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import BaseModel, Field

from manifests.messages import message
from manifests.model import AtLeastOne, Flag, PathBelow, like
from manifests.reading import (
    ANY,
    WEB,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    SkippedEntries,
    XmlElement,
    are_digests,
    below,
    chosen,
    digests,
    elements,
    size,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

V3 = "http://www.metalinker.org/"
V4 = "urn:ietf:params:xml:ns:metalink"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://[^\s/?#]\S*")
_WORST = 999_999  # the default of version 4 for a url without a priority


class MetalinkOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    lists: Annotated[tuple[PathBelow, ...], AtLeastOne] = Field(json_schema_extra={"minItems": 1})
    """Paths of the Metalinks, relative to the url, as in RELEASE.metalink."""
    protocols: tuple[Annotated[str, like("[a-z][a-z0-9+.-]*", "is not a protocol", "write it as in https")], ...] = ()
    """The protocols to download by; by default https and http, or that of the url."""
    prefer: tuple[Annotated[str, like("[A-Za-z]{2}", "is not a country", "write two letters, as in ch")], ...] = ()
    """Countries (two letters, as in the list) whose urls are preferred."""
    beside: Flag = False
    """Download every file from the folder of its list, and from no other url."""


def open_reader(source: ReaderSource) -> "MetalinkReader":
    """Return the reader for `source`."""
    return MetalinkReader(source.url, chosen(source, MetalinkOptions))


class MetalinkReader:
    """A Reader: one request for each Metalink; one Stat for each file in it, and one for the Metalink itself."""

    native = False

    def __init__(self, url: str, options: MetalinkOptions) -> None:
        own = url.partition("://")[0]
        self._lists = tuple(dict.fromkeys(options.lists))
        self._protocols = frozenset(options.protocols) or (WEB if own in WEB else frozenset({own}))
        self._prefer = tuple(country.lower() for country in options.prefer)
        self._beside = options.beside

    def start(self) -> Iterable[DocumentRequest]:
        """Request the lists."""
        return [DocumentRequest(url=path, state=path) for path in self._lists]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield what the list names, then the list itself."""
        path = document.asked.state
        folder = path.rpartition("/")[0]
        whole, length = hashlib.sha256(), 0
        while block := document.stream.read(1 << 20):
            whole.update(block)
            length += len(block)
        document.stream.seek(0)
        unread = SkippedEntries(document)
        seen = False
        for part in elements(document, {"file"}, root="metalink"):
            if part.space not in (V3, V4):
                raise DocumentError(
                    message(
                        "{url}: a <file> of namespace {space!r}, which is neither Metalink 3 nor 4",
                        url=document.url,
                        space=part.space,
                    )
                )
            seen = True
            name = part.attributes.get("name", "")
            if not name:
                unread.add(message("a file without a name"))
            elif (named := name if name.startswith("/") else below(folder, name)) != path:
                yield self._file(part, named)
                if not are_digests(*_hashes(part)):
                    yield ReaderWarning(message("invalid checksums were ignored"))
        if not seen:
            raise DocumentError(message("{url}: a Metalink without a single file", url=document.url))
        unread.raise_if_any()
        yield Stat(path, size=length, version=f"sha256:{whole.hexdigest()}")

    def _file(self, part: XmlElement, path: str) -> Stat:
        promised = digests(*_hashes(part))
        urls = () if self._beside else self._places(part)
        return Stat(path, size(part.text_of("size")), digests=promised, urls=urls)

    def _places(self, part: XmlElement) -> tuple[str, ...]:
        found: list[tuple[int, int, str]] = []
        for place in part.all("resources", "url") if part.space == V3 else part.all("url"):
            url = place.text.strip()
            if _scheme(url) in self._protocols:
                country = place.attributes.get("location", "").lower()
                near = self._prefer.index(country) if country in self._prefer else len(self._prefer)
                found.append((near, _rank(place, part.space), url))
        found.sort(key=lambda one: one[:2])
        return tuple(dict.fromkeys(url for _, _, url in found))


def _hashes(part: XmlElement) -> list[tuple[str, str]]:
    """Return the types and values of a file's own hashes."""
    hashes = part.all("verification", "hash") if part.space == V3 else part.all("hash")
    return [(each.attributes["type"], each.text) for each in hashes if each.attributes.get("type")]


def _rank(place: XmlElement, space: str) -> int:
    """Return a number that is lower for better urls."""
    if space == V3:
        preference = size(place.attributes.get("preference", ""))
        return 100 - preference if preference is not None and preference <= 100 else 100
    priority = size(place.attributes.get("priority", ""))
    return priority if priority is not None and 0 < priority <= _WORST else _WORST


def _scheme(url: str) -> str:
    found = _URL.fullmatch(url)
    return found[1].lower() if found is not None and url.isprintable() else ""


READER = ReaderKind(open_reader, MetalinkOptions, ANY, proof=CompletenessProof(end="the end tag of the XML"))
