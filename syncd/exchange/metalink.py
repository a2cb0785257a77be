"""Writes Metalink 4 (RFC 5854) for one file: its size, its checksums, and every address that has these bytes."""

from collections.abc import Sequence

from syncd.exchange.markup import document, element, instant, tag
from syncd.exchange.publication import Publication, PublishedFile


def metalink(
    held: Publication,
    file: PublishedFile,
    *,
    version: str = "",
    piece: int = 0,
    pieces: Sequence[str] = (),
    elsewhere: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return the document; `pieces` are the sha256 of each `piece` bytes, `elsewhere` other addresses and countries.

    Name only nodes whose head names the same snapshot.
    """
    urls = [(held.file_url(file.path, version), ""), *elsewhere]
    return document(
        element(
            "metalink",
            {"xmlns": "urn:ietf:params:xml:ns:metalink"},
            tag("generator", "syncd"),
            tag("published", instant(held.version.created)),
            element(
                "file",
                {"name": file.path},
                tag("size", str(file.size)),
                tag("hash", file.sha256, type="sha-256"),
                tag("pieces", *(tag("hash", one) for one in pieces), length=str(piece), type="sha-256")
                if pieces
                else None,
                *(
                    tag("url", url, location=country or None, priority=str(number))
                    for number, (url, country) in enumerate(urls, 1)
                ),
            ),
        )
    )
