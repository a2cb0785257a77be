"""The key pairs of a node, in the files that minisign reads and writes: it signs heads, and only syncd reads it.

Rules:
1. A secret key never appears in a text for people, and its file is created for its owner alone.
2. A passphrase encrypts it as minisign does (scrypt), so `minisign -S` and `syncd key` take the same files.
"""

import base64
import hashlib
import os
import secrets
from pathlib import Path
from typing import Self

import msgspec

from manifests.messages import message
from manifests.minisign import PublicKey, SignatureError, key_name, prehash, signature_text

COMMENT = "untrusted comment: "
MAX_FILE = 16 << 10  # bytes

_ED25519, _SCRYPT, _NONE, _BLAKE2B = b"Ed", b"Sc", b"\0\0", b"B2"
_OPS, _MEMORY = 1 << 20, 32 << 20  # of scrypt for new files: 32 MiB, a tenth of a second
_MOST_MEMORY = 1 << 30  # that minisign itself asks for


class SecretKey(msgspec.Struct, frozen=True):
    """The secret half of a key pair. Its repr shows its id only."""

    key_id: bytes
    seed: bytes

    def __repr__(self) -> str:
        """Return the id of the key."""
        return f"<SecretKey {key_name(self.key_id)}>"

    @classmethod
    def generate(cls) -> Self:
        """Return a new key."""
        return cls(secrets.token_bytes(8), secrets.token_bytes(32))

    @property
    def public(self) -> PublicKey:
        """Return the public half."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  loaded where keys are used

        return PublicKey(self.key_id, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def sign(self, content: bytes, comment: str, *, about: str = "signature from a syncd node") -> bytes:
        """Return the .minisig file of a content; `comment` is signed too. Raises ValueError if it has several lines."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  loaded where keys are used

        if not comment.isprintable():
            raise ValueError(message("a comment of a signature is one line"))
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        signature = key.sign(prehash(content))
        return signature_text(self.key_id, signature, comment, key.sign(signature + comment.encode()), about=about)

    def text(self, passphrase: str = "") -> str:
        """Return the content of its file, encrypted if there is a passphrase."""
        secret = self.seed + self.public.raw
        check = hashlib.blake2b(_ED25519 + self.key_id + secret, digest_size=32).digest()
        body = self.key_id + secret + check
        salt = secrets.token_bytes(32)
        if passphrase:
            body = _mixed(body, passphrase, salt, _OPS, _MEMORY)
        kind = _SCRYPT if passphrase else _NONE
        limits = _OPS.to_bytes(8, "little") + _MEMORY.to_bytes(8, "little") if passphrase else bytes(16)
        packed = base64.b64encode(_ED25519 + kind + _BLAKE2B + (salt if passphrase else bytes(32)) + limits + body)
        about = "minisign encrypted secret key" if passphrase else "minisign secret key"
        return f"{COMMENT}{about} of a syncd node\n{packed.decode()}\n"


def parse_secret_key(text: str, passphrase: str = "") -> SecretKey:
    """Return the key of a file's content. Raises SignatureError, whose text shows nothing of it."""
    lines = [line for line in text.splitlines() if line and not line.startswith(COMMENT)]
    try:
        packed = base64.b64decode(lines[0], validate=True)
    except (IndexError, ValueError) as error:
        raise SignatureError(message("not a secret key of minisign")) from error
    if len(packed) != 158 or packed[:2] != _ED25519 or packed[4:6] != _BLAKE2B or packed[2:4] not in (_SCRYPT, _NONE):
        raise SignatureError(message("not a secret key of minisign"))
    body = packed[54:]
    if packed[2:4] == _SCRYPT:
        if not passphrase:
            raise SignatureError(message("the key has a passphrase, and none is given"))
        limits = int.from_bytes(packed[38:46], "little"), int.from_bytes(packed[46:54], "little")
        body = _mixed(body, passphrase, packed[6:38], *limits)
    key_id, secret, check = body[:8], body[8:72], body[72:]
    is_unchecked = packed[2:4] == _NONE and not any(check)  # minisign -W writes none
    if not is_unchecked and hashlib.blake2b(_ED25519 + key_id + secret, digest_size=32).digest() != check:
        raise SignatureError(
            message("the passphrase is wrong") if packed[2:4] == _SCRYPT else message("the key is damaged")
        )
    found = SecretKey(key_id, secret[:32])
    if found.public.raw != secret[32:]:
        raise SignatureError(message("the key is damaged"))
    return found


def write_secret_key(path: Path, key: SecretKey, passphrase: str = "") -> None:
    """Create the file of a key, for its owner alone. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, 0o600)
            file.write(key.text(passphrase))
            file.flush()
            os.fsync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def chain_path(path: Path) -> Path:
    """Return where the sets of keys lie that a key belongs to: beside its file."""
    return path.with_name(f"{path.name}.keys.json")


def public_text(key: PublicKey) -> str:
    """Return the content of a .pub file, as `minisign -V -p` takes it."""
    return f"{COMMENT}minisign public key {key.name}\n{key.text}\n"


def _mixed(body: bytes, passphrase: str, salt: bytes, operations: int, memory: int) -> bytes:
    """Return the key's bytes xor those that scrypt makes of the passphrase: encrypting and decrypting are the same."""
    if memory > _MOST_MEMORY:
        raise SignatureError(message("its passphrase needs more than {most} bytes of memory", most=_MOST_MEMORY))
    cost, parallel = _scrypt_parameters(operations, memory)
    stream = hashlib.scrypt(
        passphrase.encode(), salt=salt, n=cost, r=8, p=parallel, maxmem=_MOST_MEMORY + (64 << 20), dklen=len(body)
    )
    return bytes(one ^ other for one, other in zip(body, stream, strict=True))


def _scrypt_parameters(operations: int, memory: int) -> tuple[int, int]:
    """Return N and p of scrypt (r is 8) for libsodium's limits, as its `pickparams` does."""
    operations = max(operations, 1 << 15)
    most = operations // 32 if operations < memory // 32 else memory // 1024
    logarithm = 1
    while logarithm < 63 and (1 << logarithm) <= most // 2:
        logarithm += 1
    parallel = 1
    if operations >= memory // 32:
        parallel = max(1, min(operations // 4 >> logarithm, 0x3FFFFFFF) // 8)
    return 1 << logarithm, parallel
