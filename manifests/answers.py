"""The old import path of the parsers of JSON fields in `manifests.reader_api`; 0.3 removes it."""

from manifests.moved import forwarding, warn
from manifests.reading import SkippedEntries


class _Unread(SkippedEntries):
    """SkippedEntries under its old name."""

    def tell(self) -> None:
        """Raise DocumentError if an entry was added; the old name of `raise_if_any`."""
        warn("manifests.answers.Unread.tell", "SkippedEntries")
        self.raise_if_any()


__getattr__ = forwarding(
    __name__,
    "manifests.reading.json_fields",
    {"answer": "read_json", "Unread": "SkippedEntries"},
    {"Unread": _Unread},
)
