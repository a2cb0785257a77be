"""The reader for S3 Inventory: the daily list of a large bucket, which S3 writes into another bucket.

Rules:
1. The newest complete inventory is read: its `manifest.checksum`, which S3 writes last, must exist and be the MD5 of
   its `manifest.json`. Each list must have the length and the MD5 that this manifest gives.
2. Keys are url-encoded in CSV and plain in Parquet and ORC, which need pyarrow (`pip install 'syncd[inventory]'`).
3. Only the latest version of a key is a file; delete markers and keys that end in `/` are not.
4. An ETag is an opaque version of the bucket's object, never a digest.
5. Keys outside the source's prefix are left out; paths are relative to it.
"""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import unquote_plus, urlsplit

import msgspec
from pydantic import BaseModel, BeforeValidator

from manifests.messages import message
from manifests.origins import check_folder_url
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    chosen,
    listing,
    moment,
    orc_batches,
    parquet_batches,
    read_json,
    size,
    text,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_LIST = 1 << 40  # bytes of one list

_COLUMNS = ("bucket", "key", "islatest", "isdeletemarker", "size", "lastmodifieddate", "etag")


def _folder(given: object) -> object:
    return check_folder_url(given, frozenset({"s3"})) if isinstance(given, str) else given


class S3InventoryOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    inventory: Annotated[str, BeforeValidator(_folder)]
    """The folder of the bucket's inventories: s3://destination/prefix/bucket/configuration/."""
    manifest: str | None = None
    """One inventory by its name, as in 2024-05-01T00-00Z; by default the newest."""


class _S3InventoryState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: what to read, and its expected size and MD5."""

    kind: str = "dates"
    name: str = ""
    md5: str = ""
    size: int = -1
    columns: tuple[str, ...] = ()
    bucket: str = ""


class _InventoryFile(msgspec.Struct):
    key: str
    size: int
    md5: str = msgspec.field(name="MD5checksum")


class _InventoryManifest(msgspec.Struct):
    files: list[_InventoryFile]
    bucket: str = msgspec.field(name="sourceBucket")
    destination: object = msgspec.field(name="destinationBucket", default=None)
    format: object = msgspec.field(name="fileFormat", default=None)
    schema: object = msgspec.field(name="fileSchema", default=None)


def open_reader(source: ReaderSource) -> "InventoryReader":
    """Return the reader for `source`."""
    return InventoryReader(source.url, chosen(source, S3InventoryOptions))


class InventoryReader:
    """A Reader: requests to the newest manifest and its lists; one Stat for each object."""

    native = False

    def __init__(self, root: str, options: S3InventoryOptions) -> None:
        self._inventory = options.inventory
        self._named = options.manifest
        place = urlsplit(root)
        self._bucket, self._prefix = place.netloc, root.partition("://")[2].partition("/")[2]

    def start(self) -> Iterable[DocumentRequest]:
        """Request the list of inventories, or the one that the manifest names."""
        if self._named is not None:
            return [self._checksum(self._named)]
        # an inventory's name begins with its year; lists and symlinks lie in data/ and hive/
        return [_follow(f"{self._inventory}2", _S3InventoryState(), method="LIST")]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the objects or requests in one of the inventory's documents."""
        note = msgspec.json.decode(document.asked.state, type=_S3InventoryState)
        if note.kind == "dates":
            yield self._newest(document)
        elif note.kind == "checksum":
            said = document.read(4096).split(maxsplit=1)
            md5 = said[0].decode("latin-1").lower() if said else ""
            yield _follow(f"{self._inventory}{note.name}/manifest.json", _S3InventoryState("manifest", note.name, md5))
        elif note.kind == "manifest":
            yield from self._lists(document, note)
        else:
            _check(document, note.md5, note.size)
            yield from self._objects(document, note)

    def _newest(self, document: Document) -> DocumentRequest:
        names: dict[str, set[str]] = {}
        for stat in listing(document):
            parts = stat.path.rsplit("/", 2)
            if len(parts) > 1:
                names.setdefault(parts[-2], set()).add(parts[-1])
        whole = [name for name, files in names.items() if {"manifest.json", "manifest.checksum"} <= files]
        if not whole:
            raise DocumentError(
                message(
                    "{inventory}: contains no inventory yet: none has a manifest.checksum", inventory=self._inventory
                )
            )
        return self._checksum(max(whole))

    def _checksum(self, name: str) -> DocumentRequest:
        return _follow(f"{self._inventory}{name}/manifest.checksum", _S3InventoryState("checksum", name))

    def _lists(self, document: Document, note: _S3InventoryState) -> Iterator[DocumentRequest]:
        _check(document, note.md5)
        manifest = read_json(document, _InventoryManifest)
        if manifest.bucket != self._bucket:
            raise DocumentError(
                message(
                    "{url}: is an inventory of {bucket}, but the source is {source}",
                    url=document.url,
                    bucket=manifest.bucket,
                    source=self._bucket,
                )
            )
        form = text(manifest.format).lower()
        if form not in ("csv", "parquet", "orc"):
            raise DocumentError(
                message(
                    "{url}: lists in the format {form!r}; supported: CSV, Parquet and ORC",
                    url=document.url,
                    form=form[:40],
                )
            )
        columns = tuple(_bare(name) for name in text(manifest.schema).split(",")) if form == "csv" else ()
        if form == "csv" and "key" not in columns:
            raise DocumentError(message("{url}: its fileSchema names no Key", url=document.url))
        for file in manifest.files:
            state = _S3InventoryState(form, note.name, file.md5.lower(), file.size, columns, manifest.bucket)
            yield _follow(
                f"s3://{urlsplit(self._inventory).netloc}/{file.key}", state, max_bytes=min(file.size, MAX_LIST)
            )

    def _objects(self, document: Document, note: _S3InventoryState) -> Iterator[Stat]:
        if note.kind == "csv":
            rows = _csv(document, note.columns)
        else:
            remedy = message("pip install 'syncd[inventory]', or have the inventory written as CSV")
            batches = parquet_batches if note.kind == "parquet" else orc_batches
            rows = (row for batch in batches(document, _NAMES, remedy) for row in _rows(document, batch))
        prefix, skip, is_encoded = self._prefix, len(self._prefix), note.kind == "csv"
        for key, latest, marker, length, modified, etag in rows:
            if latest in ("false", False) or marker in ("true", True):
                continue
            name = unquote_plus(key) if is_encoded and ("%" in key or "+" in key) else key
            if not name.startswith(prefix) or (name.endswith("/") and not size(length)):
                continue  # a key that ends in a slash and is empty marks a folder
            yield Stat(name[skip:], size(length), _seconds(modified), f'"{etag}"' if etag else None)


def _follow(url: str, note: _S3InventoryState, *, method: str = "GET", max_bytes: int = 1 << 30) -> DocumentRequest:
    return DocumentRequest(url=url, method=method, state=msgspec.json.encode(note).decode(), max_bytes=max_bytes)


def _check(document: Document, md5: str, length: int = -1) -> None:
    """Read the whole document, raise DocumentError unless size and MD5 match, and rewind it."""
    whole, count = hashlib.md5(usedforsecurity=False), 0  # S3 publishes nothing else
    while block := document.stream.read(1 << 20):
        whole.update(block)
        count += len(block)
    document.stream.seek(0)
    if length not in (-1, count):
        raise DocumentError(
            message("{url}: {length} bytes expected, {count} received", url=document.url, length=length, count=count)
        )
    if whole.hexdigest() != md5:
        raise DocumentError(
            message(
                "{url}: MD5 {md5} expected, {received} received: still being written?",
                url=document.url,
                md5=md5,
                received=whole.hexdigest(),
            )
        )


_Row = tuple[str, Any, Any, Any, Any, str]


def _csv(document: Document, columns: tuple[str, ...]) -> Iterator[_Row]:
    key, latest, marker, length, modified, etag = (
        columns.index(name) if name in columns else -1 for name in _COLUMNS[1:]
    )
    number = 0
    try:
        with gzip.GzipFile(fileobj=document.stream, mode="rb") as whole:
            for number, row in enumerate(csv.reader(io.TextIOWrapper(whole, "utf-8", newline="")), 1):
                if len(row) != len(columns):
                    raise DocumentError(
                        message(
                            "{url}: line {number} has {count} columns, fileSchema names {named}",
                            url=document.url,
                            number=number,
                            count=len(row),
                            named=len(columns),
                        )
                    )
                yield (
                    row[key],
                    row[latest] if latest >= 0 else None,
                    row[marker] if marker >= 0 else None,
                    row[length] if length >= 0 else None,
                    row[modified] if modified >= 0 else None,
                    row[etag] if etag >= 0 else "",
                )
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeError) as error:
        raise DocumentError(
            message(
                "{url}: cannot be read as gzipped CSV, after line {number}: {cause}",
                url=document.url,
                number=number,
                cause=error,
            )
        ) from error


_NAMES = ("key", "is_latest", "is_delete_marker", "size", "last_modified_date", "e_tag")


def _rows(document: Document, batch: Any) -> Iterator[_Row]:
    names = batch.schema.names
    if "key" not in names:
        raise DocumentError(
            message("{url}: has no column key: {names}", url=document.url, names=", ".join(names)[:200])
        )
    columns = [
        _values(batch.column(names.index(name))) if name in names else [None] * batch.num_rows for name in _NAMES
    ]
    for key, latest, marker, length, modified, etag in zip(*columns, strict=True):
        yield _utf8(document, key), latest, marker, length, modified, _utf8(document, etag) if etag is not None else ""


def _values(column: Any) -> list[Any]:
    found = column.to_pylist()
    return found if isinstance(found, list) else list(found)


def _utf8(document: Document, value: object) -> str:
    """Return a column's text, which some writers declare as bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        return value
    raise DocumentError(message("{url}: a key that is not text: {key!r:.40}", url=document.url, key=value))


def _bare(name: str) -> str:
    return name.strip().replace("_", "").lower()


def _seconds(value: Any) -> float | None:
    if isinstance(value, datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
    return moment(value) if isinstance(value, str) else None


READER = ReaderKind(
    open_reader,
    S3InventoryOptions,
    schemes=frozenset({"s3"}),
    proof=CompletenessProof(end="the MD5 and the length that the inventory's manifest promises of each list"),
)
