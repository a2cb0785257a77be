"""What the document at an address is: a list, a catalogue, a description of a dataset, a page of a folder."""

import re
from collections.abc import Iterator
from typing import Any

from manifests.recognition.by_name import NAMES
from manifests.recognition.candidate import Candidate, GivenAddress

_TABLE = re.compile(r"\.(?:tsv|csv|tab|txt|index|psv)(?:\.gz)?$")
_ADDRESSES = ("url", "download_url", "access_url", "file_url", "link", "href", "fastq_ftp", "file", "path", "filename",
              "file_path", "file path", "name")  # fmt: skip
_SIZES = ("size", "bytes", "size_bytes", "filesize", "file_size", "length", "fastq_bytes")
_SUMS = re.compile(r"(?:^|_)(?:md5|sha1|sha224|sha256|sha384|sha512|crc32|blake3)(?:sum)?(?:$|_)|^(?:checksum|hash)$")
_LISTED = re.compile(rb"<title>\s*(?:Index of|Directory listing)|<a href=\"\.\./?\"|Parent Directory", re.IGNORECASE)
_DATASET = re.compile(rb"application/ld\+json.{0,4000}?Dataset", re.DOTALL)
_SEPARATORS = {"\t": "", ",": "comma", ";": "semicolon", "|": "pipe"}


def by_content(given: GivenAddress, head: bytes) -> Iterator[Candidate]:
    """Yield the sources that the document at the address itself describes; `head` is how it begins."""
    start, name = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1], given.file
    if b"HASHDEEP-1.0" in head[:64]:
        yield _listed(given, "hashdeep", "lists", **_root(head))
    elif b"<metalink" in head:
        yield _listed(given, "metalink", "lists")
    elif start == b"<":
        yield from _markup(given, head)
    elif start in {b"{", b"["}:
        yield from _json(given, head)
    elif head[:4] == b"PAR1":
        yield _listed(given, "stac-geoparquet", "tables")
    elif name and NAMES["SHA256SUMS"][2](head):
        yield _listed(given, "checksums", "checksums")
    elif _TABLE.search(name):
        yield from _table(given, head)


def _listed(given: GivenAddress, reader: str, key: str, **more: Any) -> Candidate:
    """Return a source whose list is the document at the address."""
    why = f"the document is a list as {reader} reads it"
    return Candidate(given.folder, reader, why, {key: [given.file], **more})


def _root(head: bytes) -> dict[str, str]:
    """Return the folder below which hashdeep's names are: what all of them begin with."""
    names = [line.split(b",")[-1].decode(errors="replace") for line in head.splitlines() if line[:1].isdigit()]
    found = re.search(rb"^## Invoked from: (\S.*)$", head, re.MULTILINE)
    if found is not None and all(name.startswith(found[1].decode(errors="replace")) for name in names):
        return {"root": found[1].decode(errors="replace")}
    return {}


def _markup(given: GivenAddress, head: bytes) -> Iterator[Candidate]:
    if b"thredds/InvCatalog" in head:
        yield Candidate(given.folder, "thredds", "the document is a THREDDS catalog", _named(given, "catalog"))
    if b"openarchives.org/rs/terms" in head:
        why = "the document is a list of ResourceSync"
        yield Candidate(given.folder, "resourcesync", why, _named(given, "start"))
    elif b"<urlset" in head or b"<sitemapindex" in head:
        why = "the document is a sitemap; its pages may describe datasets"
        yield Candidate(given.folder, "schema-org", why, {"sitemap": given.file, **_match(head)})
    if _DATASET.search(head) is not None:
        why = "the page describes a dataset in the words of schema.org"
        page = given.page.rpartition("/")
        yield Candidate(f"{page[0]}/", "schema-org", why, {"pages": [page[2]]} if page[2] else {"pages": ["./"]})
    if b"ListBucketResult" in head:
        bucket = given.path.strip("/").partition("/")
        why = "the server answers with the list of an S3 bucket"
        options = {"endpoint": given.origin, "anonymous": True}
        if bucket[0]:
            yield Candidate(f"s3://{bucket[0]}/{bucket[2]}", "", why, options)
    if b"DAV:" in head and b"multistatus" in head:
        yield Candidate(given.folder, "webdav", "the server answers as WebDAV does")
    if re.search(rb"<(?:!doctype html|html|pre|table|ul)", head, re.IGNORECASE):
        why = (
            "the page is the listing of a folder" if _LISTED.search(head) is not None else "the page has links to files"
        )
        yield Candidate(given.folder, "autoindex", why)


def _match(head: bytes) -> dict[str, list[str]]:
    """Return which pages of a sitemap are wanted: those of datasets, if their addresses say so."""
    for part in (b"/datasets/", b"/dataset/", b"/records/", b"/record/", b"/doi/"):
        if part in head:
            return {"match": [f"*{part.decode()}*"]}
    return {}


def _named(given: GivenAddress, key: str) -> dict[str, str]:
    return {key: given.file.replace(".html", ".xml")} if given.file else {}


def _json(given: GivenAddress, head: bytes) -> Iterator[Candidate]:
    if b'"stac_version"' in head or b"api.stacspec.org" in head:
        is_api = b'"search"' in head or b"item-search" in head
        options = {} if is_api or not given.file else {"catalog": given.file}
        why = "the document is a STAC catalogue"
        yield Candidate(given.folder, "stac", why, options)
    for reader, key, words, why in (
        ("croissant", "document", (b"cr:FileObject", b"mlcommons.org/croissant"), "it is a Croissant description"),
        ("ro-crate", "crate", (b"ro/crate",), "it is an RO-Crate"),
        ("dcat", "catalogue", (b"dcat:", b"ns/dcat#", b"project-open-data"), "it is a DCAT catalogue"),
        ("datapackage", "package", (b'"resources"',), "it is a Data Package"),
    ):  # fmt: skip
        if any(word in head for word in words) and given.file:
            yield Candidate(given.folder, reader, why, {key: given.file})


def _table(given: GivenAddress, head: bytes) -> Iterator[Candidate]:
    """Yield a table of files if its header has a column for their addresses."""
    lines = [line for line in head.decode(errors="replace").splitlines() if line and not line.startswith("##")]
    if len(lines) < 2:
        return
    header = lines[0].lstrip("#")
    separator = max(_SEPARATORS, key=header.count)
    columns = [column.strip().strip('"') for column in header.split(separator)]
    known = {column.lower(): column for column in columns}
    address = next((known[name] for name in _ADDRESSES if name in known), None)
    if address is None or len(columns) < 2:
        return
    size = next((known[name] for name in _SIZES if name in known), None)
    sums = [column for column in columns if _SUMS.search(column.lower())]
    word = _SEPARATORS[separator]
    if word == "comma" and given.file.removesuffix(".gz").endswith(".csv"):
        word = ""  # as the reader expects it
    options = {"tables": [given.file], "address": address, "size": size, "checksums": sums, "separator": word}
    why = f"the table has a column of addresses: {address}"
    yield Candidate(given.folder, "table", why, {key: value for key, value in options.items() if value})
