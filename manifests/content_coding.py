"""What the header Content-Encoding says of a file: that it travels compressed, or only that it is stored so.

Servers are asked for `identity`. Some answer with a coding all the same: because the file is stored compressed
(`AddEncoding x-gzip .gz`, objects with this header as metadata), or because they compress whatever they send.
"""

from collections.abc import Mapping

_STORED = (
    ".gz", ".tgz", ".taz", ".svgz", ".bgz", ".z", ".dz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".lzma", ".lz", ".zst",
    ".tzst", ".br", ".zip", ".deflate",
)  # fmt: skip


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the content coding of an answer in lower case, "" for none; header names are in lower case."""
    coding = headers.get("content-encoding", "").strip().lower()
    return "" if coding in ("identity", "none", "binary", "utf-8", "aws-chunked") else coding


def is_coded_name(path: str) -> bool:
    """Return True if the name says that the file is stored compressed; `path` may be a url."""
    return path.partition("?")[0].lower().endswith(_STORED)
