"""The reader for Croissant, the description of machine-learning datasets: each FileObject is a file with its hash.

Rules:
1. A FileObject with a `contentUrl` is a file. One that is `containedIn` another lies inside an archive, and a FileSet
   selects such files: the archive is mirrored, not its members.
2. `sha256` often holds something else. A value as long as an MD5 is taken for one; an invalid value is ignored, and so
   are all digests of a dataset with `isLiveDataset`.
3. `contentSize` is text for people: only exact bytes (`117743 B`) are a size.
4. A file elsewhere whose url does not end in its name has the path that its `@id` or `name` gives it: the urls of
   Dataverse end in a number. Without such a name, or if another file has it, the path follows from the url.
5. A git repository as a FileObject names no files: that is an error that says so, and the inventory is incomplete.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec
from pydantic import BaseModel

from manifests.digest import parse_digest
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
from manifests.stat import Stat, UnsafePath, check_path
from manifests.yaml import STRICT

_BYTES = re.compile(r"([0-9]{1,19}) ?(?:B|bytes?)?", re.IGNORECASE)
_ALGORITHMS = ("sha256", "md5", "sha1", "sha512")


class CroissantOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    document: ListPath = "croissant.json"
    """The path of the description, below the url."""


class _FileObject(msgspec.Struct):
    type: object = msgspec.field(name="@type", default=None)
    id: object = msgspec.field(name="@id", default=None)
    name: object = None
    url: object = msgspec.field(name="contentUrl", default=None)
    size: object = msgspec.field(name="contentSize", default=None)
    format: object = msgspec.field(name="encodingFormat", default=None)
    inside: object = msgspec.field(name="containedIn", default=None)
    sha256: object = None
    md5: object = None
    sha1: object = None
    sha512: object = None


class _CroissantDataset(msgspec.Struct):
    distribution: object = None
    live: object = msgspec.field(name="isLiveDataset", default=None)


def open_reader(source: ReaderSource) -> "CroissantReader":
    """Return the reader for `source`."""
    return CroissantReader(source.url, chosen(source, CroissantOptions))


class CroissantReader:
    """A Reader: one request, for the description; one Stat for each file it names, and one for itself."""

    native = False

    def __init__(self, root: str, options: CroissantOptions) -> None:
        self._root = root
        self._document = options.document

    def start(self) -> Iterable[DocumentRequest]:
        """Request the description."""
        return [DocumentRequest(url=self._document)]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files of the distribution, then the description itself."""
        described = own(document, self._document)
        dataset = read_json(document, _CroissantDataset)
        unread = SkippedEntries(document)
        listed = dataset.distribution if isinstance(dataset.distribution, list) else [dataset.distribution]
        if dataset.distribution is None:
            unread.add(message("has no distribution: is it a Croissant description?"))
            listed = []
        taken: set[str] = set()
        for number, one in enumerate(listed, 1):
            try:
                found = msgspec.convert(one, _FileObject)
            except msgspec.ValidationError:
                unread.add(message("distribution {number} is not an object", number=number))
                continue
            if "FileObject" in _types(found.type) and found.inside in (None, [], {}):
                is_live = dataset.live in (True, "true", "True")
                yield from self._file(found, taken, is_live=is_live, unread=unread)
        unread.raise_if_any()
        yield described

    def _file(self, found: _FileObject, taken: set[str], *, is_live: bool, unread: SkippedEntries) -> Iterator[Stat]:
        url, named = text(found.url), text(found.id) or text(found.name) or message("a FileObject without a name")
        if text(found.format) == "git+https" or url.endswith(".git"):
            unread.add(
                message(
                    "{named}: is a git repository ({url}), which names no files: use reader: huggingface for it",
                    named=named,
                    url=url,
                )
            )
        elif not url:
            unread.add(message("{named}: has no contentUrl, and is not contained in another file", named=named))
        else:
            promised = {} if is_live else _promised(found)
            if is_remote(url):
                path, urls = placed(url, self._root)
                named = _name_of(found)
                is_told = path.rpartition("/")[2] == named.rpartition("/")[2]  # the url ends in the name itself
                if urls and named and named not in taken and not is_told:
                    path = below(folder_of(self._document), named)
            else:
                relative = url.removeprefix("./")
                urls = ()
                path = relative if relative.startswith("/") else below(folder_of(self._document), relative)
            taken.add(path)
            yield Stat(path, _size(found.size), digests=promised, urls=urls)


def _name_of(found: _FileObject) -> str:
    """Return the path that a file's `@id` or `name` gives it, "" if neither looks like one."""
    for given in (text(found.id), text(found.name)):
        path = given.removeprefix("./")
        if "." not in path.rpartition("/")[2].strip(".") or "://" in path or path.startswith("#"):
            continue
        try:
            return check_path(path)
        except UnsafePath:
            continue
    return ""


def _types(given: object) -> set[str]:
    """Return local names of the types: `cr:FileObject`, `sc:FileObject` and `FileObject` are the same."""
    listed = given if isinstance(given, list) else [given]
    return {text(one).rpartition(":")[2].rpartition("/")[2] for one in listed}


def _promised(found: _FileObject) -> dict[str, str]:
    promised = digests(*((name, getattr(found, name)) for name in _ALGORITHMS))
    if "sha256" not in promised and "md5" not in promised:
        mislabelled = parse_digest(text(found.sha256), "md5")
        if mislabelled is not None:
            promised["md5"] = mislabelled[1]
    return promised


def _size(given: object) -> int | None:
    match = _BYTES.fullmatch(text(given)) if isinstance(given, str) else None
    return size(given) if match is None else size(match[1])


READER = ReaderKind(
    open_reader, CroissantOptions, schemes=ANY, proof=CompletenessProof(end="the closing bracket of the JSON")
)
