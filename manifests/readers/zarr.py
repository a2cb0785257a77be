"""The reader for Zarr stores: the keys follow from the consolidated metadata, so that no listing is needed.

Sources: Zarr storage specification version 2 (chunk keys, `dimension_separator`); Zarr core specification version 3
(regular chunk grid, chunk key encodings, implicit groups); consolidated metadata as zarr-python writes both.

Rules:
1. `.zmetadata` (version 2) is asked for first, then `zarr.json` (version 3). One without consolidated metadata is read
   only if it is an array itself: nothing names the arrays of a group.
2. A chunk is a file for each position of the grid. One that holds nothing but the fill value is usually not written:
   upstream answers 404, and the chunk is no part of the dataset (`may_be_absent`). A metadata file must be there.
3. In version 3 the grid is that of the files: a shard is one chunk.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Annotated

import msgspec
from pydantic import BaseModel, Field

from manifests.messages import message
from manifests.model import Glob, matcher
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    Selected,
    SkippedEntries,
    below,
    chosen,
    dig,
    read_json,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

CONSOLIDATED = ".zmetadata"
NODE = "zarr.json"
METADATA = frozenset({CONSOLIDATED, NODE, ".zarray", ".zattrs", ".zgroup"})
MAX_CHUNKS = 100_000_000  # of one array
MAX_DIMENSIONS = 32


class ZarrOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    arrays: tuple[Annotated[Glob, Field(max_length=2_000)], ...] = ()
    """Globs of the arrays wanted, by their path in the store, as in `air` or `level2/*`. Empty means all."""


class _Consolidated(msgspec.Struct):
    """`.zmetadata`: the key of each metadata file, with what it holds."""

    metadata: dict[str, object]


class _Grid(msgspec.Struct, frozen=True):
    """An array's chunks: how many in each dimension, and how their keys are written."""

    counts: tuple[int, ...]
    separator: str
    prefix: str = ""

    def chunk_keys(self) -> Iterator[str]:
        """Yield the key of each chunk below the array's path."""
        if not self.counts:
            yield self.prefix or "0"
            return
        begin = f"{self.prefix}{self.separator}" if self.prefix else ""
        for position in product(*map(range, self.counts)):
            yield begin + self.separator.join(map(str, position))


def open_reader(source: ReaderSource) -> "ZarrReader":
    """Return the reader for `source`."""
    return ZarrReader(chosen(source, ZarrOptions))


class ZarrReader:
    """A Reader: one document, and one Stat for each metadata file and each chunk."""

    def __init__(self, options: ZarrOptions) -> None:
        self._globs = {glob: matcher((glob,)) for glob in options.arrays}

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The globs of arrays."""
        return tuple(Selected("arrays", glob) for glob in self._globs)

    def may_be_absent(self, path: str) -> bool:
        """Return True for a chunk, which is not written if it holds the fill value alone."""
        return path.rpartition("/")[2] not in METADATA

    def start(self) -> Iterable[DocumentRequest]:
        """Request the consolidated metadata of version 2."""
        return [DocumentRequest(CONSOLIDATED, optional=True, told=True)]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield what the metadata lists, or request that of version 3 if there is none of version 2."""
        if document.missing:
            if document.asked.url == CONSOLIDATED:
                yield DocumentRequest(NODE, optional=True, told=True)
                return
            raise DocumentError(
                message(
                    "{url}: neither .zmetadata nor zarr.json is here: name the folder of the Zarr store, or read it by "
                    "its listing",
                    url=document.url,
                )
            )
        skipped = SkippedEntries(document)
        if document.asked.url == CONSOLIDATED:
            yield Stat(CONSOLIDATED)
            yield from self._version_2(read_json(document, _Consolidated).metadata, skipped)
        else:
            yield Stat(NODE)
            yield from self._version_3(document, read_json(document, dict[str, object]), skipped)
        skipped.raise_if_any()

    def _version_2(self, metadata: dict[str, object], skipped: SkippedEntries) -> Iterator[Found]:
        wanted: dict[str, bool] = {}
        for key, told in metadata.items():
            array, _, name = key.rpartition("/")
            if name == ".zarray":
                selected = list(self._selected(array))
                yield from selected
                wanted[array] = bool(selected or not self._globs)
                if wanted[array]:
                    yield from _chunks(array, _grid_2(told), skipped)
        for key in metadata:
            if wanted.get(key.rpartition("/")[0], True):
                yield Stat(key)

    def _version_3(self, document: Document, root: dict[str, object], skipped: SkippedEntries) -> Iterator[Found]:
        nodes = dig(root, "consolidated_metadata", "metadata")
        if root.get("node_type") == "array":
            yield from _chunks("", _grid_3(root), skipped)
            return
        if not isinstance(nodes, dict):
            raise DocumentError(
                message(
                    "{url}: has no consolidated metadata, so its arrays are not known: let its owner consolidate it, "
                    "or read it by its listing",
                    url=document.url,
                )
            )
        for path, told in nodes.items():
            if dig(told, "node_type") == "array":
                selected = list(self._selected(path))
                yield from selected
                if self._globs and not selected:
                    continue
                yield from _chunks(path, _grid_3(told), skipped)
            yield Stat(below(path, NODE))

    def _selected(self, array: str) -> Iterator[Selected]:
        return (Selected("arrays", glob) for glob, matches in self._globs.items() if matches(array))


def _chunks(array: str, grid: _Grid | None, skipped: SkippedEntries) -> Iterator[Found]:
    if grid is None:
        skipped.add(message("array {array} has a shape or a chunk grid that is not known here", array=array or "/"))
    elif math.prod(grid.counts) > MAX_CHUNKS:
        skipped.add(
            message("array {array} has over {number} chunks: select others by arrays", array=array, number=MAX_CHUNKS)
        )
    else:
        yield from (Stat(below(array, key)) for key in grid.chunk_keys())


def _grid_2(told: object) -> _Grid | None:
    counts = _counts(dig(told, "shape"), dig(told, "chunks"))
    separator = dig(told, "dimension_separator") or "."
    return _Grid(counts, str(separator)) if counts is not None and separator in (".", "/") else None


def _grid_3(told: object) -> _Grid | None:
    if _name(dig(told, "chunk_grid")) != "regular":
        return None
    counts = _counts(dig(told, "shape"), dig(told, "chunk_grid", "configuration", "chunk_shape"))
    encoding = dig(told, "chunk_key_encoding")
    kind = _name(encoding)
    separator = dig(encoding, "configuration", "separator") or {"default": "/", "v2": "."}.get(str(kind))
    if counts is None or separator not in {".", "/"} or kind not in {"default", "v2"}:
        return None
    return _Grid(counts, str(separator), "c" if kind == "default" else "")


def _name(extension: object) -> object:
    """Return the name of an extension point, which may be written without its configuration."""
    return extension if isinstance(extension, str) else dig(extension, "name")


def _counts(shape: object, chunk: object) -> tuple[int, ...] | None:
    """Return the number of chunks in each dimension; None if there is no valid shape."""
    if not isinstance(shape, list) or not isinstance(chunk, list):
        return None
    if len(shape) != len(chunk) or len(shape) > MAX_DIMENSIONS:
        return None
    whole = all(type(number) is int and number >= 0 for number in shape)
    if not whole or not all(type(number) is int and number > 0 for number in chunk):
        return None
    return tuple(-(-length // each) for length, each in zip(shape, chunk, strict=True))


READER = ReaderKind(
    open_reader,
    ZarrOptions,
    proof=CompletenessProof(end="the closing bracket of the JSON", count="the shape of each array and of its chunks"),
)
