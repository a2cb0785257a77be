"""The reader for CKAN, which most open data portals run: packages, and the files that they link to.

Rules:
1. What publishers typed is not reliable: a size counts only for files that the portal itself stores, and a `hash` not
   with `trust_hash: false`. If the portal does not show changes, the file's own server is asked.
2. A file has the name that its link ends in, in a folder of its package's name; files of one package that would share
   a name have a folder of their id each.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal
from urllib.parse import urlencode

import msgspec
from pydantic import BaseModel, Field, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Flag, like
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    PageChain,
    ReaderKind,
    ReaderSource,
    Selected,
    SkippedEntries,
    absolute,
    below,
    chosen,
    dig,
    digests,
    folders,
    link_name,
    moment,
    read_json,
    size,
    text,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

ROWS = 1000  # packages in one answer to a search: the most that CKAN returns


Package = Annotated[str, like(r"[\w-]{1,200}", "is not a package", "write what follows /dataset/ in its address")]


class CkanOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    packages: tuple[Package, ...] = ()
    """The packages (datasets) wanted, by name or id."""
    query: Annotated[str, Field(max_length=2_000)] = ""
    """A filter in the portal's search language, as in organization:usgs; all matching packages are mirrored."""
    formats: tuple[str, ...] = ()
    """The formats wanted, as the portal names them (CSV, NetCDF); empty means all."""
    names: Literal["links", "ids"] = "links"
    """`links` names files by the end of their links, `ids` puts each into a folder of its id."""
    trust_hash: Flag = True
    """Treat the portal's `hash` as a published checksum."""

    @model_validator(mode="after")
    def _validate(self) -> "CkanOptions":
        if bool(self.packages) == bool(self.query):
            raise InvalidValue(
                message("names both packages and a query, or neither"), message("name packages, or a query")
            )
        return self


class _CkanState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the folder of a package, or the pages of a search so far."""

    folder: str = ""
    pages: PageChain | None = None


class _CkanFile(msgspec.Struct):
    id: object = None
    url: object = None
    url_type: object = None
    name: object = None
    format: object = None
    size: object = None
    hash: object = None
    last_modified: object = None


class _CkanPackage(msgspec.Struct):
    name: object = None
    id: object = None
    num_resources: object = None
    resources: list[_CkanFile] | None = None


class _CkanPackageResponse(msgspec.Struct):
    success: object = None
    error: object = None
    result: _CkanPackage | None = None


class _CkanHits(msgspec.Struct):
    count: object = None
    results: list[_CkanPackage] | None = None


class _CkanSearchResponse(msgspec.Struct):
    success: object = None
    error: object = None
    result: _CkanHits | None = None


def open_reader(source: ReaderSource) -> "CkanReader":
    """Return the reader for `source`; raises InvalidValue for packages that would share a folder."""
    return CkanReader(source.url, chosen(source, CkanOptions))


class CkanReader:
    """A Reader: one request for each package, or page of a search; one Stat for each file linked."""

    native = False

    def __init__(self, url: str, options: CkanOptions) -> None:
        self._api = f"{url}api/3/action/"
        self._options = options
        self._folders = folders(options.packages) if options.packages else {}
        self._formats = {each.strip().lower(): each for each in options.formats}
        self._unmatched = dict(self._formats)

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The formats wanted."""
        return tuple(Selected("formats", each) for each in dict.fromkeys(self._formats.values()))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the packages, or the first page of the search."""
        self._unmatched = dict(self._formats)
        if self._options.query:
            return [self._page(PageChain())]
        return [
            _follow(f"{self._api}package_show?{urlencode({'id': key})}", _CkanState(folder))
            for key, folder in self._folders.items()
        ]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of one package, or of each that a search found."""
        note = msgspec.json.decode(document.asked.state, type=_CkanState)
        if note.pages is None:
            shown = read_json(document, _CkanPackageResponse)
            if shown.result is None:
                raise _refused(document, shown.error)
            unread = SkippedEntries(document)
            yield from self._package(document, shown.result, note.folder, unread)
            unread.raise_if_any()
        else:
            found = read_json(document, _CkanSearchResponse)
            total = size(found.result.count) if found.result is not None else None
            if found.result is None or found.result.results is None or total is None:
                raise _refused(document, found.error)
            yield from self._found(document, found.result.results, total, note.pages)

    def _found(
        self, document: Document, packages: list[_CkanPackage], total: int, before: PageChain
    ) -> Iterator[Stat | Selected | DocumentRequest]:
        unread = SkippedEntries(document)
        for package in packages:
            key = text(package.name) or text(package.id)
            if key:
                yield from self._package(document, package, key, unread)
            else:
                unread.add(message("a package without a name"))
        pages = before.read(document, (f"{text(package.id)} {text(package.name)}" for package in packages))
        if packages and pages.entries < total:
            yield self._page(pages)
        else:
            unread.expect(total, pages.entries, message("packages"))
        unread.raise_if_any()

    def _package(
        self, document: Document, package: _CkanPackage, folder: str, unread: SkippedEntries
    ) -> Iterator[Stat | Selected]:
        for link in (package.resources or ()) if self._unmatched else ():
            if (written := self._unmatched.pop(text(link.format).lower(), None)) is not None:
                yield Selected("formats", written)
        wanted = [
            link for link in package.resources or () if not self._formats or text(link.format).lower() in self._formats
        ]
        unread.expect(
            package.num_resources,
            len(package.resources or ()),
            message("files of package {package}", package=text(package.name)[:100]),
        )
        named = [link_name(text(link.url)) for link in wanted]
        shared = Counter(name.lower() for name in named)
        for link, name in zip(wanted, named, strict=True):
            url, key = absolute(document, link.url), text(link.id)
            if url is None or not (name or key):
                unread.add(message("package {text!r} has a file without a url", text=text(package.name)[:100]))
                continue
            if key and (self._options.names == "ids" or not name or shared[name.lower()] > 1):
                name = below(key, name or "file")  # noqa: PLW2901  the name, from here on
            yield Stat(
                below(folder, name),
                size(link.size) if text(link.url_type) == "upload" else None,
                moment(link.last_modified),
                digests=digests((None, link.hash)) if self._options.trust_hash else {},
                urls=(url,),
            )

    def _page(self, pages: PageChain) -> DocumentRequest:
        words = {"fq": self._options.query, "rows": ROWS, "start": pages.entries, "sort": "name asc"}
        return _follow(f"{self._api}package_search?{urlencode(words)}", _CkanState(pages=pages))


def _refused(document: Document, error: object) -> DocumentError:
    said = (text(dig(error, "message")) or text(error))[:300] or message(
        "the portal reports a failure without a reason"
    )
    return DocumentError(message("{url}: {said}", url=document.url, said=said))


def _follow(url: str, note: _CkanState) -> DocumentRequest:
    return DocumentRequest(url=url, state=msgspec.json.encode(note).decode())


READER = ReaderKind(
    open_reader,
    CkanOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON", count="`count` of a search, `num_resources` of a package"
    ),
)
