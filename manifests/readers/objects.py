"""The reader for trees that list themselves: S3 buckets and folders need no document, the transport's own listing does.

`native` tells the survey to take `Transport.list()` for the inventory; this reader asks for nothing and yields nothing.
"""

from collections.abc import Iterable, Iterator

from manifests.reading import ANY, WEB, CompletenessProof, Document, DocumentRequest, ReaderKind
from manifests.stat import Promise, Stat


class ObjectsReader:
    """A Reader that leaves everything to the transport."""

    native = True

    def start(self) -> Iterable[DocumentRequest]:
        """Name no document."""
        return ()

    def read(self, document: Document) -> Iterator[Stat | Promise | DocumentRequest]:  # noqa: ARG002  the port names it
        """Yield nothing."""
        return iter(())


def open_reader(source: object) -> ObjectsReader:  # noqa: ARG001  every reader is opened with its source
    """Return the reader; no option of the source concerns it."""
    return ObjectsReader()


READER = ReaderKind(open_reader, schemes=ANY, without=WEB, proof=CompletenessProof(end="the listing of the transport"))
