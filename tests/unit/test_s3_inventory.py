"""S3 Inventory: the newest whole one is taken, its lists are proved, and what they list is what the bucket has."""

import csv
import gzip
import hashlib
import io
import json
import sys
import tempfile
import tracemalloc
from datetime import UTC, datetime
from typing import BinaryIO, cast

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from pyarrow import orc, parquet
from pydantic import ValidationError

from manifests.readers import s3_inventory
from manifests.reading.document import Document, DocumentError, DocumentRequest
from manifests.stat import Stat
from tests.unit.reader_harness import Source, answer, broken, follows, survives

PLACE = "s3://lists/inv/nix-cache/all/"
SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def reader(url="s3://nix-cache/", **options):
    return s3_inventory.open_reader(Source(url, s3_inventory.S3InventoryOptions(inventory=PLACE, **options)))


def row(key, size="5", latest="true", marker="false", etag=MD5, when="2024-05-01T10:00:00.000Z"):
    return ["nix-cache", key, "null", latest, marker, size, when, etag, "STANDARD"]


def packed(*rows):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return gzip.compress(text.getvalue().encode())


def md5(body):
    return hashlib.md5(body).hexdigest()


def manifest(*bodies, form="CSV", schema=SCHEMA, bucket="nix-cache"):
    files = [
        {"key": f"inv/nix-cache/all/data/{n}", "size": len(body), "MD5checksum": md5(body)}
        for n, body in enumerate(bodies)
    ]
    return json.dumps(
        {
            "sourceBucket": bucket, "destinationBucket": "arn:aws:s3:::lists", "version": "2016-11-30",
            "creationTimestamp": "1748826000000", "fileFormat": form, "fileSchema": schema, "files": files,
        }
    ).encode()  # fmt: skip


def listing(*paths):
    return b"".join(msgspec.json.encode(Stat(path, 1)) + b"\n" for path in paths)


def lists(body, **options):
    """Read from the checksum on; returns the requests for the lists."""
    one = reader(manifest="2024-05-01T00-00Z", **options)
    (checksum,) = one.start()
    (described,) = one.read(answer(checksum, md5(body) + "\n"))
    return one, list(one.read(answer(described, body)))


def objects(*bodies, form="CSV", schema=SCHEMA, **options):
    one, found = lists(manifest(*bodies, form=form, schema=schema), **options)
    return [stat for follow, body in zip(found, bodies, strict=True) for stat in one.read(answer(follow, body))]


def test_the_newest_inventory_that_is_whole_is_taken():
    one = reader()
    (first,) = one.start()
    assert (first.method, first.url) == ("LIST", f"{PLACE}2")
    names = ["2024-05-01T00-00Z", "2024-05-02T00-00Z", "2024-04-01T00-00Z"]
    paths = [f"inv/nix-cache/all/{name}/manifest.json" for name in names]
    paths += [f"inv/nix-cache/all/{name}/manifest.checksum" for name in (names[0], names[2])]
    (checksum,) = one.read(answer(first, listing(*paths)))
    assert checksum.url == f"{PLACE}2024-05-01T00-00Z/manifest.checksum"
    (described,) = one.read(answer(checksum, "ABC\n"))
    assert described.url == f"{PLACE}2024-05-01T00-00Z/manifest.json"
    with pytest.raises(DocumentError, match="MD5 abc expected"):
        list(one.read(answer(described, b"{}")))
    with pytest.raises(DocumentError, match="no inventory yet"):
        list(one.read(answer(first, listing(paths[1]))))


def test_lists_are_asked_for_in_the_bucket_they_lie_in_and_no_further_than_they_are_long():
    body = packed(row("a"))
    _, (follow,) = lists(manifest(body))
    assert (follow.url, follow.max_bytes) == ("s3://lists/inv/nix-cache/all/data/0", len(body))


def test_keys_of_csv_are_url_encoded_and_only_latest_versions_count():
    found = objects(
        packed(
            row("red+flower%2B1%25.jpg"),
            row("d/%C3%A9t%C3%A9.nc", "0", etag=f"{MD5}-12"),
            row("old", latest="false"),
            row("gone", "", marker="true", etag=""),
            row("folder/", "0"),
        )
    )
    assert found == [
        Stat("red flower+1%.jpg", 5, 1714557600.0, f'"{MD5}"'),
        Stat("d/été.nc", 0, 1714557600.0, f'"{MD5}-12"'),
    ]


def test_only_what_lies_below_the_source_is_listed():
    found = objects(packed(row("a/x"), row("ab/y"), row("b/z")), url="s3://nix-cache/a/")
    assert [stat.path for stat in found] == ["x"]


def test_a_key_that_ends_in_a_slash_marks_a_folder_unless_it_has_bytes():
    body = packed(row("a/", size="0"), row("b/", size="7"), row("c"))
    assert [stat.path for stat in objects(body)] == ["b/", "c"]


def test_a_large_list_comes_as_a_temporary_file():
    body = packed(row("a"))
    one, (follow,) = lists(manifest(body))
    with tempfile.SpooledTemporaryFile(max_size=10) as stream:
        stream.write(body)
        stream.seek(0)
        assert [stat.path for stat in one.read(Document(follow, follow.url, {}, cast("BinaryIO", stream)))] == ["a"]


def test_a_bucket_without_versions_has_fewer_columns():
    assert objects(packed(["nix-cache", "k", "7"]), schema="Bucket, Key, Size") == [Stat("k", 7)]


@pytest.mark.parametrize("form", ["Parquet", "ORC"])
def test_parquet_and_orc_have_plain_keys(form):
    when = pa.array([datetime(2024, 5, 1, 10, tzinfo=UTC)] * 3, pa.timestamp("ms", tz="UTC"))
    table = pa.table(
        {
            "bucket": ["nix-cache"] * 3,
            "key": pa.array([b"a+b%20", "é".encode(), b"gone"], pa.binary() if form == "Parquet" else pa.string()),
            "is_latest": [True, True, True],
            "is_delete_marker": [False, False, True],
            "size": [5, 6, None],
            "last_modified_date": when,
            "e_tag": [MD5, None, None],
        }
    )
    stream = io.BytesIO()
    if form == "Parquet":
        parquet.write_table(table, stream)
    else:
        orc.write_table(table, stream)
    assert objects(stream.getvalue(), form=form, schema="message s3.inventory {}") == [
        Stat("a+b%20", 5, 1714557600.0, f'"{MD5}"'),
        Stat("é", 6, 1714557600.0),
    ]


@pytest.mark.parametrize("form", ["Parquet", "ORC"])
def test_without_pyarrow_it_is_said_what_to_install(form, monkeypatch):
    for module in ("pyarrow", "pyarrow.parquet", "pyarrow.orc"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DocumentError, match=r"needs pyarrow: pip install 'syncd\[inventory\]'"):
        objects(b"PAR1", form=form)


@pytest.mark.parametrize("form", ["Parquet", "ORC"])
def test_what_is_no_such_list_is_said(form):
    with pytest.raises(DocumentError, match=f"cannot be read as {form}"):
        objects(b"PAR1 and then nothing", form=form)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (manifest(bucket="other"), "is an inventory of other, but the source is nix-cache"),
        (manifest(form="Avro"), "in the format 'avro'; supported: CSV, Parquet and ORC"),
        (manifest(schema="Bucket, Size"), "names no Key"),
        (b"{}", "JSON with an unexpected structure"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(body, said):
    with pytest.raises(DocumentError, match=said):
        lists(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (gzip.compress(b'"a","b"\n', mtime=0), "line 1 has 2 columns, fileSchema names 9"),
        (packed(row("a"))[:-9], "cannot be read as gzipped CSV"),
        (b"plain", "cannot be read as gzipped CSV, after line 0"),
        (gzip.compress(b"\xff\n", mtime=0), "cannot be read as gzipped CSV"),
    ],
    ids=["columns", "cut", "plain", "not UTF-8"],  # a gzip holds the time
)
def test_a_list_that_cannot_be_read_says_why(body, said):
    with pytest.raises(DocumentError, match=said):
        objects(body)


def test_a_list_of_another_length_or_digest_is_refused():
    body = packed(row("a"))
    one, (follow,) = lists(manifest(body))
    with pytest.raises(DocumentError, match=f"{len(body)} bytes expected, {len(body) + 1} received"):
        list(one.read(answer(follow, body + b"x")))
    with pytest.raises(DocumentError, match=r"MD5 .* expected"):
        list(one.read(answer(follow, body[:-1] + b"x")))


def test_an_inventory_lies_in_a_bucket():
    for wrong in ("https://lists.example/", "inv/", "s3://"):
        with pytest.raises(ValidationError):
            s3_inventory.S3InventoryOptions(inventory=wrong)


class Endless:
    """A gzipped list of many rows that is never whole in memory: one member, over and over."""

    def __init__(self, rows, each=2_000):
        self.member = packed(*(row(f"d/{n:08d}", str(n)) for n in range(each)))
        self.left = rows // each * len(self.member)
        self.at = 0

    def read(self, size=-1):
        size = min(self.left, 65_536 if size < 0 else size)
        start = self.at % len(self.member)
        piece = (self.member[start:] + self.member)[:size]
        self.at += len(piece)
        self.left -= len(piece)
        return piece


@pytest.mark.promise("P9")
@pytest.mark.fault(15)
def test_rows_need_no_memory_in_proportion():
    one = reader()
    _, (follow,) = lists(manifest(packed(row("x"))))
    peaks = []
    for rows in (40_000, 200_000):  # before that, buffers of gzip fill up: from Python 3.12 on they are larger
        note = msgspec.json.decode(follow.state, type=s3_inventory._S3InventoryState)
        stream = io.BufferedReader(Raw(Endless(rows)))
        tracemalloc.start()
        assert sum(1 for _ in one._objects(Document(follow, "s3://lists/x", {}, stream), note)) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2 + 50_000


class Raw(io.RawIOBase):
    def __init__(self, endless):
        self.endless = endless

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self.endless.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@given(st.data())
def test_whatever_is_broken_only_a_document_error_comes_of_it(drawn):
    body = packed(row("a"), row("b"))
    kind = drawn.draw(st.sampled_from(["dates", "checksum", "manifest", "csv", "parquet", "orc"]))
    text = {"dates": listing("x/2024/manifest.json"), "checksum": MD5.encode(), "manifest": manifest(body)}.get(
        kind, body
    )
    changed = drawn.draw(broken(text))
    columns = [name.strip().lower() for name in SCHEMA.split(",")]
    note = {"kind": kind, "name": "x", "md5": md5(changed), "columns": columns}
    survives(reader(), DocumentRequest("s3://lists/x", state=json.dumps(note)), changed)


def test_nothing_is_followed_but_what_the_manifest_lists():
    assert follows(objects(packed(row("a")))) == []
