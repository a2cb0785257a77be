"""The old import path of documents and requests in `manifests.reader_api`; 0.3 removes it."""

from manifests.moved import forwarding

__getattr__ = forwarding(
    __name__,
    "manifests.reading.document",
    {"Follow": "DocumentRequest", "Made": "DerivedFile", "Gone": "Deleted", "Mark": "Cursor", "Note": "ReaderWarning"},
)
