"""Checksum algorithms: those that syncd can check, how publishers write their values, and all of a file's in one pass.

Names are canonical and lower case: `md5`, `sha256`, `sha3-256`, `blake2b-512`, `blake3`, `xxh3-128`, `crc64nvme`. A
digest is lower-case hex. A published value that cannot be a digest is ignored, never an error: metadata is full of such
fields. If a label and a length contradict each other, the length decides, provided that it identifies an algorithm.
"""

import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol, cast

import blake3
import xxhash

from manifests.zip_end import ZipEnd

OURS = ("sha256", "xxh3-128")  # proof and exchange; fast scrubs
ZIP_END = "zip-end"  # not a digest: whether a zip can be complete, computed in the same pass
MAX_GIT_BLOB = 16 << 20  # bytes of a file up to which `gitblob` is a promise worth checking

_BLAKE2B_BITS = (128, 160, 192, 224, 256, 320, 384, 512)


class _Hash(Protocol):
    def update(self, chunk: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Crc:
    """A checksum that continues from a number, with the interface of a hashlib hash."""

    def __init__(self, step: Callable[[bytes | memoryview, int], int], value: int = 0, size: int = 4) -> None:
        self._step = step
        self._value = value
        self._digits = 2 * size

    def update(self, chunk: bytes | memoryview) -> None:
        self._value = self._step(chunk, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._digits}x}"


def _crc32c() -> _Hash:
    from awscrt import checksums  # noqa: PLC0415  a library of S3's, for the few whose upstream publishes these

    return _Crc(checksums.crc32c)


def _crc64nvme() -> _Hash:
    from awscrt import checksums  # noqa: PLC0415  as above

    return _Crc(checksums.crc64nvme, size=8)


class _GitBlob:
    """The id of a git blob: a sha1 over the length, then the bytes, which are buffered until the length is known."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        self._size += len(chunk)
        if self._size <= MAX_GIT_BLOB:
            self._chunks.append(bytes(chunk))
        else:
            self._chunks.clear()

    def hexdigest(self) -> str:
        whole = hashlib.sha1(b"blob %d\0" % self._size, usedforsecurity=False)
        for chunk in self._chunks:
            whole.update(chunk)
        return whole.hexdigest()


_NEW: dict[str, Callable[[], _Hash]] = {
    # Upstreams publish MD5 and SHA-1; an attacker who can forge them can also forge the list that they are in.
    "md5": partial(hashlib.md5, usedforsecurity=False),
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "sha224": hashlib.sha224,
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "sha512-224": partial(hashlib.new, "sha512_224"),
    "sha512-256": partial(hashlib.new, "sha512_256"),
    "sha3-224": hashlib.sha3_224,
    "sha3-256": hashlib.sha3_256,
    "sha3-384": hashlib.sha3_384,
    "sha3-512": hashlib.sha3_512,
    **{f"blake2b-{bits}": partial(hashlib.blake2b, digest_size=bits // 8) for bits in _BLAKE2B_BITS},
    "blake2s-256": hashlib.blake2s,
    "blake3": lambda: cast("_Hash", blake3.blake3()),
    "xxh64": xxhash.xxh64,
    "xxh3-64": xxhash.xxh3_64,
    "xxh3-128": xxhash.xxh3_128,
    "crc32": lambda: _Crc(zlib.crc32),
    "adler32": lambda: _Crc(zlib.adler32, 1),
    "gitblob": _GitBlob,
}
_LATE: dict[str, tuple[Callable[[], _Hash], int]] = {"crc32c": (_crc32c, 4), "crc64nvme": (_crc64nvme, 8)}

KNOWN: Mapping[str, int] = MappingProxyType(
    {name: len(new().hexdigest()) // 2 for name, new in _NEW.items()}
    | {name: size for name, (_, size) in _LATE.items()}
)
"""Every algorithm that syncd can check, with the length of its digest in bytes."""

STRONG = frozenset(
    {name for name in KNOWN if name.startswith(("sha2", "sha3", "sha512"))}
    | {f"blake2b-{bits}" for bits in _BLAKE2B_BITS if bits >= 224}
    | {"blake2s-256", "blake3"}
)
"""The algorithms without known collisions: two contents of one value cannot be made. No md5, sha1, gitblob or crc."""

BY_LENGTH: Mapping[int, str] = MappingProxyType(
    {KNOWN[name]: name for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")}
)
"""The algorithm that a length in bytes stands for if no algorithm is named."""


class Hasher:
    """Several digests of one stream of bytes, in one pass.

    Chunks are not split, because hashlib lets other threads run only during updates of more than 2,047 bytes.
    """

    __slots__ = ("_hashes", "_updates")

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._hashes = {name: _new(name) for name in algorithms}
        self._updates = tuple(each.update for each in self._hashes.values())

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes."""
        for update in self._updates:
            update(chunk)

    def hexdigests(self) -> dict[str, str]:
        """Return the digests of the bytes taken so far, by algorithm."""
        return {name: each.hexdigest() for name, each in self._hashes.items()}


def digests_of(content: bytes, algorithms: Iterable[str]) -> dict[str, str]:
    """Return the digests of complete content, by algorithm."""
    found = {}
    for name in algorithms:
        hashing = _new(name)
        hashing.update(content)
        found[name] = hashing.hexdigest()
    return found


def _new(name: str) -> _Hash:
    if (new := _NEW.get(name)) is not None:
        return new()
    new = ZipEnd if name == ZIP_END else _LATE.get(name, (None,))[0]
    if new is None:
        raise ValueError(f"{name!r}: unknown checksum algorithm; known: {', '.join(KNOWN)}")
    return new()


_ALIASES = {
    "sha": "sha1",  # RFC 3230
    "adler": "adler32",  # RFC 9530
    "crc32b": "crc32",  # PHP
    "b2": "blake2b-512",
    "b3": "blake3",
    "castagnoli": "crc32c",
    "blake2b": "blake2b-512",
    "blake2s": "blake2s-256",
    "xxh3": "xxh3-64",
    "xxh128": "xxh3-128",
    "xxhash64": "xxh64",  # these three: S3
    "xxhash3": "xxh3-64",
    "xxhash128": "xxh3-128",
    **{f"sha2{bits}": f"sha{bits}" for bits in (224, 256, 384, 512)},
    **{name.replace("-", ""): name for name in KNOWN},
    **{f"sha2512{bits}": f"sha512-{bits}" for bits in (224, 256)},
}
_FAMILIES = {  # labels that name no length: it is the digest's
    "sha2": {KNOWN[name]: name for name in ("sha224", "sha256", "sha384", "sha512")},
    "sha3": {KNOWN[name]: name for name in KNOWN if name.startswith("sha3-")},
    "blake2b": {KNOWN[name]: name for name in KNOWN if name.startswith("blake2b-")},
}
_PUNCTUATION = re.compile(r"[\s_./-]+")


def canonical(name: str) -> str | None:
    """Return our name for an algorithm however it is written (`SHA2-256`, `SHA-256`, `sha256sum`), None if unknown.

    `SHA-512/256` is not `sha512`.
    """
    return _ALIASES.get(_bare(name))


def _bare(name: str) -> str:
    bare = _PUNCTUATION.sub("", name).lower()
    for ending in ("checksums", "checksum", "sums", "sum"):
        bare = bare.removesuffix(ending)
    return bare


_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BASE64 = re.compile(r"([A-Za-z0-9+/_-]+)(=*)")


def parse_digest(value: str, algorithm: str | None = None) -> tuple[str, str] | None:
    """Parse a published digest, hex or base64; return its algorithm and lower-case hex, None if it is not one.

    `algorithm` is the label as published. Without one the length decides, and base64 must have its padding:
    otherwise any word of the right length would be a digest. The same holds if the length contradicts the label: a
    `sha256` of 32 digits is an MD5.
    """
    sizes = _sizes(algorithm)
    if sizes is None:
        return None
    value = value.strip()
    digits = value[2:] if value[:2] in ("0x", "0X") else value
    written = digits.lower() if _HEX.fullmatch(digits) is not None else ""
    match = _BASE64.fullmatch(value)
    raw = b"" if match is None or (algorithm is None and not match[2]) else _from_base64(match[1])
    padded = raw if match is not None and match[2] else b""
    # what the label says is tried first: a digest in base64 may, by chance, be made of hex digits alone
    for known, found in ((sizes, raw), (BY_LENGTH if _may_lie(sizes) else {}, padded)):
        if (name := known.get(len(written) // 2)) is not None:
            return name, written
        if (name := known.get(len(found))) is not None:
            return name, found.hex()
    return None


def _from_base64(digits: str) -> bytes:
    if len(digits) % 4 == 1:  # no number of bytes is written so
        return b""
    # the padding is ours: some publishers write too much
    return binascii.a2b_base64(digits.translate(_STANDARD) + "=" * (-len(digits) % 4))


_STANDARD = str.maketrans("-_", "+/")


def _sizes(algorithm: str | None) -> Mapping[int, str] | None:
    """Return the algorithm for each size of a digest under this label, as published; None if it is unknown."""
    if algorithm is None:
        return BY_LENGTH
    bare = _bare(algorithm)
    name = _ALIASES.get(bare)
    if bare in _FAMILIES:
        return _FAMILIES[bare]
    return None if name is None else {KNOWN[name]: name}


def _may_lie(sizes: Mapping[int, str]) -> bool:
    """Return True if a label is among those that publishers confuse."""
    return any(name in BY_LENGTH.values() for name in sizes.values())


_CODES = {  # of the multicodec table
    0x11: "sha1",
    0x12: "sha256",
    0x13: "sha512",
    0x14: "sha3-512",
    0x15: "sha3-384",
    0x16: "sha3-256",
    0x17: "sha3-224",
    0x1E: "blake3",
    0x20: "sha384",
    0xD5: "md5",
    0x132: "crc32",
    0x1013: "sha224",
    0x1014: "sha512-224",
    0x1015: "sha512-256",
    0xB260: "blake2s-256",
    0xB3E2: "xxh64",
    0xB3E3: "xxh3-64",
    0xB3E4: "xxh3-128",
    **{0xB200 + bits // 8: f"blake2b-{bits}" for bits in _BLAKE2B_BITS},
}


def parse_multihash(value: str) -> tuple[str, str] | None:
    """Parse a multihash in hex; return its algorithm and lower-case hex, None if it is not one that syncd can check.

    A truncated one is not accepted: every ten-thousandth bare MD5 looks like one (`could_be_cut`).
    """
    if len(value) == 68 and value[:4] == "1220" and _is_hex(value):
        return "sha256", value[4:].lower()  # nearly all of them
    found = _multihash(value)
    if found is None:
        return None
    name, raw = found
    return (name, raw.hex()) if len(raw) == KNOWN[name] else None


def _is_hex(value: str) -> bool:
    """As the pattern, in less time; `fromhex` itself would allow spaces."""
    try:
        return value.isalnum() and bool(bytes.fromhex(value))
    except ValueError:
        return False


def could_be_cut(value: str) -> bool:
    """Return True if `value` could also be a multihash with a truncated digest, which is legal but seldom meant."""
    found = _multihash(value)
    return found is not None and len(found[1]) < KNOWN[found[0]]


def _multihash(value: str) -> tuple[str, bytes] | None:
    if _HEX.fullmatch(value) is None or len(value) > 256:
        return None
    raw = bytes.fromhex(value)
    code, at = _varint(raw, 0)
    length, at = _varint(raw, at)
    name = _CODES.get(code)
    return None if name is None or length == 0 or length != len(raw) - at else (name, raw[at:])


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends; -1 if there is none, or not in its shortest form."""
    number = 0
    for place, byte in enumerate(raw[at : at + 9]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return (number if byte or place == 0 else -1), at + place + 1
    return -1, len(raw)
