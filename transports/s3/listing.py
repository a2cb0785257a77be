"""Parses pages of an S3 listing: a thousand keys in a millisecond if the page has the usual form.

Rule 1: the fast way takes the plain `<Contents>` elements out of a page. expat parses the rest, which must be a
well-formed listing with one gap. If an element is unusual (an attribute, an entity beyond the quotes of an ETag, a
comment, another order), expat parses the whole page: the two differ in time only.
Rule 2: keys keep their form and order; empty keys that end in `/` are folder markers, not files. One with bytes stays,
and is rejected later by its name.
Rule 3: an ETag becomes a version with quotes, whether the server wrote them or not.
Rule 4: bytes that are not UTF-8 are replaced, so that one such key costs one file; document types are refused.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from urllib.parse import unquote_plus

from manifests.messages import message
from manifests.reading import Stats, XmlError, XmlTarget, parse_xml
from syncd.core import PermanentError
from transports.s3.errors import hidden_failure, refused_xml

MAX_PAGE = 16 << 20  # bytes
HEAD = 1 << 14  # bytes of a page in which the token is looked for before the rest has arrived

_SHAPE = (
    "<Contents>{0}<Key>([^<]*)</Key>{0}<LastModified>([^<T]*T[^<]*)Z</LastModified>{0}"
    '<ETag>(?:&quot;|&#34;|")([^<]*)(?:&quot;|&#34;|")</ETag>{0}'
    "(?:<(?:ChecksumAlgorithm>[A-Z0-9_]*</ChecksumAlgorithm|ChecksumType>[A-Z0-9_]*</ChecksumType)>{0})*"
    "<Size>([0-9]{{1,18}})</Size>"
)
_CONTENTS = re.compile(_SHAPE.format(""))
_SPACED = re.compile(_SHAPE.format(r"[ \n]*"))
# What may follow a size: elements without attributes, an owner's one level deeper, and nothing that we read ourselves.
_OTHER = "<(?!Key>|LastModified>|ETag>|Size>)([A-Za-z]+)>"
_TAIL = re.compile(
    rf"[ \n]*(?:{_OTHER}(?:[^<&]*|[ \n]*(?:<([A-Za-z]+)>[^<&]*</\2>[ \n]*)+)</\1>[ \n]*)*</Contents>[ \n]*"
)
_END = "</Contents>"
_GAP = "<Gap/>"
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")
_FIELDS = frozenset({"Key", "LastModified", "ETag", "Size"})
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  the fast way reads times that are in UTC


@dataclass(frozen=True, slots=True)
class S3ListPage:
    """One page: its files, and the token of the next one, or None at the end.

    `is_last` is True if the server calls it the last page, even if it gives a token. `marker` is the key behind which
    the list goes on, from a server that gives no tokens: it knows ListObjects, and not ListObjectsV2.
    """

    page: Stats
    token: str | None
    is_last: bool
    marker: str = ""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The objects of a page as the server names them."""

    keys: Sequence[str]
    sizes: Sequence[int]
    modified: Sequence[float]
    versions: Sequence[str | None]


def early_token(body: bytes | bytearray) -> str | None:
    """Return the token of the next page if the bytes that have arrived contain it, else None."""
    head = bytes(body[:HEAD])
    found = _TOKEN.search(head)
    if found is None or b"<IsTruncated>true" not in head or b"<!" in head:
        return None
    return _plain(found[1].decode(errors="replace"))


def read_page(body: bytes | bytearray, root: str, name: str) -> S3ListPage:
    """Parse a whole page; paths are relative to `root`. Raises Unsafe, PermanentError, and an error in the body."""
    text = body.decode("utf-8", "replace").strip()
    taken = _take(text)
    if taken is not None:
        columns, rest = taken
        with suppress(XmlError):  # of the whole page it says more
            frame = _Frame(rest)
            if frame.is_whole:
                return _listed(frame, columns, root, name)
    return _read_slowly(text, root, name)


def instant(text: str) -> float:
    """Return a date of S3 (ISO 8601) in seconds since the epoch. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.timestamp() if moment.tzinfo is not None else moment.replace(tzinfo=UTC).timestamp()


def _take(text: str) -> tuple[_Columns, str] | None:
    """Return the objects of a page, and the page without them; None if one has an unusual form."""
    parts = _CONTENTS.split(text)
    if len(parts) == 1:
        parts = _SPACED.split(text)
        if len(parts) == 1:
            return None
    last, end, below = parts[-1].partition(_END)
    head = parts[0]
    rest = head + _GAP + below
    if "<Contents" in rest or rest.count(_GAP) > 1 or not all(map(_is_tail, {*parts[5:-1:5], last + end})):
        return None
    keys, etags = parts[1::5], parts[3::5]
    words = "".join(keys) + "".join(etags)
    if "&" in words or "]]>" in words or not words.isprintable():
        return None
    try:
        modified = [(moment - _EPOCH).total_seconds() for moment in map(datetime.fromisoformat, parts[2::5])]
    except (ValueError, TypeError):  # TypeError: a time with a zone before its Z
        return None
    quoted = ('"' + '"\n"'.join(etags) + '"').split("\n")
    versions: Sequence[str | None] = quoted if all(etags) else [each if len(each) > 2 else None for each in quoted]
    return _Columns(keys, list(map(int, parts[4::5])), modified, versions), rest


def _is_tail(text: str) -> bool:
    return _TAIL.fullmatch(text) is not None and text.replace("\n", "").isprintable() and "]]>" not in text


def _read_slowly(text: str, root: str, name: str) -> S3ListPage:
    """Parse any well-formed page."""
    hidden = hidden_failure(text.encode(), name)
    if hidden is not None:
        raise hidden
    with refused_xml(message("{name}: a listing that", name=name)):
        frame = _Frame(text)
    try:
        columns = frame.columns()
    except ValueError as error:
        raise PermanentError(
            message("{name}: the listing cannot be parsed: {cause}", name=name, cause=error)
        ) from error
    return _listed(frame, columns, root, name)


def _listed(frame: "_Frame", columns: _Columns, root: str, name: str) -> S3ListPage:
    top = frame.top
    if "IsTruncated" not in top:
        raise PermanentError(message("{name}: the answer is not a listing: {begins!r}", name=name, begins=frame.begins))
    is_last = top["IsTruncated"].strip().lower() == "false"
    token = top.get("NextContinuationToken") or None  # beside `false`, too: what is there is asked for
    keys = columns.keys
    marker = ""
    if not is_last and token is None:
        marker = top.get("NextMarker") or (keys[-1] if keys else "")
        if not marker:
            raise PermanentError(message("{name}: the listing is truncated, but has no continuation token", name=name))
        if top.get("EncodingType") == "url":
            marker = unquote_plus(marker)
    if frame.has_folders:
        raise PermanentError(
            message(
                "{name}: the server lists one level of folders only, not all keys: it cannot be mirrored", name=name
            )
        )
    announced = top.get("KeyCount", "").strip()
    if announced.isascii() and announced.isdigit() and len(keys) < int(announced[:18]):
        raise PermanentError(
            message(
                "{name}: a page of the listing announces {announced} keys and has {found}",
                name=name,
                announced=announced,
                found=len(keys),
            )
        )
    if top.get("EncodingType") == "url":
        keys = _unquoted(keys)
    return S3ListPage(_page(keys, columns, root, name), token, is_last, marker)


def _unquoted(keys: Sequence[str]) -> Sequence[str]:
    """Decode keys, all at once if none contains a line break."""
    text = "\n".join(keys)
    if "%" not in text and "+" not in text:
        return keys
    plain = unquote_plus(text).split("\n")
    return plain if len(plain) == len(keys) else list(map(unquote_plus, keys))


def _page(keys: Sequence[str], columns: _Columns, root: str, name: str) -> Stats:
    cut = len(root)
    if root:
        if not all(map(str.startswith, keys, repeat(root))):
            stray = next(key for key in keys if not key.startswith(root))
            raise PermanentError(
                message(
                    "{name}: the listing of {root!r} contains {stray!r}: this server cannot list",
                    name=name,
                    root=root,
                    stray=stray[:200],
                )
            )
        keys = [key[cut:] for key in keys]
    page = Stats(list(keys), list(columns.sizes), list(columns.modified), list(columns.versions))
    return _without_markers(page, root) if any(map(str.endswith, keys, repeat("/"))) or not all(keys) else page


def _without_markers(page: Stats, root: str) -> Stats:
    """Return a page without empty markers of folders. A key with bytes that cannot be a file keeps its name."""
    named = zip(page.paths, page.sizes, strict=True)
    kept = [at for at, (path, size) in enumerate(named) if size or path[-1:] not in {"/", ""}]
    here = f"{root.rstrip('/').rpartition('/')[2]}/"
    return Stats(
        [page.paths[at] or here for at in kept],
        [page.sizes[at] for at in kept],
        [page.modified[at] for at in kept],
        [page.versions[at] for at in kept],
    )


class _Frame(XmlTarget[None]):
    """A page parsed by expat: its top elements, its objects, and whether it has one gap. Raises XmlError."""

    separator = None  # some servers do not declare their prefixes

    def __init__(self, text: str) -> None:
        super().__init__()
        self.top: dict[str, str] = {}
        self.begins = text[:80]
        self.is_whole = self.has_folders = False
        self._rows: list[dict[str, str]] = []
        for _ in parse_xml((text,), self):
            pass

    def columns(self) -> _Columns:
        """Return the objects. Raises ValueError."""
        for row in self._rows:
            if not row.keys() >= {"Key", "LastModified", "Size"}:
                raise ValueError(message("Contents with nothing but {names}", names=sorted(row)))
        return _Columns(
            [row["Key"] for row in self._rows],
            [_size(row["Size"]) for row in self._rows],
            [instant(row["LastModified"].strip()) for row in self._rows],
            [_version(row.get("ETag", "").strip()) for row in self._rows],
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        del attributes
        self.enter(tag)
        match self.path[1:]:
            case ["Contents"]:
                self._rows.append({})
            case ["Contents", field] if field in _FIELDS:
                self._rows[-1].setdefault(field, "")
            case ["CommonPrefixes"]:
                self.has_folders = True
            case ["Gap"]:
                self.is_whole = self.path[0] == "ListBucketResult"

    def text(self, characters: str) -> None:
        match self.path:
            case [_, field]:
                self.top[field] = self.top.get(field, "") + characters
            case [_, "Contents", field] if field in _FIELDS:
                self._rows[-1][field] += characters


def _size(text: str) -> int:
    size = int(text)
    if not 0 <= size < 1 << 63:
        raise ValueError(message("a size of {text} bytes", text=text))
    return size


def _version(etag: str) -> str | None:
    quoted = etag if etag[:1] == '"' else f'"{etag.strip(chr(34))}"'
    return quoted if len(quoted) > 2 else None


def _plain(text: str) -> str:
    """Undo the entities that XML knows by name, and the quote's number."""
    for entity, character in (("&quot;", '"'), ("&#34;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'")):
        text = text.replace(entity, character)
    return text.replace("&amp;", "&")
