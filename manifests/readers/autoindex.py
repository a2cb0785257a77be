"""The reader for directory listings: walks the pages of a web server's folders, and reads checksum lists it meets.

Every page is one request. Folders outside the source are not read. A page that redirects elsewhere is an error, and so
is a folder with the same listing as three of the folders above it: a link leads back up, and the walk would not end.
Files that match a pattern of `checksums` are files of the mirror, and what they list is promised.
"""

from collections.abc import Iterable, Iterator

import msgspec
import xxhash
from pydantic import BaseModel

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Glob, matcher
from manifests.readers.autoindex_formats import read_links
from manifests.readers.autoindex_links import FolderUrl, folder_of, quoted
from manifests.readers.checksum_lines import ListReport
from manifests.readers.checksums import read_list
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    SkippedEntries,
    chosen,
    encoding_of,
    recoded,
)
from manifests.stat import Promise, Stat, UnsafePath, check_path
from manifests.yaml import STRICT

MAX_DEPTH = 32  # folders below the source
MAX_LINKS = 2_000_000  # on one page
MAX_PAGE = 512 << 20  # bytes
SAME_ABOVE = 3  # folders on the way that list the same as this one

# caddy sends its JSON, which has exact sizes, to clients that accept it; other servers see a browser
_HEADERS = {"accept": "text/html, application/json;q=0.9, */*;q=0.1"}


class _AutoindexState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the path in the mirror, and fingerprints of the listings above it."""

    path: str = ""
    above: tuple[str, ...] = ()
    is_list: bool = False


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
        self._lists = matcher(checksums)

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
        prefix = f"{note.path}/" if note.path else ""
        mark = xxhash.xxh3_64()
        seen: set[tuple[str, bool]] = set()
        folders = []
        skipped = SkippedEntries(document)
        for count, link in enumerate(read_links(document, here, skipped), 1):
            if isinstance(link, ReaderWarning):
                yield link
                continue
            if count > MAX_LINKS:
                raise DocumentError(
                    message("{url}: more than {max_links} links on one page", url=document.url, max_links=MAX_LINKS)
                )
            if (link.name, link.is_folder) in seen:  # once by its icon, once by its name
                continue
            seen.add((link.name, link.is_folder))
            mark.update(f"{link.name}\n{link.is_folder}\n{link.stamp}\n".encode("utf-8", "surrogatepass"))
            path = prefix + link.name
            if link.is_folder and _is_safe(path):
                folders.append(link.name)
                continue
            url = link.url or here.url + quoted(link.name)
            urls = () if is_usual and not link.url else (url,)
            # an invalid name of a folder is yielded as a file's, so that the survey reports and rejects it
            yield Stat(path, link.size, link.modified, link.stamp, {}, urls)
            if not link.is_folder and self._lists(path) and _is_safe(path):
                yield DocumentRequest(url=url, state=_state(_AutoindexState(path, is_list=True)))
        if folders:
            above = (*note.above, mark.hexdigest())
            _refuse_loop(document, note, above)
            for name in folders:
                yield _page(f"{here.url}{quoted(name)}/", _AutoindexState(prefix + name, above))
        skipped.raise_if_any()

    def _place(self, document: Document, note: _AutoindexState) -> tuple[FolderUrl, bool]:
        """Return the folder that the page lists, and whether its files are found at the source's url plus path."""
        here = folder_of(document.url)
        found = here.below(self._root) if here is not None else None
        if here is None or found is None:
            raise DocumentError(
                message(
                    "{url}: redirected to {url2}, outside the source (a login? a new address?)",
                    url=document.asked.url,
                    url2=document.url,
                )
            )
        wanted = tuple(note.path.split("/")) if note.path else ()
        if found != wanted and wanted[: len(found)] == found:
            raise DocumentError(
                message(
                    "{url}: redirected back up to {url2}: there is no such listing",
                    url=document.asked.url,
                    url2=document.url,
                )
            )
        return here, found == wanted


def _refuse_loop(document: Document, note: _AutoindexState, above: tuple[str, ...]) -> None:
    if above[:-1].count(above[-1]) >= SAME_ABOVE:
        raise DocumentError(
            message(
                "{url}: {path}/ has the same listing as {same_above} of the folders above it: a "
                "loop, made by a link that leads back up",
                url=document.url,
                path=note.path,
                same_above=SAME_ABOVE,
            )
        )
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
