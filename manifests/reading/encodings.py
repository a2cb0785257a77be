"""Character encodings named in untrusted documents: BagIt declarations, manifests."""

import codecs


def text_encoding(name: str) -> str | None:
    """Return Python's name of a text encoding; None for an unknown one, and for a codec of bytes such as `zip`."""
    try:
        "".encode(name)  # raises LookupError for a codec that is not a text encoding
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
