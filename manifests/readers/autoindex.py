"""The reader for directory listings: walks the pages of a web server's folders, and reads checksum lists it meets.

Every page is one request. Folders outside the source are not read. A page that redirects elsewhere is an error.
Files that match a pattern of `checksums` are files of the mirror, and what they list is promised.

A folder that is a link to one above it is left out (`folder_loops`).
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import msgspec
import xxhash
from pydantic import BaseModel

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Glob, GlobUse, matcher
from manifests.readers.autoindex_formats import read_links
from manifests.readers.autoindex_links import FolderUrl, ListingLink, folder_of, quoted
from manifests.readers.checksum_lines import ListReport
from manifests.readers.checksums import read_list
from manifests.readers.folder_loops import HELD, LEFT_OUT, MAX_DEPTH, LoopProbe, suspected
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    Selected,
    SkippedEntries,
    chosen,
    encoding_of,
    recoded,
)
from manifests.stat import Promise, Stat, UnsafePath, check_path
from manifests.yaml import STRICT

MAX_LINKS = 2_000_000  # on one page
MAX_PAGE = 512 << 20  # bytes

# caddy sends its JSON, which has exact sizes, to clients that accept it; other servers see a browser
_HEADERS = {"accept": "text/html, application/json;q=0.9, */*;q=0.1"}


class _AutoindexState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the path in the mirror, and fingerprints of the listings above it.

    `is_real` is True for a folder that was found to be no link to one above it.
    """

    path: str = ""
    above: tuple[str, ...] = ()
    is_list: bool = False
    probe: LoopProbe | None = None
    is_real: bool = False


class AutoindexOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    checksums: tuple[Glob, ...] = ()
    """Globs of checksum lists found on the way; the files that they name must match their checksums."""
    unterminated: bool = False
    """True if the publisher writes no line end after the last line of lists; otherwise they count as truncated."""


def open_reader(source: ReaderSource) -> "AutoindexReader":
    """Return the reader for `source`; raises InvalidValue if its url is not http(s)."""
    root = folder_of(source.url if source.url.endswith("/") else f"{source.url}/")
    if root is None:
        raise InvalidValue(
            message("{url!r} has no directory listings to read", url=source.url),
            message("name a url of http:// or https://"),
        )
    options = chosen(source, AutoindexOptions)
    return AutoindexReader(root, options.checksums, unterminated=options.unterminated, encoding=encoding_of(source))


class AutoindexReader:
    """A Reader: one request for each folder and each list found, one Stat for each file, Promises from lists."""

    native = False

    def __init__(
        self, root: FolderUrl, checksums: Iterable[str], *, unterminated: bool = False, encoding: str = "utf-8"
    ) -> None:
        self._root = root
        self._encoding = encoding
        self._unterminated = unterminated
        self._checksums = tuple(checksums)
        self._lists = matcher(self._checksums)

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The globs of checksum lists."""
        return tuple(Selected("checksums", glob) for glob in self._checksums)

    def start(self) -> Iterable[DocumentRequest]:
        """Request the page of the source itself."""
        return [_page(self._root.url, _AutoindexState())]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files and folders of one page, or the checksums of one list."""
        note = msgspec.json.decode(document.asked.state, type=_AutoindexState)
        if note.is_list:
            document = recoded(document, self._encoding)
            report = ListReport(document, note.path)
            for path, digests, _ in read_list(document, note.path, report):
                if digests:
                    yield Promise(path, digests, by=note.path)
            yield from report.finish(unterminated=self._unterminated)
        else:
            yield from self._listed(document, note)

    def _listed(self, document: Document, note: _AutoindexState) -> Iterator[Found]:
        here, is_usual = self._place(document, note)
        page = _PageOfFolder(here)
        skipped = SkippedEntries(document)
        links = read_links(document, here, skipped, self._encoding)
        found = self._found(document, note, page, links, is_usual=is_usual)
        held = list(islice(found, HELD))
        if len(held) < HELD and (loop := self._loop(document, note, page)) is not None:
            yield from loop
            return
        yield from chain(held, found)
        if page.folders:
            above = (*note.above, page.mark.hexdigest())
            _refuse_depth(document, note, above)
            prefix = f"{note.path}/" if note.path else ""
            for name in page.folders:
                yield _page(f"{here.url}{quoted(name)}/", _AutoindexState(prefix + self._text(name), above))
        skipped.raise_if_any()

    def _found(
        self,
        document: Document,
        note: _AutoindexState,
        page: "_PageOfFolder",
        links: Iterator[ListingLink | ReaderWarning],
        *,
        is_usual: bool,
    ) -> Iterator[Found]:
        """Yield the files of a page, and the checksum lists among them; note its folders."""
        prefix, use = f"{note.path}/" if note.path else "", GlobUse(self._checksums)
        for count, link in enumerate(links, 1):
            if isinstance(link, ReaderWarning):
                yield link
                continue
            if count > MAX_LINKS:
                raise DocumentError(
                    message("{url}: more than {max_links} links on one page", url=document.url, max_links=MAX_LINKS)
                )
            if not page.is_new(link):
                continue
            name = self._text(link.name)
            path = prefix + name
            if link.is_folder and _is_safe(path):
                page.folders.append(link.name)
                continue
            urls = () if is_usual and not link.url and name == link.name else (page.url_of(link),)
            # an invalid name of a folder is yielded as a file's, so that the survey reports and rejects it
            yield Stat(path, link.size, link.modified, link.stamp, {}, urls)
            if not link.is_folder and self._checksums and self._lists(path) and _is_safe(path):
                yield DocumentRequest(url=page.url_of(link), state=_state(_AutoindexState(path, is_list=True)))
                yield from (Selected("checksums", glob) for glob in use.matched(path))

    def _text(self, name: str) -> str:
        """Return a name as text: bytes that are not UTF-8 are taken in the encoding that the source declares."""
        if self._encoding == "utf-8" or name.isascii():
            return name
        try:
            name.encode()
        except UnicodeEncodeError:
            return name.encode("utf-8", "surrogateescape").decode(self._encoding, "surrogateescape")
        return name

    # -- links that lead back up ----------------------------------------------------------------------------------

    def _loop(self, document: Document, note: _AutoindexState, page: "_PageOfFolder") -> Iterator[Found] | None:
        """Return what to do with a page that may be of a link to a folder above it; None if it is of none."""
        mark = page.mark.hexdigest()
        if note.probe is not None:
            return self._probed(document, note, note.probe, mark)
        probe = suspected(note.path, note.above, mark) if page.folders and not note.is_real else None
        return None if probe is None else iter([self._follow(document, note, probe.first(), probe)])

    def _probed(self, document: Document, note: _AutoindexState, probe: LoopProbe, mark: str) -> Iterator[Found]:
        if mark != probe.mark:
            for path, above in probe.ordinary():
                yield _page(self._url_of(document, note, path), _AutoindexState(path, above, is_real=True))
        elif probe.is_certain(note.path):
            yield LEFT_OUT
        else:
            yield self._follow(document, note, *probe.next(note.path))

    def _follow(self, document: Document, note: _AutoindexState, path: str, probe: LoopProbe) -> DocumentRequest:
        return _page(self._url_of(document, note, path), _AutoindexState(path, probe=probe))

    def _url_of(self, document: Document, note: _AutoindexState, path: str) -> str:
        """Return the url of a folder that is on the way to the one of this page, or below it."""
        here = folder_of(document.url)
        assert here is not None
        url, names = here.url, path.split("/")
        depth = note.path.count("/") + 1
        if len(names) <= depth:
            return url.rsplit("/", 1 + depth - len(names))[0] + "/"
        return url + "".join(f"{quoted(self._raw(name))}/" for name in names[depth:])

    def _raw(self, name: str) -> str:
        """Return a name as the server has it in urls; see `_text`."""
        if self._encoding == "utf-8" or name.isascii():
            return name
        return name.encode(self._encoding, "surrogateescape").decode("utf-8", "surrogateescape")

    def _place(self, document: Document, note: _AutoindexState) -> tuple[FolderUrl, bool]:
        """Return the folder that the page lists, and whether its files are found at the source's url plus path."""
        here = folder_of(document.url)
        found = here.below(self._root) if here is not None else None
        if here is None or found is None:
            raise DocumentError(
                message(
                    "{url}: redirected to {target}, outside the source (a login? a new address?)",
                    url=document.asked.url,
                    target=document.url,
                )
            )
        wanted = tuple(note.path.split("/")) if note.path else ()
        named = tuple(map(self._text, found))
        if named != wanted and wanted[: len(named)] == named:
            raise DocumentError(
                message(
                    "{url}: redirected back up to {target}: there is no such listing",
                    url=document.asked.url,
                    target=document.url,
                )
            )
        return here, found == wanted


class _PageOfFolder:
    """What one page listed so far: its folders, as the server names them, and a fingerprint of all entries."""

    def __init__(self, here: FolderUrl) -> None:
        self.here = here
        self.folders: list[str] = []
        self.mark = xxhash.xxh3_64()
        self._seen: set[tuple[str, bool]] = set()

    def url_of(self, link: ListingLink) -> str:
        """Return the url that an entry links to."""
        return link.url or self.here.url + quoted(link.name)

    def is_new(self, link: ListingLink) -> bool:
        """Return True if an entry was not listed before: many are linked by their icon, then by their name."""
        if (link.name, link.is_folder) in self._seen:
            return False
        self._seen.add((link.name, link.is_folder))
        self.mark.update(f"{link.name}\n{link.is_folder}\n{link.stamp}\n".encode("utf-8", "surrogatepass"))
        return True


def _refuse_depth(document: Document, note: _AutoindexState, above: tuple[str, ...]) -> None:
    if len(above) > MAX_DEPTH:
        raise DocumentError(
            message(
                "{url}: {path}/ has folders more than {max_depth} deep: a loop?",
                url=document.url,
                path=note.path,
                max_depth=MAX_DEPTH,
            )
        )


def _is_safe(path: str) -> bool:
    try:
        check_path(path)
    except UnsafePath:
        return False
    return True


def _page(url: str, note: _AutoindexState) -> DocumentRequest:
    return DocumentRequest(url=url, headers=_HEADERS, state=_state(note), max_bytes=MAX_PAGE)


def _state(note: _AutoindexState) -> str:
    return msgspec.json.encode(note).decode()


READER = ReaderKind(
    open_reader,
    AutoindexOptions,
    proof=CompletenessProof(
        end="`</html>`, or the end tag of the list of links; a page of bare links has neither, and says so. JSON and "
        "XML: their end",
        count="the sums below Caddy's lists",
        limit="10,000 entries of one folder (Caddy): incomplete",
        unseen="lines",
    ),
    encoded=True,
)
