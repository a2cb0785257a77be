"""What a manifest selects by (globs, collections, sets), and which of it matches nothing upstream.

A misspelt glob is no error: the mirror copies less than its steward believes, for ever, unless that is told.
"""

from manifests.messages import message
from manifests.model import GlobUse, Source, matcher
from manifests.reading import Reader, Selected, Selective


class SourceSelection:
    """The globs of a source, and the values that its Reader selects by; each is dropped once something matches it."""

    def __init__(self, source: Source, reader: Reader) -> None:
        self._included, self._excluded = GlobUse(source.include), GlobUse(source.exclude)
        self._waiting = dict.fromkeys(reader.selectors) if isinstance(reader, Selective) else {}
        self._is_known = True
        self.wants = matcher(source.include, source.exclude, included=self._included, excluded=self._excluded)
        """Returns True for the paths that the mirror wants."""

    def matched(self, found: Selected) -> None:
        """Take note of a value that a document matches."""
        self._waiting.pop(found, None)

    def give_up(self) -> None:
        """Report nothing: the survey goes on where a killed one ended, and what that one saw is not recorded."""
        self._is_known = False

    def unmatched(self) -> tuple[tuple[str, str], ...]:
        """Return what matched nothing in a complete survey, each with its key in the manifest."""
        if not self._is_known:
            return ()
        return (
            *(("source.include", glob) for glob in self._included.unmatched),
            *(("source.exclude", glob) for glob in self._excluded.unmatched),
            *((f"source.{one.key}", one.value) for one in self._waiting),
        )


def explain(unmatched: tuple[str, str]) -> str:
    """Return a sentence about a key of the manifest and its value that matches nothing."""
    key, value = unmatched
    return message("{key}: {value!r} matches nothing", key=key, value=value)
