"""Documents below an address whose names mean something: checksum lists, and descriptions of a dataset.

The names are in the order in which they prove most: with checksums first. A document must look like what its name says:
many servers answer any name with a page.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from manifests.recognition.candidate import Candidate, GivenAddress

_LINE = re.compile(rb"^\\?(?:[0-9a-fA-F]{32,128}[ \t]+[*]?\S|\w[\w-]* ?\(.+\) ?= ?[0-9a-fA-F]{32})", re.MULTILINE)


def _has(*words: bytes) -> Callable[[bytes], bool]:
    return lambda head: any(word in head for word in words)


def _is_list(head: bytes) -> bool:
    return head[:1] != b"<" and _LINE.search(head) is not None


def _is_json(*words: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.lstrip()[:1] in {b"{", b"["} and any(word in head for word in words)


Known = tuple[str, Mapping[str, Any], Callable[[bytes], bool]]

_LISTS = ("SHA512SUMS", "SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "sha256sum.txt", "SHA1SUMS", "MD5SUMS",
          "MD5SUMS.txt", "md5sums.txt", "md5sum.txt", "md5checksums.txt", "checksums.txt", "CHECKSUMS")  # fmt: skip

NAMES: Mapping[str, Known] = {
    "bagit.txt": ("bagit", {}, _has(b"BagIt-Version:")),
    **{name: ("checksums", {"checksums": [name]}, _is_list) for name in _LISTS},
    "RELEASE.metalink": ("metalink", {"lists": ["RELEASE.metalink"]}, _has(b"<metalink")),
    "ro-crate-metadata.json": ("ro-crate", {}, _is_json(b"ro/crate", b'"@graph"')),
    "croissant.json": ("croissant", {}, _is_json(b"cr:FileObject", b"mlcommons.org/croissant")),
    "datapackage.json": ("datapackage", {}, _is_json(b'"resources"')),
    ".well-known/resourcesync": ("resourcesync", {}, _has(b"openarchives.org/rs/terms")),
    ".zmetadata": ("zarr", {}, _is_json(b"zarr_consolidated_format", b".zarray")),
    "zarr.json": ("zarr", {}, _is_json(b"zarr_format")),
    "items.parquet": ("stac-geoparquet", {}, lambda head: head[:4] == b"PAR1"),
    "catalog.json": ("stac", {"catalog": "catalog.json"}, _is_json(b'"stac_version"')),
    "catalog.xml": ("thredds", {}, _has(b"thredds/InvCatalog")),
    "data.json": ("dcat", {}, _is_json(b"dcat:", b"project-open-data")),
    "catalog.jsonld": ("dcat", {"catalogue": "catalog.jsonld"}, _is_json(b"dcat:", b"ns/dcat#")),
}
"""By the name below the url: the reader, its options, and whether the first bytes of an answer are what they should."""


def by_name(given: GivenAddress, name: str, head: bytes) -> Candidate | None:
    """Return the source that the document `name` below an address describes; None if it is another document."""
    reader, options, fits = NAMES[name]
    if not fits(head):
        return None
    return Candidate(given.folder, reader, f"{name} lies at the address", dict(options))
