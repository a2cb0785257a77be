"""Upstream's claims about one file before it is read, and the check of paths.

A Stat is a claim, never a proof: the transfer compares its size, version and digests with the bytes.
"""

import re
import unicodedata
from collections.abc import Sequence

import msgspec

from manifests.messages import message

MAX_PATH_BYTES = 1024  # the longest key S3 takes
MAX_NAME_BYTES = 255  # the longest name the usual file systems take
RESERVED = ".syncd"  # syncd's own folder in the store

_EDGES = ("/", ".", "")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format (bidi, zero width), surrogates
_JOINERS = "\u200c\u200d"  # format characters that are part of words in Persian, Hindi and others
_SURROGATE = re.compile("[\ud800-\udfff]")
_RAW_BYTE = re.compile(r"\\x[89a-f][0-9a-f]|[\ud800-\udfff]")


class UnsafePath(ValueError):
    """A path that is not allowed in a store; the message begins with the path and gives the reason."""


class Stat(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file as upstream describes it.

    `path` is relative to the mirror, `/` between its parts, already percent-decoded. `size` is exact, in bytes, or None
    (a rounded size is no size). `modified` is in seconds since the epoch, UTC if upstream gives a zone. `version` is
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
    """Return `path` unchanged if it is allowed in a store.

    Raises UnsafePath if it is empty, absolute, under `.syncd/`, or longer than 1,024 bytes, or if it has `.`, `..` or
    empty parts, a part of more than 255 bytes, control or invisible characters, or a backslash. So it does for a name
    that is not text, of which `storable` escaped the bytes.
    """
    length = len(path)
    # called ten million times: the fastest methods of str recognise harmless paths
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
        raise UnsafePath(
            message(
                "{path!r}: a path must have 1 to {max_path_bytes} bytes, this one has {length}",
                path=path[:80],
                max_path_bytes=MAX_PATH_BYTES,
                length=length,
            )
        )
    if length > MAX_NAME_BYTES and any(len(part.encode()) > MAX_NAME_BYTES for part in path.split("/")):
        raise UnsafePath(
            message(
                "{path!r}: a part of the path has more than {max_name_bytes} bytes",
                path=path[:80],
                max_name_bytes=MAX_NAME_BYTES,
            )
        )
    if path.startswith(RESERVED) and (path == RESERVED or path[len(RESERVED)] == "/"):
        raise UnsafePath(message("{path!r}: {reserved}/ is syncd's own folder", path=path, reserved=RESERVED))
    return path


def check_source_path(path: str) -> str:
    """Return `path` unchanged if it may be read at a source: as `check_path`, but also below `.syncd/`.

    The source may be another node's store, whose lists lie there.
    """
    check_path(path.removeprefix(f"{RESERVED}/"))
    return path


def are_harmless(paths: Sequence[str]) -> bool:
    """Return True if `check_path` certainly accepts all `paths`; False means that each must be checked."""
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
    """Raise UnsafePath with the reason; non-ASCII characters alone are allowed."""
    if path.startswith("/") or "//" in path or path.endswith("/"):
        raise UnsafePath(message("{path!r}: is absolute, or has an empty part", path=path))
    if any(part in {".", ".."} for part in path.split("/")):
        raise UnsafePath(message("{path!r}: . and .. are not allowed as names", path=path))
    if _RAW_BYTE.search(path) is not None:
        raise UnsafePath(
            message(
                "{path}: this name is not text in the encoding of the source, which is utf-8 unless the manifest names "
                "another: name it, as in encoding: gb18030 or latin-1 (source.encoding)",
                path=storable(path),
            )
        )
    if "\\" in path:
        raise UnsafePath(message("{path!r}: contains a backslash, which is a separator on some systems", path=path))
    for character in path:
        if unicodedata.category(character) in _HIDDEN_CATEGORIES and character not in _JOINERS:
            raise UnsafePath(
                message("{path!r}: contains the invisible character U+{code:04X}", path=path, code=ord(character))
            )


def storable(path: str) -> str:
    r"""Return `path`; one with bytes that are not text in its encoding (surrogates) has each of them as `\xff`.

    A database and a message can hold the result. `check_path` rejects it, with the reason.
    """
    if path.isascii():
        return path
    try:
        path.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(_escaped, path)
    return path


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def normalized(path: str) -> str:
    """Return a form that is equal for two paths that differ in Unicode form only."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def fold(path: str) -> str:
    """Return a form that is equal for two paths that a case-insensitive or normalising file system would merge."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()
