"""The reader for Hugging Face: the files of a repository at one commit.

Rules:
1. The revision is resolved to its commit first, and all later requests name the commit: a push during a survey or a
   pass mixes no versions.
2. A file in LFS has a sha256, the others have git's blob id; both are checked, the latter for files that are small
   enough to be buffered until their length is known.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from pydantic import BaseModel, Field

from manifests.digest import MAX_GIT_BLOB
from manifests.messages import message
from manifests.model import AtLeastOne, like
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
    below,
    chosen,
    dig,
    digests,
    folders,
    next_link,
    read_json,
    size,
    text,
    verbatim,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

Repository = Annotated[
    str,
    like(
        r"\w[\w.-]{0,99}(/\w[\w.-]{0,99})?",
        "is not a repository",
        "write owner and name, as in openslr/librispeech_asr",
    ),
]


class HuggingfaceOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    repositories: Annotated[tuple[Repository, ...], AtLeastOne] = Field(json_schema_extra={"minItems": 1})
    """The repositories wanted, as in openslr/librispeech_asr."""
    kind: Literal["datasets", "models", "spaces"] = "datasets"
    """What kind of repository they are."""
    revision: Annotated[str, like(r"\w[\w./-]{0,200}", "is not a revision", "name a branch, a tag or a commit")] = (
        "main"
    )
    """A branch, a tag or a commit."""


class _HuggingfaceState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the repository, the folder of its files; the commit, its files, the pages so far."""

    repository: str
    folder: str = ""
    commit: str = ""
    siblings: int = 0  # files that the commit has, by its own list of names
    files: int = 0
    pages: PageChain = PageChain()


class _Revision(msgspec.Struct):
    sha: object = None
    siblings: object = None
    error: object = None


class _Blob(msgspec.Struct):
    type: object = None
    path: object = None
    oid: object = None
    size: object = None
    lfs: object = None


def open_reader(source: ReaderSource) -> "HuggingfaceReader":
    """Return the reader for `source`; raises InvalidValue for repositories that would share a folder."""
    return HuggingfaceReader(source.url, chosen(source, HuggingfaceOptions))


class HuggingfaceReader:
    """A Reader: one request for the commit, one for each page of its tree; one Stat for each file."""

    native = False

    def __init__(self, url: str, options: HuggingfaceOptions) -> None:
        self._url = url
        self._options = options
        self._folders = folders(options.repositories)

    def start(self) -> Iterable[DocumentRequest]:
        """Ask for the commit of each repository."""
        revision = quote(self._options.revision, safe="")
        return [
            _follow(
                f"{self._url}api/{self._options.kind}/{repository}/revision/{revision}",
                _HuggingfaceState(repository, folder),
            )
            for repository, folder in self._folders.items()
        ]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the tree to read at the commit, or the files of one page of it."""
        note = msgspec.json.decode(document.asked.state, type=_HuggingfaceState)
        if note.commit:
            yield from self._blobs(document, note)
            return
        revision = read_json(document, _Revision)
        commit = text(revision.sha)
        if not commit.isalnum() or not commit.isascii():
            raise DocumentError(
                message(
                    "{url}: {text}",
                    url=document.url,
                    text=text(revision.error)[:300] or message("names no commit"),
                )
            )
        tree = f"{self._url}api/{self._options.kind}/{note.repository}/tree/{commit}?recursive=true&expand=false"
        siblings = len(revision.siblings) if isinstance(revision.siblings, list) else 0
        yield _follow(tree, msgspec.structs.replace(note, commit=commit, siblings=siblings))

    def _blobs(self, document: Document, note: _HuggingfaceState) -> Iterator[Stat | DocumentRequest]:
        unread = SkippedEntries(document)
        kind = "" if self._options.kind == "models" else f"{self._options.kind}/"
        root = f"{self._url}{kind}{note.repository}/resolve/{note.commit}/"
        blobs = read_json(document, list[_Blob])
        files = note.files
        for blob in blobs:
            if text(blob.type) != "file":
                continue
            files += 1
            path = blob.path if isinstance(blob.path, str) else ""
            if not path:
                unread.add(message("a file without a path"))
                continue
            oid = text(blob.oid)
            exact = size(blob.size if blob.lfs is None else dig(blob.lfs, "size"))
            if blob.lfs is not None:
                promised = digests(("sha256", dig(blob.lfs, "oid")))  # the other oid is that of the LFS pointer in git
            else:
                promised = digests(("gitblob", oid)) if exact is not None and exact <= MAX_GIT_BLOB else {}
            yield Stat(
                below(note.folder, path),
                exact,
                version=f"git:{oid}" if oid else None,
                digests=promised,
                urls=(root + quote(path, safe="/", errors="replace"),),
            )
        pages = note.pages.read(document, (verbatim(blob.path) for blob in blobs))
        more = next_link(document)
        if more is not None:
            yield _follow(more, msgspec.structs.replace(note, files=files, pages=pages))
        else:
            unread.expect(note.siblings, files, message("files"))
        unread.raise_if_any()


def _follow(url: str, note: _HuggingfaceState) -> DocumentRequest:
    return DocumentRequest(url=url, state=msgspec.json.encode(note).decode())


READER = ReaderKind(
    open_reader,
    HuggingfaceOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON; the last page names no next one in its `Link` header",
        count="the `siblings` of the commit",
    ),
)
