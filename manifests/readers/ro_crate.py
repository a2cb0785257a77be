"""The reader for RO-Crates: `ro-crate-metadata.json` describes each file of a research object, local or on the web.

Rules:
1. Every entity of type File whose `@id` is a relative path or an http(s) url is a file; `#…` is not.
2. An `@id` is a url reference: it is percent-decoded once. A file on another host is stored under the host's name.
3. The format requires no digest; those that are given (`sha256`, `md5` …) are checked. A `contentSize` that is not a
   whole number of bytes is ignored.
4. A crate that is detached from its files names them by url; `localPath` is where such a file belongs (version 1.2).
5. Only the files that the crate describes are mirrored, and for a folder its `distribution`.
"""

from collections.abc import Iterable, Iterator

import msgspec
from pydantic import BaseModel

from manifests.messages import message
from manifests.reading import (
    ANY,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ListPath,
    ReaderKind,
    ReaderSource,
    SkippedEntries,
    below,
    chosen,
    decoded,
    dig,
    digests,
    folder_of,
    is_remote,
    moment,
    own,
    placed,
    read_json,
    size,
    text,
)
from manifests.stat import Stat, UnsafePath, check_path
from manifests.yaml import STRICT

_ALGORITHMS = ("sha512", "sha256", "sha1", "md5")
_SPECIFICATION = ("https://w3id.org/ro/crate", "http://w3id.org/ro/crate")


class CrateOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    crate: ListPath = "ro-crate-metadata.json"
    """The path of the crate's description, below the url."""


class _Entity(msgspec.Struct):
    id: object = msgspec.field(name="@id", default=None)
    type: object = msgspec.field(name="@type", default=None)
    url: object = msgspec.field(name="contentUrl", default=None)
    size: object = msgspec.field(name="contentSize", default=None)
    modified: object = msgspec.field(name="dateModified", default=None)
    parts: object = msgspec.field(name="hasPart", default=None)
    conforms: object = msgspec.field(name="conformsTo", default=None)
    local: object = msgspec.field(name="localPath", default=None)
    sha512: object = None
    sha256: object = None
    sha1: object = None
    md5: object = None


class _Crate(msgspec.Struct):
    graph: list[msgspec.Raw] = msgspec.field(name="@graph")


def open_reader(source: ReaderSource) -> "CrateReader":
    """Return the reader for `source`."""
    return CrateReader(source.url, chosen(source, CrateOptions))


class CrateReader:
    """A Reader: one request, for the crate's description; one Stat for each file it describes, and one for itself."""

    native = False

    def __init__(self, root: str, options: CrateOptions) -> None:
        self._root = root
        self._crate = options.crate

    def start(self) -> Iterable[DocumentRequest]:
        """Request the description."""
        return [DocumentRequest(url=self._crate)]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files that the crate describes, then the description itself."""
        described = own(document, self._crate)
        unread = SkippedEntries(document)
        is_crate, named, parts = False, set[str](), dict[str, None]()
        for number, raw in enumerate(read_json(document, _Crate).graph, 1):
            try:
                entity = msgspec.json.decode(raw, type=_Entity)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                unread.add(message("entity {number} of @graph is not an object", number=number))
                continue
            named.add(text(entity.id).removeprefix("./"))
            parts.update(dict.fromkeys(_parts(entity)))
            types = entity.type if isinstance(entity.type, list) else [entity.type]
            is_crate = is_crate or _is_descriptor(entity)
            if "File" in types or "MediaObject" in types:
                yield from self._file(entity, text(entity.id), unread)
            elif "DataDownload" in types:
                yield from self._file(entity, text(entity.url) or text(entity.id), unread)
        if not is_crate:
            raise DocumentError(
                message("{url}: not an RO-Crate: its @graph does not describe ro-crate-metadata.json", url=document.url)
            )
        for part in parts.keys() - named:
            unread.add(message("names {part!r} as a part, and does not describe it", part=part[:200]))
        unread.raise_if_any()
        yield described

    def _file(self, entity: _Entity, name: str, unread: SkippedEntries) -> Iterator[Stat]:
        if not name:
            unread.add(message("a file has no @id"))
            return
        if name.startswith(("#", "_:")):
            return  # a name within the description, not an address
        promised = digests(*((algorithm, getattr(entity, algorithm)) for algorithm in _ALGORITHMS))
        if is_remote(name):
            path, urls = placed(name, self._root)
            local = text(entity.local).removeprefix("./")
            if local and _is_safe(local):
                path, urls = below(folder_of(self._crate), local), urls or (name,)
        else:
            relative = decoded(name.removeprefix("./"))
            urls = ()
            path = relative if relative.startswith("/") else below(folder_of(self._crate), relative)
        if path != self._crate:
            yield Stat(path, size(entity.size), moment(entity.modified), digests=promised, urls=urls)


def _is_descriptor(entity: _Entity) -> bool:
    """Return True for the entity that describes the metadata document.

    It conforms to the specification, or has the name of the document, which has a prefix if it was detached from its
    files (version 1.2).
    """
    name = text(entity.id).partition("#")[0].rpartition("/")[2]
    if name.endswith(("ro-crate-metadata.json", "ro-crate-metadata.jsonld")):
        return True
    conforms = entity.conforms if isinstance(entity.conforms, list) else [entity.conforms]
    return any(text(dig(one, "@id")).startswith(_SPECIFICATION) for one in conforms)


def _is_safe(path: str) -> bool:
    try:
        check_path(path)
    except UnsafePath:
        return False
    return True


def _parts(entity: _Entity) -> Iterator[str]:
    """Yield the files that an entity names as its parts; a folder's name ends in a slash."""
    listed = entity.parts if isinstance(entity.parts, list) else [entity.parts]
    for one in listed:
        name = text(dig(one, "@id"))
        if name and not name.endswith("/") and not name.startswith(("#", "_:")):
            yield name.removeprefix("./")


READER = ReaderKind(
    open_reader,
    CrateOptions,
    schemes=ANY,
    proof=CompletenessProof(
        end="the closing bracket of the JSON", count="the parts that each dataset names (`hasPart`)"
    ),
)
