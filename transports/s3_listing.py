r"""Reads a page of an S3 listing: a thousand keys in two milliseconds when it looks as all servers write it.

Rule 1: the fast way takes a page only if every `<Contents>` in it matched; anything unusual (comments, CDATA, other
elements before the size) goes to expat. Document types are refused.
Rule 2: keys are passed on as they come, in the order they come; keys that end in `/` are folder markers, not files.
Rule 3: an ETag becomes a version with its quotes, whether the server wrote them or not.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.parsers import expat

from manifests.stat import Stat
from syncd.errors import PermanentError, Unsafe
from syncd.ports import Page
from transports.s3_errors import Doctype, hidden_failure, refuse_doctype

MAX_PAGE = 16 << 20  # bytes
HEAD = 1 << 14  # bytes of a page among which a token may be seen early

# What lies behind <Size> is nothing to us; as many matches as there are <Contents> means that each matched.
_SHAPE = (
    "<Contents>{0}<Key>([^<]*)</Key>{0}<LastModified>([^<]*)</LastModified>{0}<ETag>([^<]*)</ETag>{0}"
    r"(?:<Checksum\w+>[^<]*</Checksum\w+>{0})*<Size>([^<]*)</Size>"
)
_CONTENTS = re.compile(_SHAPE.format(""))
_SPACED = re.compile(_SHAPE.format(r"\s*"))
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")
_FIELDS = frozenset({"Key", "LastModified", "ETag", "Size"})


@dataclass(frozen=True, slots=True)
class Listed:
    """One page: its files, and the token of the next one, or None at the end."""

    page: Page
    token: str | None


def early_token(body: bytes | bytearray) -> str | None:
    """Return the next page's token if it can be seen in what has arrived, though it may be only the beginning."""
    head = bytes(body[:HEAD])
    found = _TOKEN.search(head)
    if found is None or b"<IsTruncated>true" not in head or b"<!" in head:
        return None
    return _plain(found[1].decode())


def read_page(body: bytes | bytearray, root: str, name: str) -> Listed:
    """Read a whole page; paths are what follows `root`. Raises Unsafe, PermanentError, and the error the body holds."""
    text = body.decode("utf-8", "replace")
    found = _find(text)
    if found is not None:
        truncated = "<IsTruncated>true</IsTruncated>" in text
        token = _TOKEN.search(body)
        if token is not None or not truncated:
            is_encoded = ("%" in text or "+" in text) and "<EncodingType>url</EncodingType>" in text
            page = _page(found, root, name, is_encoded=is_encoded)
            return Listed(page, _plain(token[1].decode()) if truncated and token is not None else None)
    hidden = hidden_failure(bytes(body), name)
    if hidden is not None:
        raise hidden
    return _read_slowly(bytes(body), root, name)


def instant(text: str) -> float:
    """Return an ISO date as S3 writes it, as seconds since the epoch. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.timestamp() if moment.tzinfo is not None else moment.replace(tzinfo=UTC).timestamp()


def _find(text: str) -> list[tuple[str, str, str, str]] | None:
    """Return key, date, ETag and size of each file, or None if the page is of an unusual shape."""
    if ("!" in text and "<!" in text) or "<ListBucketResult" not in text or "<IsTruncated>" not in text:
        return None
    if "#" in text and text.count("&#") != text.count("&#34;"):
        return None
    count = text.count("<Contents")
    for shape in (_CONTENTS, _SPACED):
        found: list[tuple[str, str, str, str]] = shape.findall(text)
        if len(found) == count:
            return found
    return None


def _page(found: Iterable[tuple[str, str, str, str]], root: str, name: str, *, is_encoded: bool) -> Page:
    cut = len(root)
    parse, make = datetime.fromisoformat, Stat
    page: Page = []
    add = page.append
    try:
        for key, modified, etag, size in found:
            if "&" in key:
                key = _plain(key)  # noqa: PLW2901  the key itself, from here on
            if is_encoded and ("%" in key or "+" in key):
                key = unquote_plus(key)  # noqa: PLW2901  as above
            if not key.startswith(root):
                raise PermanentError(f"{name}: a listing of {root!r} holds {key[:200]!r}: this server cannot list")
            if key[-1:] != "/" and len(key) > cut:
                version = etag.replace("&quot;", '"')
                if version[:1] != '"':
                    version = f'"{_plain(version).strip(chr(34))}"'
                when = parse(modified).timestamp() if modified[-1:] == "Z" else instant(modified)
                add(make(key[cut:], int(size), when, version if len(version) > 2 else None))
    except ValueError as error:
        raise PermanentError(f"{name}: a listing that cannot be read: {error}") from error
    return page


def _read_slowly(body: bytes, root: str, name: str) -> Listed:
    """Read any correct XML."""
    found: list[tuple[str, str, str, str]] = []
    stack: list[str] = []
    top: dict[str, str] = {}
    fields: dict[str, str] = {}

    def begin(tag: str, _: dict[str, str]) -> None:
        stack.append(tag.rpartition(":")[2])
        if stack[1:] == ["Contents"]:
            fields.clear()

    def text(characters: str) -> None:
        if len(stack) == 2:
            top[stack[1]] = top.get(stack[1], "") + characters
        elif len(stack) == 3 and stack[1] == "Contents" and stack[2] in _FIELDS:
            fields[stack[2]] = fields.get(stack[2], "") + characters

    def end(_: str) -> None:
        if stack[1:] == ["Contents"]:
            if not fields.keys() >= {"Key", "LastModified", "Size"}:
                raise ValueError(f"Contents with nothing but {sorted(fields)}")
            key, etag = fields["Key"].replace("&", "&amp;"), fields.get("ETag", "").strip().replace("&", "&amp;")
            found.append((key, fields["LastModified"].strip(), etag, fields["Size"]))
        stack.pop()

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, text
    parser.StartDoctypeDeclHandler = refuse_doctype
    try:
        parser.Parse(body.strip(), True)
    except Doctype as error:
        raise Unsafe(f"{name}: a listing with {error}") from error
    except (expat.ExpatError, ValueError) as error:
        raise PermanentError(f"{name}: a listing that cannot be read: {error}") from error
    if "IsTruncated" not in top:
        raise PermanentError(f"{name}: an answer that is no listing: {body[:80]!r}")
    token = None
    if top["IsTruncated"].strip() == "true":
        token = top.get("NextContinuationToken")
        if not token:
            raise PermanentError(f"{name}: a listing that goes on, but does not say where")
    return Listed(_page(found, root, name, is_encoded=top.get("EncodingType") == "url"), token)


def _plain(text: str) -> str:
    """Undo the entities that XML knows by name, and the quote's number."""
    for entity, character in (("&quot;", '"'), ("&#34;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'")):
        text = text.replace(entity, character)
    return text.replace("&amp;", "&")
