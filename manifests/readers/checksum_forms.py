"""Recognises forms of checksum lists that only the whole list shows, before it is read.

* `digest  size  name`, as in Debian's Release: every line has digits between digest and name, and they are no part of
  names such as `01 Track.mp3`, which are padded to one width.
* Names with the backslashes of Windows: every path in the list has them, none has a slash, and no line is escaped.
"""

import re
from collections.abc import Iterator

from manifests.reading import Document, DocumentError

SIZED = re.compile(rb"[ \t]*([0-9A-Fa-f]{8,128})([ \t]+)([0-9]{1,19})([ \t]+)\*?([^ \t].*)", re.DOTALL)
_DIGEST = re.compile(rb"[ \t]*\\?(?:[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{48,128})[ \t]")
_ROOTED = re.compile(r"[A-Za-z]:|\\\\|\\")
_LEAST = 1000  # bytes: a list with a larger number, and numbers of several lengths, is one of sizes


def has_sizes(document: Document) -> bool:
    """Return True if every line with a digest has a size behind it; the document is rewound."""
    lengths: set[int] = set()
    most = 0
    is_spread = False  # the columns are aligned, or far apart: no name begins so
    for line in _lines(document):
        if _DIGEST.match(line) is None:
            continue
        found = SIZED.fullmatch(line)
        if found is None or (len(found[3]) > 1 and found[3].startswith(b"0")):
            document.stream.seek(0)
            return False
        lengths.add(len(found[3]))
        most = max(most, int(found[3]))
        is_spread = is_spread or len(found[2]) != 2 or len(found[4]) > 1 or b"\t" in found[4]
    document.stream.seek(0)
    return bool(lengths) and (is_spread or (len(lengths) > 1 and most >= _LEAST))


def has_windows_names(names: Iterator[str]) -> bool:
    """Return True if all paths among these names have backslashes, and none of them is absolute."""
    found = False
    for name in names:
        if "/" in name or _ROOTED.match(name) is not None:
            return False
        found = found or "\\" in name
    return found


def has_backslash(document: Document) -> bool:
    """Return True if there is a backslash in a document, and no line begins with one, as escaped ones do."""
    while block := document.stream.read(1 << 20):
        if b"\\" in block:
            break
    document.stream.seek(0)
    if not block:
        return False
    found = False
    for line in _lines(document):
        if b"\\" in line:
            if line.lstrip(b" \t").startswith(b"\\"):
                found = False
                break
            found = True
    document.stream.seek(0)
    return found


def _lines(document: Document) -> Iterator[bytes]:
    """Yield the lines; a document with a line that is too long is none of these forms, and fails when it is read."""
    try:
        for line in document.lines():
            yield line.removesuffix(b"\r")
    except DocumentError:
        return
