"""Signatures and public keys as minisign writes them: Ed25519 over the BLAKE2b-512 of a file, and a trusted comment.

Rules:
1. The second signature of a file covers the first one and the comment, so a comment can be trusted without the file.
2. A key is known by its eight bytes of id, which are no secret; only its 32 bytes decide.
"""

import base64
import binascii
import hashlib
from typing import Self

import msgspec

from manifests.messages import message

UNTRUSTED = "untrusted comment: "
TRUSTED = "trusted comment: "
MAX_SIGNATURE = 16 << 10  # bytes of a .minisig file; minisign itself reads a comment of 8 KiB

_PREHASHED, _WHOLE = b"ED", b"Ed"


class SignatureError(ValueError):
    """A key or signature that cannot be read, or a signature that is not of these bytes."""


class PublicKey(msgspec.Struct, frozen=True):
    """The public half of a key pair; its text begins with `RW`."""

    key_id: bytes
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of the second line of a .pub file. Raises SignatureError."""
        packed = _decoded(text.strip())
        if len(packed) != 42 or packed[:2] != _WHOLE:
            raise SignatureError(message("not a public key of minisign, which begins with RW"))
        return cls(packed[2:10], packed[10:])

    @property
    def text(self) -> str:
        """Return the key as manifests and .pub files have it."""
        return base64.b64encode(_WHOLE + self.key_id + self.raw).decode()

    @property
    def name(self) -> str:
        """Return the id as minisign shows it: sixteen hexadecimal digits."""
        return key_name(self.key_id)

    def verifies(self, signature: bytes, signed: bytes) -> bool:
        """Return True if this key made a signature of these bytes."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  loaded where keys are used
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415  as above

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, signed)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signature(msgspec.Struct, frozen=True):
    """The content of a .minisig file."""

    key_id: bytes
    signature: bytes
    comment: str
    global_signature: bytes
    is_prehashed: bool = True

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Return the signature of a .minisig file. Raises SignatureError."""
        try:
            lines = text.decode().splitlines()
        except UnicodeDecodeError as error:
            raise SignatureError(message("not a signature of minisign: it is no text")) from error
        if len(lines) < 4 or not lines[0].startswith(UNTRUSTED) or not lines[2].startswith(TRUSTED):
            raise SignatureError(message("not a signature of minisign: it needs four lines, two of them comments"))
        packed, whole = _decoded(lines[1]), _decoded(lines[3])
        if len(packed) != 74 or packed[:2] not in (_PREHASHED, _WHOLE) or len(whole) != 64:
            raise SignatureError(message("not a signature of minisign: its second or fourth line is damaged"))
        comment = lines[2].removeprefix(TRUSTED)
        return cls(packed[2:10], packed[10:], comment, whole, packed[:2] == _PREHASHED)

    @property
    def key_name(self) -> str:
        """Return the id of the key that is said to have made it."""
        return key_name(self.key_id)

    def is_of_comment(self, key: PublicKey) -> bool:
        """Return True if the key signed the trusted comment."""
        return key.key_id == self.key_id and key.verifies(self.global_signature, self.signature + self.comment.encode())

    def is_of(self, key: PublicKey, content: bytes) -> bool:
        """Return True if the key signed these bytes and the trusted comment."""
        signed = prehash(content) if self.is_prehashed else content
        return self.is_of_comment(key) and key.verifies(self.signature, signed)


def prehash(content: bytes) -> bytes:
    """Return what a prehashed signature signs."""
    return hashlib.blake2b(content, digest_size=64).digest()


def signature_text(key_id: bytes, signature: bytes, comment: str, global_signature: bytes, *, about: str) -> bytes:
    """Return the text of a .minisig file; `about` is the comment that proves nothing."""
    first = base64.b64encode(_PREHASHED + key_id + signature).decode()
    second = base64.b64encode(global_signature).decode()
    return f"{UNTRUSTED}{about}\n{first}\n{TRUSTED}{comment}\n{second}\n".encode()


def key_name(key_id: bytes) -> str:
    """Return the id of a key as minisign shows it: a number, the last byte first."""
    return key_id[::-1].hex().upper()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError(message("not base64, as keys and signatures of minisign are")) from error
