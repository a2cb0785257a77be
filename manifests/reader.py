"""The old import path of ReaderKind and of what opens a reader in `manifests.reader_api`; 0.3 removes it."""

from manifests.moved import forwarding

__getattr__ = forwarding(__name__, "manifests.reading.reader", {"Opened": "ReaderSource"})
