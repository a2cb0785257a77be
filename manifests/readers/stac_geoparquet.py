"""The reader for STAC items in GeoParquet: one table with a row for each item, instead of a million documents.

Source: stac-geoparquet 1.1 (rows are items, properties are columns, `assets` is a struct; an absent asset is null).
Which assets are wanted, their urls, checksums and paths are as for `reader: stac`.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import BaseModel

from manifests.messages import message
from manifests.model import AtLeastOne, Flag
from manifests.readers.stac_assets import Assets
from manifests.readers.stac_options import PLACES, Scheme, StacOptions
from manifests.reading import (
    Box,
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ListPath,
    ReaderKind,
    ReaderSource,
    Selected,
    SkippedEntries,
    When,
    chosen,
    meets,
    own,
    parquet_batches,
    span,
    template,
    text,
)
from manifests.yaml import STRICT

MAX_TABLE = 64 << 30  # bytes of one table
ROWS = 500  # items at a time: each has some thousand bytes of assets
_TIMES = ("datetime", "start_datetime", "end_datetime", "created", "updated")
_COLUMNS = ("id", "collection", "bbox", "assets", "storage:schemes", *_TIMES)


class StacGeoparquetOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    tables: Annotated[tuple[ListPath, ...], AtLeastOne] = ("items.parquet",)
    """The tables of items, by their paths below the url."""
    collections: tuple[str, ...] = ()
    """The collections wanted; by default all of the tables."""
    bbox: Box = ()
    """The box that items must touch: [west, south, east, north] in degrees."""
    datetime: When = ""
    """When items were taken: 2024-01-01/2024-06-30, 2024-01-01/.., or P30D for the last thirty days."""
    assets: tuple[str, ...] = ()
    """Keys of the assets wanted, or globs of them; by default all but web pages."""
    roles: tuple[str, ...] = ()
    """Roles of wanted assets, as in data, metadata, thumbnail."""
    types: tuple[str, ...] = ()
    """Media types of wanted assets, or globs of them, as in image/tiff*."""
    prefer: tuple[Scheme, ...] = ("https", "http", "s3")
    """The kinds of url to download from, the preferred one first; others are not used."""
    path: Annotated[str, template(PLACES, "id", "file|key")] = ""
    """The path of an asset in the copy: {collection}, {id}, {key}, {file}, {year}, {month}, {day}."""
    keep_tables: Flag = False
    """Mirror the tables too."""

    @property
    def of_assets(self) -> StacOptions:
        """What of it selects and names assets."""
        same = self.model_dump(include={"collections", "assets", "roles", "types", "prefer", "path"})
        return StacOptions.model_validate({**same, "catalog": self.tables[0]})


def open_reader(source: ReaderSource, today: date) -> "StacGeoparquetReader":
    """Return the reader for `source`; `today` is where a relative datetime ends."""
    return StacGeoparquetReader(source, chosen(source, StacGeoparquetOptions), today)


class StacGeoparquetReader:
    """A Reader: one request for each table; one Stat for each asset that is wanted."""

    native = False

    def __init__(self, source: ReaderSource, options: StacGeoparquetOptions, today: date) -> None:
        self._options = options
        self._span = span(options.datetime, today)
        self._assets = Assets(options.of_assets, pays=bool(getattr(source, "requester_pays", False)))

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The collections and assets wanted."""
        options = self._options
        wanted = {
            "collections": options.collections, "assets": options.assets,
            "roles": options.roles, "types": options.types,
        }  # fmt: skip
        return tuple(Selected(key, value) for key, values in wanted.items() for value in dict.fromkeys(values))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the tables."""
        self._assets.begin()
        return [
            DocumentRequest(table, max_bytes=MAX_TABLE, state=table) for table in dict.fromkeys(self._options.tables)
        ]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the assets of the items of a table."""
        skipped = SkippedEntries(document)
        table = own(document, document.asked.state) if self._options.keep_tables else None
        collections: set[str] = set()
        for batch in parquet_batches(document, _COLUMNS, rows=ROWS):
            if not {"id", "assets"} <= set(batch.schema.names):
                raise DocumentError(
                    message("{url}: has no columns id and assets: is it a table of items?", url=document.url)
                )
            items = [_decoded(row) for row in batch.to_pylist()]
            self._assets.learn(items)
            for item in items:
                yield from self._of(document, item, collections, skipped)
        yield from (Selected("collections", one) for one in self._options.collections if one in collections)
        yield from self._assets.take_matched()
        skipped.raise_if_any()
        if table is not None:
            yield table

    def _of(
        self, document: Document, item: dict[str, Any], collections: set[str], skipped: SkippedEntries
    ) -> Iterator[Found]:
        collection = text(item["collection"])
        if self._options.collections and collection not in self._options.collections:
            return
        collections.add(collection)
        if not text(item["id"]):
            skipped.add(message("an item without an id"))
        elif meets(self._options.bbox, item["bbox"]) and self._span.meets(item["properties"]):
            yield from self._assets.of(document, item, skipped)


def _decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as the item that it was; absent values are not there."""
    assets = row.get("assets")
    told = {name: _written(row.get(name)) for name in (*_TIMES, "storage:schemes") if row.get(name) is not None}
    return {
        "id": row.get("id"),
        "collection": row.get("collection"),
        "bbox": _box(row.get("bbox")),
        "properties": told,
        "assets": {key: _present(asset) for key, asset in assets.items() if isinstance(asset, dict)}
        if isinstance(assets, dict)
        else {},
    }


def _present(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a struct says, without the fields that only other rows have."""
    return {
        key: _present(one) if isinstance(one, dict) else one
        for key, one in value.items()
        if one is not None and not (isinstance(one, dict) and not _present(one))
    }


def _box(value: object) -> object:
    if not isinstance(value, dict):
        return value
    names = ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")
    return [value[name] for name in names if value.get(name) is not None]


def _written(value: object) -> object:
    if isinstance(value, datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).isoformat()
    return _present(value) if isinstance(value, dict) else value


READER = ReaderKind(
    open_reader,
    StacGeoparquetOptions,
    also=frozenset({"s3"}),
    dated=True,
    proof=CompletenessProof(end="the footer of the Parquet file, which counts its rows"),
)
