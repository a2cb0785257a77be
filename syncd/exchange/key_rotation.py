"""Makes the next set of a node's keys, which followers of the set before it accept (`manifests.node_keys`)."""

from collections.abc import Sequence

import msgspec

from manifests.messages import message, plain
from manifests.minisign import SignatureError
from manifests.node_keys import KeyChain, NodeKeys, SignedKeys, TrustedKeys, follow_chain, set_of
from syncd.exchange.keys import SecretKey

LIFE = 5 * 365 * 86_400.0  # seconds for which a set of keys is valid


def begin_chain(node: str, key: SecretKey, now: float) -> KeyChain:
    """Return the chain of a node that has one key, and named it in no set yet."""
    return KeyChain(node, (_signed(NodeKeys(node, 1, (key.public.text,), 1, now + LIFE), [key]),))


def current_keys(chain: KeyChain) -> NodeKeys:
    """Return the last set of keys. Raises SignatureError."""
    return set_of(chain.sets[-1])


def next_chain(
    chain: KeyChain, keys: Sequence[str], signers: Sequence[SecretKey], now: float, *, threshold: int = 1
) -> KeyChain:
    """Return the chain with a set more, of these public keys. Raises SignatureError if the signers cannot make it."""
    before = current_keys(chain)
    after = NodeKeys(chain.node, before.version + 1, tuple(dict.fromkeys(keys)), threshold, now + LIFE)
    longer = KeyChain(chain.node, (*chain.sets, _signed(after, signers)))
    trusted = TrustedKeys(before.keys, before.version, before.threshold)
    try:
        follow_chain(longer, trusted, now)
    except SignatureError as error:
        raise SignatureError(
            message(
                "{cause}: it needs {old} of the keys so far, and {new} of the new ones",
                cause=error,
                old=before.threshold,
                new=threshold,
            )
        ) from error
    return longer


def chain_text(chain: KeyChain) -> bytes:
    """Return the document that a node publishes."""
    return msgspec.json.format(msgspec.json.encode(chain, enc_hook=plain), indent=1) + b"\n"


def _signed(keys: NodeKeys, signers: Sequence[SecretKey]) -> SignedKeys:
    text = msgspec.json.encode(keys, enc_hook=plain).decode()
    comment = f"node:{keys.node} keys:{keys.version}"
    return SignedKeys(text, tuple(one.sign(text.encode(), comment).decode() for one in signers))
