"""The reader for the Open Science Framework: the files of projects and registrations, folder by folder.

Files of one project lie at the top of the copy, under the paths that OSF shows; several projects, or several storage
providers, have a folder each, and so has every component. OSF's own storage publishes sha256 and md5; others (a linked
Dropbox or GitHub repository) publish none: their files are compared by date.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
from pydantic import BaseModel, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import AtLeastOne, Flag, like
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    PageChain,
    ReaderKind,
    ReaderSource,
    SkippedEntries,
    absolute,
    below,
    chosen,
    dig,
    digests,
    folders,
    moment,
    page_url,
    read_json,
    size,
    text,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_DEPTH = 64  # nested folders, or components

Guid = Annotated[str, like(r"[a-z0-9]{3,20}", "is not an id of OSF", "write the end of its address, as in fdkmx")]
Provider = Annotated[str, like(r"[a-z0-9]{1,40}", "is not a storage provider", "write it as in osfstorage")]


class OsfOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    nodes: tuple[Guid, ...] = ()
    """Projects and components, by the end of their address, as in fdkmx."""
    registrations: tuple[Guid, ...] = ()
    """Registrations (frozen projects), by the end of their address."""
    providers: Annotated[tuple[Provider, ...], AtLeastOne] = ("osfstorage",)
    """The storage providers whose files are wanted."""
    components: Flag = False
    """Mirror the components of each project too."""

    @model_validator(mode="after")
    def _validate(self) -> "OsfOptions":
        if not self.nodes and not self.registrations:
            raise InvalidValue(message("selects nothing to mirror"), message("name nodes, or registrations"))
        return self


class _OsfState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the kind of list, its pages so far, the folder of the copy, and its depth."""

    kind: str
    folder: str = ""
    depth: int = 0
    pages: PageChain = PageChain()


class _OsfNode(msgspec.Struct):
    id: object = None
    attributes: object = None
    links: object = None
    relationships: object = None


class _OsfListing(msgspec.Struct):
    data: list[_OsfNode] | None = None
    links: object = None
    meta: object = None
    errors: object = None


def open_reader(source: ReaderSource) -> "OsfReader":
    """Return the reader for `source`."""
    return OsfReader(source.url, chosen(source, OsfOptions))


class OsfReader:
    """A Reader: one request for each page of a folder's files; one Stat for each file."""

    native = False

    def __init__(self, url: str, options: OsfOptions) -> None:
        self._url = url
        self._options = options
        found = folders((*options.nodes, *options.registrations))
        self._folders = {key: key for key in found} if options.components else found

    def start(self) -> Iterable[DocumentRequest]:
        """Request the storage of each project."""
        for kind, keys in (("nodes", self._options.nodes), ("registrations", self._options.registrations)):
            for key in dict.fromkeys(keys):
                yield from self._node(kind, key, self._folders[key], 0)

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the entries of one page: of a folder, or of a project's components."""
        note = msgspec.json.decode(document.asked.state, type=_OsfState)
        listing = read_json(document, _OsfListing)
        if listing.data is None:
            raise DocumentError(
                message(
                    "{url}: {error}",
                    url=document.url,
                    error=_error(listing.errors) or message("not a listing of files"),
                )
            )
        if note.depth > MAX_DEPTH:
            raise DocumentError(
                message("{url}: is more than {max_depth} deep: a loop?", url=document.url, max_depth=MAX_DEPTH)
            )
        unread = SkippedEntries(document)
        for row in listing.data:
            if note.kind == "files":
                yield from self._row(document, note, row, unread)
            elif text(row.id).isalnum() and text(row.id).isascii():
                yield from self._node(note.kind, text(row.id), below(note.folder, text(row.id)), note.depth + 1)
            else:
                unread.add(message("a component without an id"))
        pages = note.pages.read(document, map(_identity, listing.data))
        more = page_url(document, dig(listing.links, "next"))
        if more is not None:
            yield _follow(more, msgspec.structs.replace(note, pages=pages))
        else:
            total = dig(listing.meta, "total")  # in older versions of the API it stands among the links
            unread.expect(
                dig(listing.links, "meta", "total") if total is None else total, pages.entries, message("entries")
            )
        unread.raise_if_any()

    def _node(self, kind: str, key: str, folder: str, depth: int) -> Iterator[DocumentRequest]:
        for provider in dict.fromkeys(self._options.providers):
            place = below(folder, provider) if len(self._options.providers) > 1 else folder
            yield _follow(f"{self._url}{kind}/{key}/files/{provider}/?page[size]=100", _OsfState("files", place))
        if self._options.components:
            yield _follow(f"{self._url}{kind}/{key}/children/?page[size]=100", _OsfState(kind, folder, depth))

    def _row(
        self, document: Document, note: _OsfState, row: _OsfNode, unread: SkippedEntries
    ) -> Iterator[Stat | DocumentRequest]:
        path = dig(row.attributes, "materialized_path")
        if dig(row.attributes, "kind") == "folder":
            inside = absolute(document, dig(row.relationships, "files", "links", "related", "href"))
            if inside is None:
                unread.add(message("folder {text!r} has no link to the listing of its files", text=text(path)[:100]))
            else:
                yield _follow(inside, _OsfState(note.kind, note.folder, note.depth + 1))
            return
        url = absolute(document, dig(row.links, "download"))
        if not isinstance(path, str) or not path.strip("/") or url is None:
            unread.add(message("a file without a materialized_path, or without a download link"))
            return
        hashes = dig(row.attributes, "extra", "hashes")
        yield Stat(
            below(note.folder, path.removeprefix("/")),
            size(dig(row.attributes, "size")),
            moment(dig(row.attributes, "date_modified")),
            digests=digests(("sha256", dig(hashes, "sha256")), ("md5", dig(hashes, "md5"))),
            urls=(url,),
        )


def _identity(row: _OsfNode) -> str:
    """Return the key of an entry among those of a page."""
    return text(dig(row.attributes, "materialized_path")) or text(row.id)


def _error(errors: object) -> str:
    first = errors[0] if isinstance(errors, list) and errors else None
    return text(dig(first, "detail"))[:300]


def _follow(url: str, note: _OsfState) -> DocumentRequest:
    return DocumentRequest(url=url, state=msgspec.json.encode(note).decode())


READER = ReaderKind(
    open_reader,
    OsfOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON; the last page names no next one", count="`meta.total` of a page"
    ),
)
