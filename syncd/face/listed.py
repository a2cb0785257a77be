"""The record of the mirrors that are or were listed, which the daemon keeps and the public side reads."""

import msgspec

from manifests.messages import plain
from syncd.catalogue import CatalogueSettings
from syncd.exchange import ListedMirror

_LISTED = "listed"  # the setting of the Catalogue that has it
_encode = msgspec.json.Encoder(enc_hook=plain).encode
_decode = msgspec.json.Decoder(list[ListedMirror]).decode


def read_listed(settings: CatalogueSettings) -> list[ListedMirror]:
    """Return the mirrors that are or were listed, in the order of their stamps."""
    text = settings.get(_LISTED)
    return [] if text is None else _decode(text)


def write_listed(settings: CatalogueSettings, listed: list[ListedMirror]) -> None:
    """Record them."""
    settings.set(_LISTED, _encode(listed).decode())
