"""Zarr: the keys of both versions follow from shapes and chunks; what may be absent, and what must not be."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from manifests.readers.zarr import ZarrOptions, open_reader
from manifests.reading import DocumentError
from tests.miniatures.zarr import Zarr, Zarr3
from tests.unit.reader_harness import Source, broken, read_all, stats, survives

ROOT = "https://archive.example/s.zarr/"


def reader(*arrays):
    return open_reader(Source(ROOT, ZarrOptions(arrays=arrays)))


def keys(metadata, *arrays, name=".zmetadata"):
    return sorted(stats(read_all(reader(*arrays), {name: json.dumps(metadata)}, base=ROOT)))


def second(**nodes):
    return {"zarr_consolidated_format": 1, "metadata": nodes}


def array(shape, chunks, **more):
    return {"zarr_format": 2, "shape": shape, "chunks": chunks, **more}


def third(shape, chunk, encoding, grid="regular"):
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "chunk_grid": {"name": grid, "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": encoding,
    }


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (array([3, 4], [2, 2]), ["0.0", "0.1", "1.0", "1.1"]),
        (array([3, 4], [2, 4], dimension_separator="/"), ["0/0", "1/0"]),
        (array([], []), ["0"]),
        (array([0, 4], [2, 2]), []),
        (array([7], [10]), ["0"]),
    ],
)
def test_the_chunks_of_version_2_are_counted_from_shape_and_chunks(told, wanted):
    metadata = second(**{"air/.zarray": told, "air/.zattrs": {}, ".zgroup": {}})
    assert keys(metadata) == sorted(
        [".zgroup", ".zmetadata", "air/.zarray", "air/.zattrs", *(f"air/{key}" for key in wanted)]
    )


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (third([3, 4], [2, 2], {"name": "default"}), ["c/0/0", "c/0/1", "c/1/0", "c/1/1"]),
        (third([3], [2], {"name": "default", "configuration": {"separator": "."}}), ["c.0", "c.1"]),
        (third([3, 1], [2, 1], {"name": "v2"}), ["0.0", "1.0"]),
        (third([3], [2], {"name": "v2", "configuration": {"separator": "/"}}), ["0", "1"]),
        (third([], [], "default"), ["c"]),
        (third([], [], "v2"), ["0"]),
    ],
)
def test_the_chunks_of_version_3_are_written_as_their_encoding_says(told, wanted):
    root = {"node_type": "group", "consolidated_metadata": {"metadata": {"air": told, "deep": {"node_type": "group"}}}}
    assert keys(root, name="zarr.json") == sorted(
        ["zarr.json", "air/zarr.json", "deep/zarr.json", *(f"air/{key}" for key in wanted)]
    )


def test_an_array_alone_needs_no_consolidated_metadata():
    assert keys(third([2], [1], "default"), name="zarr.json") == ["c/0", "c/1", "zarr.json"]


def test_arrays_are_selected_by_globs_and_groups_stay():
    told = {"a/x/.zarray": array([1], [1]), "a/y/.zarray": array([1], [1]), "a/.zgroup": {}, "a/y/.zattrs": {}}
    assert keys(second(**told), "a/x") == [".zmetadata", "a/.zgroup", "a/x/.zarray", "a/x/0"]


def test_chunks_may_be_absent_and_metadata_may_not():
    one = reader()
    assert all(map(one.may_be_absent, ("0", "air/0.0", "air/c/0/0", "c")))
    assert not any(map(one.may_be_absent, (".zmetadata", "zarr.json", "air/.zarray", "air/.zattrs", "a/zarr.json")))


@pytest.mark.parametrize(
    ("documents", "text"),
    [
        ({}, "neither .zmetadata nor zarr.json is here"),
        ({"zarr.json": '{"node_type": "group"}'}, "has no consolidated metadata"),
        ({".zmetadata": json.dumps(second(**{"x/.zarray": array([1], [0])}))}, "array x has a shape or a chunk grid"),
        ({".zmetadata": json.dumps(second(**{"x/.zarray": array([1, 2], [1])}))}, "array x has a shape"),
        ({".zmetadata": json.dumps(second(**{"x/.zarray": array([1 << 40], [1])}))}, "over 100000000 chunks"),
        ({"zarr.json": json.dumps(third([1], [1], "default", grid="rectangular"))}, "array / has a shape"),
        ({"zarr.json": json.dumps(third([1], [1], {"name": "hilbert"}))}, "array / has a shape"),
    ],
)
def test_what_cannot_be_listed_is_said_and_makes_the_list_incomplete(documents, text):
    with pytest.raises(DocumentError, match=text):
        read_all(reader(), documents, base=ROOT)


@given(shape=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=4))
def test_every_element_lies_in_exactly_one_chunk(shape):
    told = array([length for length, _ in shape], [chunk for _, chunk in shape])
    found = [key.rpartition("/")[2] for key in keys(second(**{"a/.zarray": told})) if "/" in key]
    chunks = {key for key in found if not key.startswith(".")}
    wanted = {"0"} if not shape else {""}
    for length, chunk in shape:
        wanted = {f"{begin}.{place // chunk}".strip(".") for begin in wanted for place in range(length)}
    assert chunks == wanted


@pytest.mark.parametrize("upstream", [Zarr(), Zarr3()], ids=["version 2", "version 3"])
@settings(max_examples=100)
@given(junk=st.data())
def test_no_broken_metadata_stops_the_reader(upstream, junk):
    body = upstream.written()[upstream.metadata]
    one = reader()
    (first,) = one.start()
    if upstream.metadata != first.url:
        first = type(first)(upstream.metadata, optional=True, told=True)
    survives(one, first, junk.draw(broken(body)))
