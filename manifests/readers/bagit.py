"""The reader for BagIt bags (RFC 8493, and 0.93 to 0.97): the manifests of a bag say which files it holds.

Rules:
1. `bagit.txt` is read first: its version and its encoding decide how the other lists are read. Then every manifest of
   the bag is read, one after the other, so that they can be compared; a bag without a payload manifest is an error.
2. From 1.0 on a file that a manifest lists twice, and manifests that do not list the same files, make the bag invalid.
   Before that the same line twice is harmless. Two different digests for one file always reject that file.
3. `%0A` and `%0D` in a name are its line ends, and from 1.0 on `%25` its percent sign; other percent signs stand for
   themselves. A `*` before a name and a leading `./` are the marks of md5sum and of find, and no part of it.
4. A file that `fetch.txt` names is taken from the url there; it is proved by the manifests like all others.
5. Names that lead out of the bag are yielded unchanged; `check_path` rejects them.
"""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
import xxhash
from pydantic import BaseModel, BeforeValidator, Field

from manifests.digest import canonical
from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import AtLeastOne, Flag
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
    ReaderWarning,
    SkippedEntries,
    below,
    chosen,
    digests,
    is_remote,
    own,
    size,
    text_encoding,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_LINE = 1 << 16  # characters
MAX_TWICE = 4_000_000  # files up to which a manifest is searched for duplicate names

_ALGORITHMS = ("sha512", "sha256", "sha1", "md5")
_VERSION = {
    True: re.compile(r"BagIt-Version: (\d+)\.(\d+)"),
    False: re.compile(r"BagIt-Version\s*:\s*(\d+)\.(\d+)\s*"),
}
_ENCODING = re.compile(r"Tag-File-Character-Encoding\s*:\s*(\S+)\s*", re.IGNORECASE)
_LINE = re.compile(r"\s*([0-9A-Fa-f]+)[ \t]+\*?(?:\./)*(.+)", re.DOTALL)
_FETCH = re.compile(r"\s*(\S+)[ \t]+(\S+)[ \t]+(?:\./)*(.+)", re.DOTALL)
_OXUM = re.compile(r"Payload-Oxum\s*:\s*\d+\.(\d+)\s*", re.IGNORECASE)
_ESCAPE = {True: re.compile("%(0A|0D|25)", re.IGNORECASE), False: re.compile("%(0A|0D)", re.IGNORECASE)}


def _algorithm(given: str) -> str:
    if canonical(given) is None:
        raise InvalidValue(message("is not a supported algorithm"), message("use {algorithms}", algorithms=_ALGORITHMS))
    return given.lower()


class BagitOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    bag: ListPath | None = None
    """The folder of the bag, below the url; by default the url itself is the bag."""
    algorithms: Annotated[tuple[Annotated[str, BeforeValidator(_algorithm)], ...], AtLeastOne] = Field(
        default=_ALGORITHMS, json_schema_extra={"minItems": 1}
    )
    """Which manifests to ask for, as in manifest-sha512.txt; those that the bag does not have are skipped."""
    unterminated: Flag = False
    """True if the publisher writes no line end after the last line; otherwise such a list counts as truncated."""


class _BagitState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: what to read, the contents of the declaration and of the first manifest."""

    kind: str = "bagit.txt"
    version: tuple[int, int] = (0, 0)
    encoding: str = "utf-8"
    algorithm: str = ""
    expected: int = -1  # files, by Payload-Oxum
    listed: int = -1  # files, by the first payload manifest ...
    mark: int = 0  # ... and a sum over their names
    cut: str = ""  # that manifest, if its last line has no end: it may be cut
    rest: tuple[str, ...] = ()  # algorithms still to be asked for


def open_reader(source: ReaderSource) -> "BagReader":
    """Return the reader for `source`."""
    return BagReader(chosen(source, BagitOptions))


class BagReader:
    """A Reader: one request for the declaration and each manifest; one Stat for each file, including the lists."""

    native = False

    def __init__(self, options: BagitOptions) -> None:
        self._bag = options.bag or ""
        self._algorithms = options.algorithms
        self._unterminated = options.unterminated

    def start(self) -> Iterable[DocumentRequest]:
        """Request the declaration."""
        return [self._follow(_BagitState())]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files and requests in one of the bag's own files."""
        note = msgspec.json.decode(document.asked.state, type=_BagitState)
        own_file = [] if document.missing else [own(document, below(self._bag, _name(note)))]
        if note.kind == "bagit.txt":
            requests = list(self._declaration(document))  # another page in its place is no file of the bag
            yield from (*own_file, *requests)
            return
        yield from own_file
        if note.kind == "bag-info.txt":
            yield from self._described(document, note)
        elif note.kind == "fetch.txt":
            yield from self._fetch(document, note)
        elif note.kind == "manifest":
            yield from self._payload(document, note)
        else:
            for name, digest in _listed(document, note):
                promised = digests((note.algorithm, digest))
                if not promised:
                    yield ReaderWarning(message("invalid checksums were ignored"))
                yield Stat(below(self._bag, name), digests=promised)
            if not document.missing and not self._is_terminated(document):
                raise DocumentError(message("{url}: the last line has no line end: it may be cut", url=document.url))

    def _declaration(self, document: Document) -> Iterator[Found]:
        lines = _lines(document, "utf-8")
        first = next(lines, "")
        version = _VERSION[False].fullmatch(first)
        if version is None:
            raise DocumentError(
                message(
                    "{url}: not a bag: the first line is not BagIt-Version: M.N, but {first!r}",
                    url=document.url,
                    first=first[:60],
                )
            )
        found = int(version[1]), int(version[2])
        if found >= (1, 0) and _VERSION[True].fullmatch(first) is None:
            raise DocumentError(
                message(
                    "{url}: spaces in {first!r} that version {major}.{minor} forbids",
                    url=document.url,
                    first=first[:60],
                    major=found[0],
                    minor=found[1],
                )
            )
        if not (0, 90) <= found < (2, 0):
            raise DocumentError(
                message(
                    "{url}: BagIt {major}.{minor} is not supported; supported: 0.93 to 1.0",
                    url=document.url,
                    major=found[0],
                    minor=found[1],
                )
            )
        encoding = _ENCODING.fullmatch(next(lines, ""))
        if encoding is None:
            raise DocumentError(
                message("{url}: the second line does not name a Tag-File-Character-Encoding", url=document.url)
            )
        note = _BagitState("bag-info.txt", found, _codec(document, encoding[1]), rest=self._algorithms)
        yield self._follow(note)
        yield self._follow(msgspec.structs.replace(note, kind="fetch.txt"))
        for algorithm in self._algorithms:
            yield self._follow(msgspec.structs.replace(note, kind="tagmanifest", algorithm=algorithm, rest=()))

    def _described(self, document: Document, note: _BagitState) -> Iterator[Found]:
        expected = next((int(m[1]) for line in _lines(document, note.encoding) if (m := _OXUM.fullmatch(line))), -1)
        yield self._next(msgspec.structs.replace(note, kind="manifest", expected=expected))

    def _payload(self, document: Document, note: _BagitState) -> Iterator[Found]:
        if not document.missing:
            count = mark = 0
            unread = SkippedEntries(document)
            for name, digest in _listed(document, note):
                if not name.startswith("data/"):
                    unread.add(message("lists {name!r}, which is not in data/", name=name))
                    continue
                count += 1
                promised = digests((note.algorithm, digest))
                if not promised:
                    yield ReaderWarning(message("invalid checksums were ignored"))
                mark = (mark + xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"))) % (1 << 64)
                yield Stat(below(self._bag, name), digests=promised)
            unread.raise_if_any()
            is_cut = note.expected != 0 and not self._is_terminated(document)
            if note.listed < 0:
                note = msgspec.structs.replace(note, listed=count, mark=mark, cut=_name(note) if is_cut else "")
            elif (note.listed, note.mark) == (count, mark):
                note = msgspec.structs.replace(note, cut="")  # two manifests name the same files
            elif is_cut:
                raise DocumentError(message("{url}: the last line has no line end: it may be cut", url=document.url))
            elif note.version >= (1, 0):
                raise DocumentError(
                    message(
                        "{url}: lists different files from the manifest before it ({count}, {listed}), which "
                        "BagIt 1.0 forbids",
                        url=document.url,
                        count=count,
                        listed=note.listed,
                    )
                )
            if note.expected not in (-1, count):
                raise DocumentError(
                    message(
                        "{url}: lists {count} files, bag-info.txt counts {expected}",
                        url=document.url,
                        count=count,
                        expected=note.expected,
                    )
                )
        if note.rest:
            yield self._next(note)
        elif note.cut:
            raise DocumentError(
                message(
                    "{url}: the last line of {name} has no line end: it may be cut", url=document.url, name=note.cut
                )
            )
        elif note.listed < 0:
            asked = ", ".join(f"manifest-{algorithm}.txt" for algorithm in self._algorithms)
            raise DocumentError(
                message(
                    "{url}: the bag has no payload manifest ({asked}): name its algorithms",
                    url=document.url,
                    asked=asked,
                )
            )

    def _fetch(self, document: Document, note: _BagitState) -> Iterator[Found]:
        unread = SkippedEntries(document)
        for number, line in enumerate(_lines(document, note.encoding), 1):
            match = _FETCH.fullmatch(line)
            if match is None or not (is_remote(match[1]) or "://" in match[1]):
                if line.strip():
                    unread.add(message("line {number} is not a url, a length and a path", number=number))
                continue
            yield Stat(below(self._bag, _unescaped(match[3], note)), size(match[2]), urls=(match[1],))
        if document.stream.tell() and not self._is_terminated(document):
            unread.add(message("the last line has no line end: it may be cut"))
        unread.raise_if_any()

    def _is_terminated(self, document: Document) -> bool:
        """Return True if a list ends in a line end, of however many bytes each character is; an empty one does not."""
        length = document.stream.seek(0, io.SEEK_END)
        document.stream.seek(max(0, length - 4))
        last = document.stream.read(4).rstrip(b"\0")
        return last.endswith((b"\n", b"\r")) or (bool(last) and self._unterminated)

    def _next(self, note: _BagitState) -> DocumentRequest:
        """Return the request of the next payload manifest that may exist."""
        return self._follow(msgspec.structs.replace(note, algorithm=note.rest[0], rest=note.rest[1:]))

    def _follow(self, note: _BagitState) -> DocumentRequest:
        is_told = note.kind in ("manifest", "bag-info.txt")
        return DocumentRequest(
            url=below(self._bag, _name(note)),
            state=msgspec.json.encode(note).decode(),
            optional=note.kind != "bagit.txt",
            told=is_told,
        )


def _name(note: _BagitState) -> str:
    return f"{note.kind}-{note.algorithm}.txt" if note.algorithm else note.kind


def _codec(document: Document, name: str) -> str:
    """Return the name of a text encoding; raises DocumentError."""
    found = text_encoding(name)
    if found is None:
        raise DocumentError(
            message("{url}: {name!r} is not a known character encoding", url=document.url, name=name[:40])
        )
    return found


def _lines(document: Document, encoding: str) -> Iterator[str]:
    """Yield the lines, which may end in LF, CRLF, or CR alone."""
    text = io.TextIOWrapper(document.stream, encoding)
    try:
        while line := text.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise DocumentError(
                    message("{url}: a line is longer than {max_line} characters", url=document.url, max_line=MAX_LINE)
                )
            yield line.removesuffix("\n")
    except UnicodeError as error:
        raise DocumentError(
            message("{url}: is not encoded in {encoding}, which bagit.txt names", url=document.url, encoding=encoding)
        ) from error
    finally:
        text.detach()


def _listed(document: Document, note: _BagitState) -> Iterator[tuple[str, str]]:
    """Yield name and digest of each line of a manifest."""
    is_strict = note.version >= (1, 0)
    seen: set[int] = set()
    unread = SkippedEntries(document)
    for number, line in enumerate(_lines(document, note.encoding), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            if line.strip():
                unread.add(message("line {number} is not a checksum and a path", number=number))
            continue
        name = _unescaped(match[2], note)
        if is_strict and number <= MAX_TWICE:
            mark = xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"))
            if mark in seen:
                unread.add(message("lists {name!r} twice, which BagIt 1.0 forbids", name=name))
            seen.add(mark)
        yield name, match[1]
    unread.raise_if_any()


def _unescaped(name: str, note: _BagitState) -> str:
    return _ESCAPE[note.version >= (1, 0)].sub(lambda found: chr(int(found[1], 16)), name)


READER = ReaderKind(
    open_reader,
    BagitOptions,
    schemes=ANY,
    proof=CompletenessProof(
        end="the line end of the last line, or a second manifest of the same files",
        count="`Payload-Oxum`, where `bag-info.txt` has it",
        unseen="lines",
    ),
)
