"""Columns of a Parquet or ORC document by pyarrow, which is installed on demand (`pip install 'syncd[inventory]'`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from manifests.messages import message
from manifests.reading.document import Document, DocumentError

ROWS = 65_536  # at a time


def parquet_batches(
    document: Document, wanted: Sequence[str] | None = None, remedy: str = "", *, rows: int = ROWS
) -> Iterator[Any]:
    """Yield the rows of a Parquet document as record batches, of the `wanted` columns that it has.

    `remedy` is said where pyarrow is not installed. Raises DocumentError.
    """
    pyarrow, parquet = _installed(document, "pyarrow.parquet", remedy)
    try:
        file = parquet.ParquetFile(document.stream)
        has = file.schema_arrow.names
        columns = None if wanted is None else [name for name in wanted if name in has]
        yield from file.iter_batches(batch_size=rows, columns=columns, use_threads=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise DocumentError(
            message("{url}: cannot be read as Parquet: {cause}", url=document.url, cause=error)
        ) from error


def orc_batches(document: Document, wanted: Sequence[str], remedy: str = "") -> Iterator[Any]:
    """Yield the rows of an ORC document as `parquet_batches` does."""
    pyarrow, orc = _installed(document, "pyarrow.orc", remedy)
    try:
        file = orc.ORCFile(document.stream)
        columns = [name for name in wanted if name in file.schema.names]
        for stripe in range(file.nstripes):
            yield file.read_stripe(stripe, columns=columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise DocumentError(message("{url}: cannot be read as ORC: {cause}", url=document.url, cause=error)) from error


def _installed(document: Document, module: str, remedy: str) -> tuple[Any, Any]:
    try:
        import importlib  # noqa: PLC0415  as below

        return importlib.import_module("pyarrow"), importlib.import_module(module)
    except ImportError as error:
        todo = remedy or message("pip install 'syncd[inventory]'")
        raise DocumentError(message("{url}: this list needs pyarrow: {todo}", url=document.url, todo=todo)) from error
