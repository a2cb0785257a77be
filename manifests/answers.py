"""The old import path of what is in `manifests.reader_api` now; 0.3 removes it."""

import warnings

from manifests.moved import forwarding
from manifests.reading import SkippedEntries

__getattr__ = forwarding(__name__, "manifests.reading.json_fields", {"answer": "read_json"})


class Unread(SkippedEntries):
    """The old name of SkippedEntries."""

    def tell(self) -> None:
        """Raise DocumentError if there was any; the old name of `raise_if_any`."""
        message = "manifests.answers.Unread is going to be removed in 0.3: use SkippedEntries of manifests.reader_api"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        self.raise_if_any()
