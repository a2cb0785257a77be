"""Documents that are also files of the mirror: lists, packages and bags that describe the files beside them.

Researchers can run the publisher's own check on the copy with them, so they are mirrored unchanged.
"""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from pydantic import BeforeValidator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.reading.document import Document, DocumentError
from manifests.stat import Stat, UnsafePath, check_path


def _list_path(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if "://" in given:
        raise InvalidValue(message("a document outside the source"), message("name it by its path below the url"))
    try:
        return check_path(given)
    except UnsafePath as error:
        raise InvalidValue(str(error), message("name the document by its path below the url")) from error


ListPath = Annotated[str, BeforeValidator(_list_path)]
"""The path of a document below the source's url."""


def own(document: Document, path: str) -> Stat:
    """Return the Stat of the document itself, which is the file at `path`, and rewind it."""
    whole, length = hashlib.sha256(), 0
    while block := document.stream.read(1 << 20):
        whole.update(block)
        length += len(block)
    document.stream.seek(0)
    return Stat(path, length, version=f"sha256:{whole.hexdigest()}")


def is_own(stat: Stat) -> bool:
    """Return True for the Stat of a list or description that a survey has read."""
    return stat.version is not None and stat.version.startswith("sha256:") and not stat.digests


def listing(document: Document) -> Iterator[Stat]:
    """Yield the files in the answer to a LIST: the transport's own listing, with whole keys as paths."""
    for line in document.lines():
        try:
            yield msgspec.json.decode(line, type=Stat)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise DocumentError(message("{url}: not a listing: {cause}", url=document.url, cause=error)) from error
