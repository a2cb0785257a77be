"""What upstream claims of one file before we read it, and which paths we are ready to believe.

A Stat is a claim, never a proof: its size, version and digests are what the transfer must find.
"""

import unicodedata
from collections.abc import Sequence

import msgspec

MAX_PATH_BYTES = 1024  # the longest key S3 takes
MAX_NAME_BYTES = 255  # the longest name the usual file systems take
RESERVED = ".syncd"  # our own corner of the store

_EDGES = ("/", ".", "")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format (bidi, zero width), surrogates


class UnsafePath(ValueError):
    """A path that no store of ours may hold; the message says why, and begins with the path."""


class Stat(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file as upstream describes it.

    `path` is relative to the mirror, `/` between its parts, already percent-decoded. `size` is exact, in bytes, or None
    (a rounded size is no size). `modified` is in seconds since the epoch, UTC where upstream says a zone. `version` is
    upstream's validator for exactly these bytes (an ETag with its quotes, a generation, a listing's own stamp).
    `digests` maps an algorithm's name (`sha256`) to lower-case hex. `urls` are absolute, the preferred first; empty
    means the source's url plus the path.
    """

    path: str
    size: int | None = None
    modified: float | None = None
    version: str | None = None
    digests: dict[str, str] = {}
    urls: tuple[str, ...] = ()


class Promise(msgspec.Struct, frozen=True):
    """Digests published for a path by a list that does not prove that the file exists (`by` names the list)."""

    path: str
    digests: dict[str, str]
    by: str


def check_path(path: str) -> str:
    """Return `path` itself if a store may hold it.

    Raises UnsafePath for what is empty, absolute, has `.`, `..` or empty parts, control or invisible characters, a
    backslash, a part of more than 255 bytes, more than 1,024 bytes in all, or lies under `.syncd/`.
    """
    length = len(path)
    # ten million times: what is plainly harmless is told by the fastest questions a str can answer
    if (
        not path.isascii()
        or not path.isprintable()
        or "\\" in path
        or "//" in path
        or "/." in path
        or path[:1] in _EDGES
        or path[-1:] == "/"
    ):
        _explain(path)
        length = len(path.encode())
    if not 0 < length <= MAX_PATH_BYTES:
        raise UnsafePath(f"{path[:80]!r}: a path has between 1 and {MAX_PATH_BYTES} bytes, this one {length}")
    if length > MAX_NAME_BYTES and any(len(part.encode()) > MAX_NAME_BYTES for part in path.split("/")):
        raise UnsafePath(f"{path[:80]!r}: a part of the path has more than {MAX_NAME_BYTES} bytes")
    if path.startswith(RESERVED) and (path == RESERVED or path[len(RESERVED)] == "/"):
        raise UnsafePath(f"{path!r}: {RESERVED}/ is syncd's own folder")
    return path


def are_harmless(paths: Sequence[str]) -> bool:
    """Tell whether `check_path` surely takes every one of `paths`; False says only that each must be looked at."""
    text = "/".join(paths)  # so an absolute path or an empty one makes `//`, and a leading dot `/.`
    return (
        text.isascii()
        and text.isprintable()
        and "\\" not in text
        and "//" not in text
        and "/." not in text
        and text[:1] not in _EDGES
        and text[-1:] != "/"
        and max(map(len, paths)) <= MAX_NAME_BYTES
    )


def _explain(path: str) -> None:
    """Raise for the reason that made `path` suspect; non-ASCII alone is no reason."""
    if path.startswith("/") or "//" in path or path.endswith("/"):
        raise UnsafePath(f"{path!r}: absolute, or with an empty part")
    if any(part in {".", ".."} for part in path.split("/")):
        raise UnsafePath(f"{path!r}: . and .. are not names")
    if "\\" in path:
        raise UnsafePath(f"{path!r}: a backslash is a separator elsewhere")
    for character in path:
        if unicodedata.category(character) in _HIDDEN_CATEGORIES:
            raise UnsafePath(f"{path!r}: holds the invisible character U+{ord(character):04X}")


def fold(path: str) -> str:
    """Return the form under which two paths are one on a file system that folds case or normalises Unicode."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()
