"""Digests by name: which ones we can check, how published ones are written, and all of them in one pass over the bytes.

Names are canonical and lower case: `md5`, `sha256`, `sha3-256`, `blake2b-512`, `xxh3-128`, `crc32`. A digest is
lower-case hex. A published value that cannot be a digest is absent, never an error: metadata is full of such fields.
"""

import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

import xxhash

from manifests.zip_end import ZipEnd

OURS = ("sha256", "xxh3-128")  # proof and exchange; fast scrubs
ZIP_END = "zip-end"  # no digest: whether a zip can be whole, computed in the same pass
MAX_GIT_BLOB = 16 << 20  # bytes of a file up to which `gitblob` is a promise worth checking

_BLAKE2B_BITS = (128, 160, 192, 224, 256, 320, 384, 512)


class _Hash(Protocol):
    def update(self, chunk: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


class _Sum32:
    """A 32-bit checksum of zlib's, in the shape of a hash."""

    def __init__(self, step: Callable[[bytes | memoryview, int], int], value: int) -> None:
        self._step = step
        self._value = value

    def update(self, chunk: bytes | memoryview) -> None:
        self._value = self._step(chunk, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class _GitBlob:
    """What git calls a file's bytes: a sha1 that begins with their number, so they are kept until all are there."""

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
    # Upstreams publish MD5 and SHA-1; whoever could forge them could as well forge the list they stand in.
    "md5": partial(hashlib.md5, usedforsecurity=False),
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "sha224": hashlib.sha224,
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "sha3-224": hashlib.sha3_224,
    "sha3-256": hashlib.sha3_256,
    "sha3-384": hashlib.sha3_384,
    "sha3-512": hashlib.sha3_512,
    **{f"blake2b-{bits}": partial(hashlib.blake2b, digest_size=bits // 8) for bits in _BLAKE2B_BITS},
    "blake2s-256": hashlib.blake2s,
    "xxh64": xxhash.xxh64,
    "xxh3-64": xxhash.xxh3_64,
    "xxh3-128": xxhash.xxh3_128,
    "crc32": lambda: _Sum32(zlib.crc32, 0),
    "adler32": lambda: _Sum32(zlib.adler32, 1),
    "gitblob": _GitBlob,
}

KNOWN: Mapping[str, int] = MappingProxyType({name: len(new().hexdigest()) // 2 for name, new in _NEW.items()})
"""Every algorithm we can check, with the bytes of its digest."""

BY_LENGTH: Mapping[int, str] = MappingProxyType(
    {KNOWN[name]: name for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")}
)
"""What a digest of so many bytes is where nothing names its algorithm."""


class Hasher:
    """Several digests of one stream of bytes, in one pass.

    Chunks go on whole, because hashlib lets other threads run only while it works on more than 2,047 bytes.
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
        """Return the digests of what came so far, by algorithm."""
        return {name: each.hexdigest() for name, each in self._hashes.items()}


def _new(name: str) -> _Hash:
    new = ZipEnd if name == ZIP_END else _NEW.get(name)
    if new is None:
        raise ValueError(f"{name!r}: no algorithm of ours; known are {', '.join(_NEW)}")
    return new()


_ALIASES = {
    "sha": "sha1",  # RFC 3230
    "adler": "adler32",  # RFC 9530
    "crc32b": "crc32",  # PHP
    "b2": "blake2b-512",
    "blake2b": "blake2b-512",
    "blake2s": "blake2s-256",
    "xxh3": "xxh3-64",
    "xxh128": "xxh3-128",
    "xxhash64": "xxh64",  # these three: S3
    "xxhash3": "xxh3-64",
    "xxhash128": "xxh3-128",
    **{f"sha2{bits}": f"sha{bits}" for bits in (224, 256, 384, 512)},
    **{name.replace("-", ""): name for name in KNOWN},
}
_PUNCTUATION = re.compile(r"[\s_./-]+")


def canonical(name: str) -> str | None:
    """Return our name for an algorithm however it is written (`SHA2-256`, `SHA-256`, `sha256sum`), None if unknown.

    `SHA-512/256` is not `sha512`, and unknown.
    """
    bare = _PUNCTUATION.sub("", name).lower()
    for ending in ("checksums", "checksum", "sums", "sum"):
        bare = bare.removesuffix(ending)
    return _ALIASES.get(bare)


_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BASE64 = re.compile(r"([A-Za-z0-9+/_-]+)(=*)")


def parse_digest(value: str, algorithm: str | None = None) -> tuple[str, str] | None:
    """Read a published digest, hex or base64, and return its algorithm and lower-case hex; None if it is not one.

    `algorithm` is the label as published. Where there is none the length decides, and base64 must show its padding:
    without either, any word of the right length would be a digest.
    """
    label = None if algorithm is None else canonical(algorithm)
    if algorithm is not None and label is None:
        return None
    value = value.strip()
    if _HEX.fullmatch(value) is not None:
        name = _fits(label, len(value) // 2)
        if name is not None:
            return name, value.lower()
    match = _BASE64.fullmatch(value)
    if match is None or (label is None and not match[2]):
        return None
    digits = match[1].translate(_STANDARD)
    if len(digits) % 4 == 1:  # no number of bytes is written so
        return None
    raw = binascii.a2b_base64(digits + "=" * (-len(digits) % 4))  # the padding is ours: some publishers write too much
    name = _fits(label, len(raw))
    return None if name is None else (name, raw.hex())


_STANDARD = str.maketrans("-_", "+/")


def _fits(label: str | None, length: int) -> str | None:
    """Return the algorithm of a digest of `length` bytes; None if there is none, or `label` is another."""
    if label is None:
        return BY_LENGTH.get(length)
    return label if KNOWN[label] == length else None
