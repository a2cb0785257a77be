"""STAC in GeoParquet: the assets of its rows are those of the items, selected in the same ways."""

import io
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from pyarrow import parquet

from manifests.readers.stac_geoparquet import StacGeoparquetOptions, open_reader
from manifests.reading.document import DocumentError
from manifests.stat import Stat
from tests.unit.reader_harness import Source, broken, read_all, stats, survives

ROOT = "https://stac.example/"
TODAY = date(2026, 11, 30)
SHA256 = "1220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def row(name, taken="2024-04-30", *, box=(10.0, 50.0, 12.0, 52.0), collection="s2", **assets):
    given = {"data": {"href": f"https://x.example/{name}.tif", "file:checksum": SHA256, "file:size": 7}, **assets}
    return {
        "id": name,
        "collection": collection,
        "datetime": datetime.fromisoformat(taken).replace(tzinfo=UTC),
        "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
        "assets": given,
    }


def table(*rows):
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def reader(**options):
    return open_reader(Source(ROOT, StacGeoparquetOptions(**options)), TODAY)


def read(*rows, **options):
    return stats(read_all(reader(**options), {"items.parquet": table(*rows)}, base=ROOT))


def test_a_row_is_an_item_whose_absent_assets_are_not_there():
    found = read(row("a", thumb={"href": "https://x.example/a.png"}), row("b"))
    digest = {"sha256": SHA256[4:]}
    assert found == {
        "s2/a/a.tif": Stat("s2/a/a.tif", 7, digests=digest, urls=("https://x.example/a.tif",)),
        "s2/a/a.png": Stat("s2/a/a.png", urls=("https://x.example/a.png",)),
        "s2/b/b.tif": Stat("s2/b/b.tif", 7, digests=digest, urls=("https://x.example/b.tif",)),
    }


@pytest.mark.parametrize(
    "options",
    [
        {"bbox": (0, 40, 11, 51), "path": "{id}/{file}"},
        {"datetime": "2024-04-01/2024-05-01", "path": "{id}/{file}"},
        {"collections": ("s2",), "assets": ("dat*",)},
    ],
)
def test_items_and_assets_are_selected_as_from_an_api(options):
    other = row("far", "2020-01-01", box=(100.0, 0.0, 101.0, 1.0), collection="s1")
    assert list(read(row("near"), other, **options)) == ["near/near.tif"]


def test_the_table_itself_is_mirrored_where_the_manifest_says_so():
    assert set(read(row("a"), keep_tables=True)) == {"s2/a/a.tif", "items.parquet"}


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (table(row("a"))[:-10], "cannot be read as Parquet"),
        (table({"key": "a"}), "has no columns id and assets"),
        (table({**row("a"), "id": ""}), "an item without an id"),
    ],
)
def test_a_table_that_is_cut_or_is_none_of_items_is_said(body, said):
    with pytest.raises(DocumentError, match=said):
        read_all(reader(), {"items.parquet": body}, base=ROOT)


@settings(max_examples=50)
@given(body=broken(table(row("a"))))
def test_a_broken_table_is_said_and_nothing_worse(body):
    chosen = reader()
    survives(chosen, next(iter(chosen.start())), body)
