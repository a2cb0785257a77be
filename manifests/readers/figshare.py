"""The reader for Figshare: articles, collections, and all that a group or an institution published.

Figshare cuts lists short: ten rows to a page unless asked for more, and nothing past the thousandth. So pages are read
until an empty one, and a group's articles are read in windows: each begins at the day at which the one before was cut
off. A page that comes twice makes the list incomplete: if paging is ignored, the rest may never be shown.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from pydantic import BaseModel, Field, model_validator

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Count, like
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    PageChain,
    ReaderKind,
    ReaderSource,
    ReaderWarning,
    Selected,
    SkippedEntries,
    absolute,
    below,
    chosen,
    digests,
    folders,
    read_json,
    size,
    text,
    verbatim,
)
from manifests.stat import Stat
from manifests.yaml import STRICT

REACH = 1000  # rows of a list of articles that Figshare returns at most
MAX_PAGES = 10_000  # of one list
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Number = Annotated[str, like(r"\d{1,12}", "is not an id of Figshare", "write it as its address does, as in 5616409")]
Article = Annotated[
    str, like(r"\d{1,12}(\.v\d{1,6})?", "is not an article", "write its number, or one version of it, as in 5616409.v3")
]


class FigshareOptions(BaseModel):
    """The options of this reader."""

    model_config = STRICT

    articles: tuple[Article, ...] = ()
    """Articles, by number: the latest version of each, or one version, as in 5616409.v3."""
    collections: tuple[Number, ...] = ()
    """Collections, by number, of which all articles are mirrored."""
    group: Number | None = None
    """A group, by number, of which all published articles are mirrored."""
    institution: Number | None = None
    """An institution, by number, of which all published articles are mirrored."""
    page_size: Annotated[Count, Field(ge=1, le=1000)] = 100
    """Rows per request."""

    @model_validator(mode="after")
    def _validate(self) -> "FigshareOptions":
        if not self.articles and not self.collections and self.group is None and self.institution is None:
            raise InvalidValue(
                message("selects nothing to mirror"), message("name articles, collections, a group or an institution")
            )
        return self


class _FigshareState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the list and its pages so far, and where files go or the window begins."""

    list: str
    folder: str = ""
    since: str = ""
    pages: PageChain = PageChain()


class _FigshareFile(msgspec.Struct):
    id: object = None
    name: object = None
    size: object = None
    is_link_only: object = None
    download_url: object = None
    supplied_md5: object = None
    computed_md5: object = None


class _Article(msgspec.Struct):
    id: object = None
    published_date: object = None


def open_reader(source: ReaderSource) -> "FigshareReader":
    """Return the reader for `source`."""
    return FigshareReader(source.url, chosen(source, FigshareOptions))


class FigshareReader:
    """A Reader: one request for each page of files or articles; one Stat for each file that Figshare itself holds."""

    native = False

    def __init__(self, url: str, options: FigshareOptions) -> None:
        self._url = url
        self._options = options
        self._folders = folders(options.articles) if options.articles else {}
        if options.collections or options.group or options.institution:
            self._folders = {key: key for key in self._folders}

    @property
    def selectors(self) -> tuple[Selected, ...]:
        """The collections wanted; an article that does not exist is an error."""
        return tuple(Selected("collections", number) for number in dict.fromkeys(self._options.collections))

    def start(self) -> Iterable[DocumentRequest]:
        """Request the first page of every list."""
        options = self._options
        for key, folder in self._folders.items():
            number, _, version = key.partition(".v")
            chosen = f"articles/{number}/versions/{version}" if version else f"articles/{number}"
            yield self._page(_FigshareState(f"{chosen}/files", folder=folder))
        for number in dict.fromkeys(options.collections):
            yield self._page(_FigshareState(f"collections/{number}/articles"))
        if options.group is not None or options.institution is not None:
            yield self._page(_FigshareState("articles"))

    def read(self, document: Document) -> Iterator[Found]:
        """Yield what one page holds, and name the page after it."""
        note = msgspec.json.decode(document.asked.state, type=_FigshareState)
        if note.list.endswith("/files"):
            yield from self._files(document, note)
        else:
            yield from self._articles(document, note)

    def _files(self, document: Document, note: _FigshareState) -> Iterator[Found]:
        files = read_json(document, list[_FigshareFile])
        unread = SkippedEntries(document)
        for file in files:
            if file.is_link_only is True:
                yield ReaderWarning(message("links to pages elsewhere are no files, and are not copied"))
                continue
            name = verbatim(file.name)
            url = absolute(document, file.download_url)
            if not name or url is None:
                unread.add(message("a file without a name, or without a download_url"))
                continue
            # the depositor's checksum may be of another file; the one that Figshare computed is of the file it serves
            promised = digests(("md5", file.computed_md5))
            version = f"file:{text(file.id)}" if text(file.id) else None
            yield Stat(below(note.folder, name), size(file.size), version=version, digests=promised, urls=(url,))
        if files:
            yield from self._more(document, note, [file.id for file in files])
        unread.raise_if_any()

    def _articles(self, document: Document, note: _FigshareState) -> Iterator[DocumentRequest | Selected]:
        articles = read_json(document, list[_Article])
        unread = SkippedEntries(document)
        if articles and note.list.startswith("collections/"):
            yield Selected("collections", note.list.split("/")[1])
        for article in articles:
            number = text(article.id)
            if number.isdigit():
                yield self._page(_FigshareState(f"articles/{number}/files", folder=number))
            else:
                unread.add(message("an article without an id"))
        if articles and (note.pages.pages + 2) * self._options.page_size <= REACH:
            yield from self._more(document, note, [article.id for article in articles])
        elif articles:
            yield from self._beyond(document, note, articles)
        unread.raise_if_any()

    def _more(self, document: Document, note: _FigshareState, ids: list[object]) -> Iterator[DocumentRequest]:
        pages = note.pages.read(document, map(text, ids))
        if pages.pages > MAX_PAGES:
            raise DocumentError(
                message("{url}: has more than {max_pages} pages", url=document.url, max_pages=MAX_PAGES)
            )
        yield self._page(msgspec.structs.replace(note, pages=pages))

    def _beyond(self, document: Document, note: _FigshareState, articles: list[_Article]) -> Iterator[DocumentRequest]:
        """Continue after the last row that Figshare returns: from the day of that row on."""
        last = _DAY.match(text(articles[-1].published_date))
        if note.list != "articles" or last is None or last[0] <= note.since:
            raise DocumentError(
                message(
                    "{url}: has more than the {reach} rows that Figshare returns, and cannot be "
                    "continued: name its articles one by one, or in several mirrors",
                    url=document.url,
                    reach=REACH,
                )
            )
        yield self._page(_FigshareState("articles", since=last[0]))

    def _page(self, note: _FigshareState) -> DocumentRequest:
        options = self._options
        words: dict[str, object] = {"page": note.pages.pages + 1, "page_size": options.page_size}
        if note.list == "articles":
            words |= {"order": "published_date", "order_direction": "asc"}
            words |= {"group": options.group} if options.group is not None else {}
            words |= {"institution": options.institution} if options.institution is not None else {}
            words |= {"published_since": note.since} if note.since else {}
        return DocumentRequest(
            url=f"{self._url}{note.list}?{urlencode(words)}", state=msgspec.json.encode(note).decode()
        )


READER = ReaderKind(
    open_reader,
    FigshareOptions,
    proof=CompletenessProof(
        end="the closing bracket of the JSON, and an empty page after the last one",
        limit="1,000 rows of a list: the rest is asked for by date, or incomplete",
    ),
)
