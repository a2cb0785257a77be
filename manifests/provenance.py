"""Where a file came from first, however many nodes it passed since: a line for each file, beside the lists of a node.

Rules:
1. Each node passes the first provenance on unchanged; the node that copied from the original is where it begins.
2. Logins and queries are left out: an upstream's link may have been signed.
3. It is what a node says: only the checksums that the head leads to are proved. A line that is wrong changes no file.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import msgspec

from manifests.messages import message
from manifests.snapshot import FirstOrigin, Origin, SnapshotError, Verdict

MAX_LINE = 16 << 10  # bytes of one line
MAX_TEXT = 4_096  # characters of a url, or of who promised the checksum
PUBLIC = frozenset({"http", "https", "ftp", "ftps", "sftp", "s3"})

_encode = msgspec.json.Encoder().encode


class ProvenanceLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: the first provenance, or, in the store's own lists, the fields of an Origin without one."""

    path: str
    first: FirstOrigin | None = None
    url: str = ""
    verdict: Verdict = "attested"
    proved: float = 0.0
    by: str = ""


_line = msgspec.json.Decoder(ProvenanceLine).decode


def public_url(url: str) -> str:
    """Return a url as others may see it, "" if it names a place of this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in PUBLIC:
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def first_of(origin: Origin) -> FirstOrigin:
    """Return where the file of an Origin came from first: from where it was copied, if no node lies between."""
    if origin.first is not None:
        return origin.first
    by = public_url(origin.by) if "://" in origin.by else origin.by
    return FirstOrigin(public_url(origin.url), origin.verdict, origin.proved, by)


def provenance_lines(origins: Iterable[Origin]) -> Iterator[bytes]:
    """Yield the line of each file."""
    for origin in origins:
        yield _encode(ProvenanceLine(origin.path, first_of(origin))) + b"\n"


def parse_provenance(rows: Iterable[bytes]) -> Iterator[tuple[str, FirstOrigin]]:
    """Yield each path with its first provenance. Raises SnapshotError for a line that is none."""
    for number, row in enumerate(rows, 1):
        try:
            one = _line(row)
        except msgspec.MsgspecError as error:
            what = message("line {number} is no provenance: {cause}", number=number, cause=str(error))
            raise SnapshotError(what) from error
        first = one.first or first_of(Origin(one.path, one.url, one.verdict, one.proved, by=one.by))
        if len(first.url) > MAX_TEXT or len(first.by) > MAX_TEXT:
            raise SnapshotError(message("line {number} is no provenance: too long", number=number))
        yield one.path, msgspec.structs.replace(first, url=public_url(first.url))
