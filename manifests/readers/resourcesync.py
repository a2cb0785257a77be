"""The reader for ResourceSync (ANSI/NISO Z39.99): resource lists for everything, change lists for changes.

Rules:
1. The source's description or capability list leads to its resource list, which may be an index of parts. A sitemap
   without a capability counts as a resource list.
2. The next pass reads change lists only, one after the other, from the time at which the last pass ended. If the lists
   begin later, or there are none, the resource list is read again.
3. Of several changes of one resource the last counts; `deleted` deletes it.
4. `hash` may hold several digests, with line ends between them. `length` is exact.
5. `duplicate` links of a resource are further urls of it, in the order of their `pri`.
6. A list that says it is a part of an index (`rel="index"`) leads to that index. An archive of earlier lists is not the
   present list.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec
from pydantic import BaseModel

from manifests.messages import message
from manifests.reading import (
    CompletenessProof,
    Cursor,
    Deleted,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    Gap,
    ListPath,
    ReaderKind,
    ReaderSource,
    SkippedEntries,
    XmlElement,
    absolute,
    chosen,
    digests,
    elements,
    events,
    moment,
    placed,
    size,
    unpacked,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

MAX_LISTS = 5_000  # change lists read one after the other
MAX_URLS = 50_000  # of one sitemap, by its standard

_RS = "http://www.openarchives.org/rs/terms/"
_ROOTS = ("urlset", "sitemapindex")
_UP = ("description", "capabilitylist")  # capabilities that lead to lists


class ResyncOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    start: ListPath = ".well-known/resourcesync"
    """The source's description, its capability list or its resource list, below the url."""


class _ResyncState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the start of the wanted changes, whether it is a part, and the lists still to read."""

    mark: str = ""
    is_part: bool = False
    depth: int = 0
    rest: tuple[str, ...] = ()


def open_reader(source: ReaderSource) -> "ResyncReader":
    """Return the reader for `source`."""
    return ResyncReader(source.url, chosen(source, ResyncOptions))


class ResyncReader:
    """A Reader: requests down from the description; one Stat for each resource, or one Deleted."""

    native = False

    def __init__(self, root: str, options: ResyncOptions) -> None:
        self._root = root
        self._start = options.start

    def start(self) -> Iterable[DocumentRequest]:
        """Request the description, to read everything."""
        return [_follow(self._start, _ResyncState())]

    def resume(self, mark: str) -> Iterable[DocumentRequest]:
        """Request the description, to read the changes since `mark`."""
        return [_follow(self._start, _ResyncState(mark))]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the resources, changes or requests of one list."""
        note = msgspec.json.decode(document.asked.state, type=_ResyncState)
        document = unpacked(document)  # sitemap.xml.gz
        if note.depth > 8:
            raise DocumentError(message("{url}: more than 8 lists in a row lead to another: a loop?", url=document.url))
        root, described = _head(document)
        capability = described.get("capability", "resourcelist")
        if capability in _UP:
            yield from self._capabilities(document, note)
        elif root == "sitemapindex":
            yield from self._index(document, note, capability, described)
        elif capability == "changelist" and note.mark:
            yield from self._changes(document, note, described)
        elif capability == "resourcelist" and not note.mark:
            whole = absolute(document, described.get("index"))
            if whole is not None and not note.is_part:
                yield _follow(whole, msgspec.structs.replace(note, depth=note.depth + 1))
                return
            yield from self._full_list(document, note)
            if not note.is_part and (at := _instant(described.get("at"))):
                yield Cursor(at)
        elif capability == "resourcelist":
            raise Gap(message("{url}: is a resource list, and there is no change list", url=document.url))
        else:
            raise DocumentError(
                message(
                    "{url}: is a {capability}, which lists no resources", url=document.url, capability=capability[:40]
                )
            )

    def _capabilities(self, document: Document, note: _ResyncState) -> Iterator[DocumentRequest]:
        """Yield the next requests: the description's capability lists, or the wanted list itself."""
        wanted = "changelist" if note.mark else "resourcelist"
        found = False
        for part in elements(document, ("url", "sitemap")):
            url, capability = absolute(document, part.text_of("loc")), _described(part).get("capability", "")
            if url is not None and capability in (*_UP, wanted):
                found = True
                yield _follow(url, msgspec.structs.replace(note, depth=note.depth + 1))
        if not found:
            raise (Gap if note.mark else DocumentError)(
                message("{url}: names no {wanted}", url=document.url, wanted=wanted)
            )

    def _index(
        self, document: Document, note: _ResyncState, capability: str, described: dict[str, str]
    ) -> Iterator[Found]:
        if capability not in {"resourcelist", "changelist"}:
            raise DocumentError(
                message(
                    "{url}: is an index of the kind {kind}: set start to the present resource list",
                    url=document.url,
                    kind=capability[:40],
                )
            )
        listed, unread = [], SkippedEntries(document)
        for part in elements(document, ("sitemap",)):
            url = absolute(document, part.text_of("loc"))
            if url is None:
                unread.add(message("a list without a loc that is a url"))
            else:
                listed.append((url, _described(part)))
        if capability == "changelist":
            if not note.mark:
                raise DocumentError(
                    message("{url}: is a changelist, which does not list all resources", url=document.url)
                )
            unread.raise_if_any()
            yield from self._chained(document, note, listed)
            return
        if note.mark:
            raise Gap(
                message(
                    "{url}: is an index of {capability}s, and there is no change list",
                    url=document.url,
                    capability=capability[:40],
                )
            )
        for url, _ in listed:
            yield _follow(url, msgspec.structs.replace(note, is_part=True, depth=note.depth + 1))
        unread.raise_if_any()
        if at := _instant(described.get("at")):
            yield Cursor(at)

    def _chained(
        self, document: Document, note: _ResyncState, listed: list[tuple[str, dict[str, str]]]
    ) -> Iterator[Found]:
        """Yield the request of the first relevant change list, with the others in its state; they are read in order."""
        begins = [_instant(described.get("from")) for _, described in listed]
        known = [begin for begin in begins if begin]
        if known and len(known) == len(listed) and min(known) > note.mark:
            raise Gap(
                message(
                    "{url}: reports changes only since {known}, not since {mark}",
                    url=document.url,
                    known=min(known),
                    mark=note.mark,
                )
            )
        order = sorted(range(len(listed)), key=lambda at: (begins[at], at))
        wanted = [listed[at][0] for at in order if (_instant(listed[at][1].get("until")) or "~") >= note.mark]
        if len(wanted) > MAX_LISTS:
            raise Gap(
                message(
                    "{url}: {count} change lists to read, more than {max_lists}",
                    url=document.url,
                    count=len(wanted),
                    max_lists=MAX_LISTS,
                )
            )
        if wanted:
            yield _follow(
                wanted[0], _ResyncState(note.mark, is_part=True, depth=note.depth + 1, rest=tuple(wanted[1:]))
            )

    def _full_list(self, document: Document, note: _ResyncState) -> Iterator[Stat]:
        unread, number = SkippedEntries(document), 0
        for part in elements(document, ("url",)):
            number += 1
            stat = self._stat(document, part)
            if stat is None:
                unread.add(message("a resource without a loc that is a url"))
            else:
                yield stat
        if number >= MAX_URLS and not note.is_part:
            unread.add(
                message(
                    "lists {number} resources, the most that one list may have, and names no index of further ones",
                    number=number,
                )
            )
        unread.raise_if_any()

    def _changes(self, document: Document, note: _ResyncState, described: dict[str, str]) -> Iterator[Found]:
        begin = _instant(described.get("from"))
        if begin and begin > note.mark and not note.is_part:
            raise Gap(
                message(
                    "{url}: reports changes only since {known}, not since {mark}",
                    url=document.url,
                    known=begin,
                    mark=note.mark,
                )
            )
        latest = _instant(described.get("until"))
        unread = SkippedEntries(document)
        for part in elements(document, ("url",)):
            stat, change = self._stat(document, part), _described(part)
            when = _instant(change.get("datetime")) or _instant(part.text_of("lastmod"))
            if stat is None:
                unread.add(message("a change without a loc that is a url"))
                continue
            latest = max(latest, when)
            if when and when < note.mark:
                continue
            yield Deleted(stat.path) if change.get("change") == "deleted" else stat
        unread.raise_if_any()
        if latest:
            yield Cursor(latest)
        if note.rest:
            yield _follow(note.rest[0], msgspec.structs.replace(note, rest=note.rest[1:]))

    def _stat(self, document: Document, part: XmlElement) -> Stat | None:
        url = absolute(document, part.text_of("loc"))
        if url is None:
            return None
        described = _described(part)
        path, urls = placed(url, self._root)
        further = tuple(_duplicates(document, part))
        if further:
            urls = (url, *further)
        promised = digests(*(("", word) for word in described.get("hash", "").split()))
        return Stat(path, size(described.get("length")), moment(part.text_of("lastmod")), digests=promised, urls=urls)


def _follow(url: str, note: _ResyncState) -> DocumentRequest:
    return DocumentRequest(url=url, state=msgspec.json.encode(note).decode())


def _head(document: Document) -> tuple[str, dict[str, str]]:
    """Return the name of the outermost element and what the list says of itself, and rewind the document."""
    root, described = "", dict[str, str]()
    for opens, part in events(document):
        if not root:
            root = part.name
            if root not in _ROOTS:
                raise DocumentError(
                    message(
                        "{url}: begins with <{root}>: neither a list of ResourceSync nor a sitemap",
                        url=document.url,
                        root=root[:40],
                    )
                )
        elif opens and part.name == "md" and part.space == _RS:
            described |= part.attributes
        elif opens and part.name == "ln" and part.space == _RS and part.attributes.get("rel") == "index":
            described |= {"index": part.attributes.get("href", "")}
        elif part.name in ("url", "sitemap"):
            break
    document.stream.seek(0)
    return root, described


def _described(part: XmlElement) -> dict[str, str]:
    """Return the attributes of one entry's `rs:md`."""
    return next((one.attributes for one in part.all("md") if one.space == _RS), {})


def _duplicates(document: Document, part: XmlElement) -> Iterator[str]:
    links = [one.attributes for one in part.all("ln") if one.attributes.get("rel") == "duplicate"]
    for link in sorted(links, key=lambda one: size(one.get("pri")) or 999_999):
        url = absolute(document, link.get("href"))
        if url is not None:
            yield url


def _instant(written: str | None) -> str:
    """Return a date in a form that can be compared; "" if it is invalid."""
    seconds = moment(written)
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError, OSError):
        return ""


READER = ReaderKind(
    open_reader,
    ResyncOptions,
    proof=CompletenessProof(
        end="the end tag of the XML", limit="50,000 resources of a list without an index: incomplete"
    ),
)
