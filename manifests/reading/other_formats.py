"""Recognises documents of other readers that were given to the reader of directory listings: which reader fits."""

import re

from manifests.messages import message
from manifests.reading.document import DocumentError

HEAD = 16 << 10  # bytes of a document that are looked at
_ROOT = re.compile(rb"(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:[\w.-]+:)?([\w.-]+)([^>]*)", re.DOTALL)
_BY_ROOT = {
    b"metalink": "metalink",
    b"OAI-PMH": "oai-pmh",
    b"urlset": "resourcesync",
    b"sitemapindex": "resourcesync",
    b"multistatus": "webdav",
}
_JSON = (
    (re.compile(rb'"stac_version"\s*:'), "stac"),
    (re.compile(rb"mlcommons\.org/croissant"), "croissant"),
    (re.compile(rb"w3id\.org/ro/crate"), "ro-crate"),
    (re.compile(rb'"@odata\.context"\s*:'), "odata"),
    (re.compile(rb'"success"\s*:\s*true\b.*"result"\s*:', re.DOTALL), "ckan"),
    (re.compile(rb'"resources"\s*:\s*\[\s*\{'), "datapackage"),
)


def refuse_other_format(head: bytes, url: str) -> None:
    """Raise DocumentError if a document begins as one of another reader does; it names that reader."""
    reader = reader_of(head)
    if reader:
        raise DocumentError(
            message(
                "{url}: not a directory listing, but a document that reader {reader} reads: write reader: {reader}",
                url=url,
                reader=reader,
            )
        )


def reader_of(head: bytes) -> str:
    """Return the reader that fits the beginning of a document in JSON or XML, "" if none is known."""
    start = head[:HEAD].lstrip()
    if start[:1] == b"{":
        return next((reader for pattern, reader in _JSON if pattern.search(start)), "")
    root = _ROOT.match(start)
    if root is None:
        return ""
    if root[1] == b"catalog" and b"unidata.ucar.edu/namespaces/thredds" in root[2]:
        return "thredds"
    return _BY_ROOT.get(root[1], "")
