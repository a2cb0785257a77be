"""How a reader proves that it read a list to its end, and how it reports that it did not.

Rules:
1. Each `ReaderKind` declares a `CompletenessProof`: what marks the end of a document, what announces a count, which
   limit of the upstream is known, and which cut goes unnoticed. docs/completeness.md is made from them.
2. `SkippedEntries` is for what makes the inventory incomplete: an entry that was skipped although it may be a file, a
   count that was announced and not reached, a limit that was hit. It raises at the end, after all other entries were
   yielded; an incomplete inventory removes nothing.
3. `ReaderWarning` is for what does not: entries that are no files by what upstream says. The survey counts each text.
4. A list of several pages keeps a `PageChain` in the state of its requests. It counts the entries, and finds a page
   that comes twice, also if the pages form a loop.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
import xxhash

from manifests.messages import chained, message
from manifests.reading.document import CountNotReached, Document, DocumentError
from manifests.reading.json_fields import size

SHOWN = 3  # skipped entries that the message of a document describes


class CompletenessProof(msgspec.Struct, frozen=True, kw_only=True):
    """What proves that a list of one format was read to its end; each text is a phrase for the table in the docs.

    `end` marks the end of each document, `count` announces how many entries there are, `limit` is the number of entries
    beyond which upstream shows no more, and what the reader does then. `unseen` is the cut that nothing reveals: none,
    one between two lines, or any.
    """

    end: str
    count: str = ""
    limit: str = ""
    unseen: Literal["none", "lines", "any"] = "none"


class SkippedEntries:
    """Collects what makes the list of a document incomplete, and reports it after all other entries were yielded."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._number = 0
        self._skipped: dict[str, int] = {}
        self._unreached: list[str] = []

    def add(self, what: str) -> None:
        """Add one entry that was skipped, or one thing that is missing; `what` describes it, and says why."""
        self._number += 1
        if what in self._skipped or len(self._skipped) < SHOWN:
            self._skipped[what] = self._skipped.get(what, 0) + 1

    def expect(self, announced: object, reached: int, what: str) -> None:
        """Compare a count that upstream announced with the entries reached at the end of the list.

        `announced` is the field as it came; anything but a whole number announces nothing. `what` is a plural noun.
        """
        count = size(announced)
        if count is not None and reached < count:
            self._unreached.append(
                message(
                    "{count} {what} were announced, and the list ends after {reached}",
                    count=count,
                    what=what,
                    reached=reached,
                )
            )

    def __bool__(self) -> bool:
        """Return True if the list is incomplete so far."""
        return bool(self._number or self._unreached)

    def raise_if_any(self) -> None:
        """Raise DocumentError if the list is incomplete, CountNotReached if an announced count was not reached."""
        if not self:
            return
        told = [
            what if times == 1 else message("{what} ({times} times)", what=what, times=times)
            for what, times in self._skipped.items()
        ]
        more = self._number - sum(self._skipped.values())
        rest = [message("and {more} more", more=more)] if more else []
        said = chained((*self._unreached, *told, *rest))
        kind = CountNotReached if self._unreached else DocumentError
        raise kind(message("{url}: {said}", url=self._document.url, said=said))


class PageChain(msgspec.Struct, frozen=True, omit_defaults=True):
    """The pages read so far of one list: part of the state of the request for the next page.

    `entries` of `pages` were read, the last `empty` pages without any. `first`, `last` and `mark` are fingerprints of
    three pages: the first, the one before, and the one at the last power of two, which every loop meets again (Brent).
    """

    entries: int = 0
    pages: int = 0
    empty: int = 0
    first: str = ""
    last: str = ""
    mark: str = ""

    def read(self, document: Document, keys: Iterable[object]) -> "PageChain":
        """Return the chain with one page more; raises DocumentError for a page that came before.

        `keys` identify the page's entries: ids or names, nothing that differs between two answers to one question.
        """
        marks = xxhash.xxh3_64()
        count = 0
        for key in keys:
            marks.update(f"{key}\n".encode("utf-8", "surrogatepass"))
            count += 1
        pages = self.pages + 1
        if not count:
            return PageChain(self.entries, pages, self.empty + 1, self.first, self.last, self.mark)
        here = marks.hexdigest()
        if here in {self.first, self.last, self.mark}:
            raise DocumentError(
                message("{url}: page {pages} of the list repeats an earlier page", url=document.url, pages=pages)
            )
        mark = here if pages & (pages - 1) == 0 else self.mark
        return PageChain(self.entries + count, pages, 0, self.first or here, here, mark)
