"""Reads the listing of dufs, which a script of its page shows: JSON inside the page, plain or in base64.

DATA = {"kind": "Index", "paths": [{"path_type": "File", "name": "a.nc", "mtime": 1709651520000, "size": 4}], …}
<template id="index-data">eyJraW5kIjoi…</template>
"""

import binascii
import re
from collections.abc import Iterator

import msgspec

from manifests.messages import message
from manifests.readers.autoindex_links import ListingLink, child_name
from manifests.reading import DocumentError, SkippedEntries

_TEMPLATE = re.compile(rb"<template id=\"index-data\">\s*([A-Za-z0-9+/=\s]*)</template>")
_SCRIPT = re.compile(rb"\bDATA = (?=\{)")


class _DufsPath(msgspec.Struct):
    """A row; `mtime` in milliseconds. The size of a folder is the number of its entries."""

    path_type: str
    name: str
    mtime: int | None = None
    size: int | None = None


class _DufsIndex(msgspec.Struct):
    kind: str
    paths: list[_DufsPath]


_index = msgspec.json.Decoder(_DufsIndex).decode


def is_dufs(head: bytes) -> bool:
    """Return True if a page begins as one of dufs."""
    return b'<template id="index-data">' in head or _SCRIPT.search(head) is not None


def is_dufs_json(body: bytes) -> bool:
    """Return True for the answer of dufs to `?json`."""
    return body.lstrip()[:1] == b"{" and b'"paths"' in body and b'"path_type"' in body


def dufs_links(body: bytes, url: str, skipped: SkippedEntries) -> Iterator[ListingLink]:
    """Yield the children in a page of dufs, or in its JSON. Raises DocumentError."""
    try:
        index = _index(_embedded(body))
    except (msgspec.MsgspecError, UnicodeError, binascii.Error) as error:
        raise DocumentError(
            message("{url}: a page of dufs whose listing cannot be read: {cause}", url=url, cause=error)
        ) from error
    for one in index.paths:
        name = child_name(one.name)
        if name is None:
            skipped.add(message("an entry has the path {name!r} instead of a name", name=one.name[:100]))
            continue
        is_folder = one.path_type in {"Dir", "SymlinkDir"}
        size = None if is_folder or one.size is None or one.size < 0 else one.size
        modified = one.mtime / 1000 if one.mtime else None
        stamp = f"listed:{one.mtime}|{size}" if one.mtime else None
        yield ListingLink(name, is_folder, size, modified, stamp)


def _embedded(body: bytes) -> bytes:
    """Return the JSON in a page."""
    if is_dufs_json(body):
        return body
    found = _TEMPLATE.search(body)
    if found is not None:
        return binascii.a2b_base64(found[1])
    script = _SCRIPT.search(body)
    if script is None:
        raise UnicodeError("no listing in it")
    end = body.find(b"\n", script.end())
    return body[script.end() : end if end > 0 else len(body)].rstrip(b" \r;")
