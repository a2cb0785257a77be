"""The reader for trees whose transport can list them: S3 buckets, FTP and SFTP servers, folders.

`native` makes the survey use `Transport.list()` as the inventory; this reader requests and yields nothing.
"""

from collections.abc import Iterable, Iterator

from manifests.reading import ANY, WEB, CompletenessProof, Document, DocumentRequest, ReaderKind
from manifests.stat import Promise, Stat


class ObjectsReader:
    """A Reader that leaves everything to the transport."""

    native = True

    def start(self) -> Iterable[DocumentRequest]:
        """Request no document."""
        return ()

    def read(self, document: Document) -> Iterator[Stat | Promise | DocumentRequest]:  # noqa: ARG002  the port names it
        """Yield nothing."""
        return iter(())


def open_reader(source: object) -> ObjectsReader:  # noqa: ARG001  every reader is opened with its source
    """Return the reader; it uses no options."""
    return ObjectsReader()


READER = ReaderKind(
    open_reader,
    schemes=ANY,
    without=WEB,
    proof=CompletenessProof(
        end="the listing of the transport: `IsTruncated` of S3, the final reply of FTP, the end of each folder",
        count="`KeyCount` of each page of S3",
        limit="Pure-FTPd's 10,000 names of one folder: an error",
    ),
)
