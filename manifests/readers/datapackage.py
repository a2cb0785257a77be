"""The reader for Frictionless Data Packages: `datapackage.json` lists files and their hashes.

Rules:
1. A resource's `path` is relative to the package, or an http(s) url. Inline `data` is not a file.
2. The length of a bare `hash` determines its algorithm (MD5 by the specification); others name it: `sha256:5262…`.
3. A resource of several paths has one `hash` and `bytes` for all of them, which are ignored.
"""

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec
from pydantic import BaseModel

from manifests.messages import message
from manifests.reading import (
    ANY,
    CompletenessProof,
    Document,
    DocumentRequest,
    Found,
    ListPath,
    ReaderKind,
    ReaderSource,
    SkippedEntries,
    below,
    chosen,
    digests,
    folder_of,
    is_remote,
    own,
    placed,
    read_json,
    size,
    text,
)
from manifests.stat import Stat
from manifests.yaml import STRICT


class DatapackageOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    package: ListPath = "datapackage.json"
    """The path of the package's description, below the url."""


class _Described(msgspec.Struct):
    name: object = None
    path: object = None
    data: object = None
    url: object = None
    bytes: object = None
    hash: object = None


class _Datapackage(msgspec.Struct):
    resources: list[msgspec.Raw]


def open_reader(source: ReaderSource) -> "DatapackageReader":
    """Return the reader for `source`."""
    return DatapackageReader(source.url, chosen(source, DatapackageOptions))


class DatapackageReader:
    """A Reader: one request, for the package; one Stat for each file of a resource, and one for the package itself."""

    native = False

    def __init__(self, root: str, options: DatapackageOptions) -> None:
        self._root = root
        self._package = options.package

    def start(self) -> Iterable[DocumentRequest]:
        """Request the package."""
        return [DocumentRequest(url=self._package)]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of the resources, then the package itself."""
        described = own(document, self._package)
        unread = SkippedEntries(document)
        for number, raw in enumerate(read_json(document, _Datapackage).resources, 1):
            try:
                resource = msgspec.json.decode(raw, type=_Described)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                unread.add(message("resource {number} is not an object", number=number))
                continue
            named = f"resource {text(resource.name) or number}"
            paths = resource.path if resource.path is not None else resource.url  # url: packages before 1.0
            listed = cast("list[object]", paths) if isinstance(paths, list) else [paths]
            if paths is None and resource.data is not None:
                continue
            for path in listed:
                if not isinstance(path, str) or not path:
                    unread.add(message("{named} has no path that is text", named=named))
                elif len(listed) > 1:
                    yield self._file(path)
                else:
                    yield self._file(path, size(resource.bytes), digests(("", resource.hash)))
        unread.raise_if_any()
        yield described

    def _file(self, path: str, length: int | None = None, promised: dict[str, str] | None = None) -> Stat:
        if is_remote(path):
            path, urls = placed(path, self._root)
            return Stat(path, length, digests=promised or {}, urls=urls)
        name = path.removeprefix("./")
        path = name if name.startswith("/") else below(folder_of(self._package), name)
        return Stat(path, length, digests=promised or {})


READER = ReaderKind(
    open_reader, DatapackageOptions, schemes=ANY, proof=CompletenessProof(end="the closing bracket of the JSON")
)
