"""The keys of a node, and how they change: each set of keys is signed by the set before it, and by itself.

Rules:
1. A set is accepted if as many keys as the trusted set's threshold signed it, and as many as its own. No other way
   leads from one set to the next, so a follower of one set can follow all later ones, and cannot be led back.
2. A manifest names keys without a version: the first set that they signed is where its chain begins.
3. A key that a later set does not name signs nothing any more, whatever the manifest says.
"""

from collections.abc import Iterable

import msgspec

from manifests.messages import message
from manifests.minisign import PublicKey, Signature, SignatureError

KEYS_FORMAT = "syncd-keys/1"
MAX_KEYS = 256 << 10  # bytes of a chain
MAX_SETS = 1000


class NodeKeys(msgspec.Struct, frozen=True):
    """One set of keys; `expires` is in seconds since the epoch."""

    node: str
    version: int
    keys: tuple[str, ...]
    threshold: int
    expires: float
    format: str = KEYS_FORMAT


class SignedKeys(msgspec.Struct, frozen=True):
    """The text of a set of keys as it was signed, and its signatures, each the text of a .minisig file."""

    signed: str
    signatures: tuple[str, ...]


class KeyChain(msgspec.Struct, frozen=True):
    """`/.well-known/syncd.json`: all sets of keys of a node, the first one first."""

    node: str
    sets: tuple[SignedKeys, ...]
    format: str = KEYS_FORMAT


class TrustedKeys(msgspec.Struct, frozen=True, omit_defaults=True):
    """The keys whose heads are accepted; `version` is 0 for those of a manifest."""

    keys: tuple[str, ...]
    version: int = 0
    threshold: int = 1

    def find(self, key_id: bytes) -> PublicKey | None:
        """Return the trusted key with an id."""
        return next((key for key in map(PublicKey.parse, self.keys) if key.key_id == key_id), None)


def parse_chain(text: bytes) -> KeyChain:
    """Return the chain of a document. Raises SignatureError."""
    try:
        chain = msgspec.json.decode(text, type=KeyChain)
    except msgspec.MsgspecError as error:
        raise SignatureError(message("not a list of keys: {cause}", cause=str(error))) from error
    if chain.format != KEYS_FORMAT or len(chain.sets) > MAX_SETS:
        raise SignatureError(message("not a list of keys of format {format}", format=KEYS_FORMAT))
    return chain


def follow_chain(chain: KeyChain, trusted: TrustedKeys, now: float) -> TrustedKeys:
    """Return the last set that the trusted one leads to. Raises SignatureError if a link is broken, or it expired."""
    last: NodeKeys | None = None
    for one in chain.sets:
        found = set_of(one)
        if found.version <= trusted.version:
            continue
        if not _is_signed(one, trusted.keys, trusted.threshold):
            if trusted.version == 0:
                continue  # older than the keys of the manifest
            what = message("version {version} of its keys is not signed by those before it", version=found.version)
            raise SignatureError(what)
        if not _is_signed(one, found.keys, found.threshold):
            raise SignatureError(
                message("version {version} of its keys is not signed by itself", version=found.version)
            )
        if trusted.version and found.version != trusted.version + 1:
            raise SignatureError(
                message("its keys go from version {before} to {version}", before=trusted.version, version=found.version)
            )
        trusted, last = TrustedKeys(found.keys, found.version, found.threshold), found
    if last is not None and last.expires <= now:
        raise SignatureError(message("version {version} of its keys has expired", version=last.version))
    return trusted


def set_of(one: SignedKeys) -> NodeKeys:
    """Return the set of keys that a text holds. Raises SignatureError."""
    try:
        found = msgspec.json.decode(one.signed, type=NodeKeys)
    except msgspec.MsgspecError as error:
        raise SignatureError(message("not a set of keys: {cause}", cause=str(error))) from error
    distinct = len({PublicKey.parse(key).raw for key in found.keys})
    if found.format != KEYS_FORMAT or found.version < 1 or not 1 <= found.threshold <= distinct:
        raise SignatureError(message("version {version} of its keys is none that can be met", version=found.version))
    return found


def _is_signed(one: SignedKeys, keys: Iterable[str], threshold: int) -> bool:
    """Return True if at least `threshold` different ones of the keys signed the set."""
    known = [PublicKey.parse(key) for key in keys]
    signed: set[bytes] = set()
    for text in one.signatures[:MAX_SETS]:
        signature = Signature.parse(text.encode())
        signed.update(key.raw for key in known if signature.is_of(key, one.signed.encode()))
    return len(signed) >= threshold
