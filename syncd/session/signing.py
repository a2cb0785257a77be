"""Composes what signs the heads of published mirrors: the node's name and its key, which is read when it is needed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from manifests.access import access_of
from manifests.messages import message
from manifests.minisign import SignatureError
from manifests.model import Mirror
from manifests.node_keys import parse_chain
from syncd.config import Secret, ServeSettings, read_secret
from syncd.core import ConfigError
from syncd.engine import HeadSigner
from syncd.exchange import SecretKey, chain_path, parse_secret_key


def head_signer(serve: ServeSettings | None, mirror: Mirror, environ: Mapping[str, str]) -> HeadSigner | None:
    """Return what signs the head of a mirror; None if it is private, or the node has no key. Blocks.

    Raises ConfigError if the key cannot be read.
    """
    if serve is None or serve.key is None or mirror.publish is None:
        return None
    key = read_node_key(serve, environ)
    access = access_of(mirror, datetime.now(UTC))
    return HeadSigner(
        serve.name, key.public.text, key.sign, _read_chain(serve.key.file), access=access, licence=mirror.about.licence
    )


def read_node_key(serve: ServeSettings, environ: Mapping[str, str]) -> SecretKey:
    """Return the key of the node. Blocks. Raises ConfigError."""
    assert serve.key is not None
    where = "serve.key"
    text = read_secret(Secret(file=serve.key.file), f"{where}.file", environ, lines=True)
    opens = serve.key.passphrase
    passphrase = read_secret(opens, f"{where}.passphrase", environ) if opens is not None else ""
    try:
        return parse_secret_key(text, passphrase)
    except SignatureError as error:
        raise ConfigError(
            message(
                "{where}: {file}: {cause}: make one with syncd key new", where=where, file=serve.key.file, cause=error
            )
        ) from error


def _read_chain(file: Path) -> bytes:
    """Return the sets of keys that a key belongs to, b"" if there are none. Raises ConfigError."""
    found = chain_path(file.expanduser())
    try:
        text = found.read_bytes()
        parse_chain(text)
    except FileNotFoundError:
        return b""
    except (OSError, SignatureError) as error:
        raise ConfigError(message("{file}: {cause}", file=found, cause=str(error))) from error
    return text
