"""Directory listings in HTML: the links of a page, and what it shows that is no child of its folder.

A link that is not below the folder as it should be is looked at if it stands in a row: with a date beside it, or under
its own name, in the list where the children stand. It is a child if its path leads there all the same
(`FolderUrl.look_up`). Else the list is incomplete, for there may be a file behind it: a script that sends files,
another folder, another protocol.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from selectolax.lexbor import LexborHTMLParser, LexborNode

from manifests.messages import message
from manifests.readers.autoindex_dates import is_day_only, seconds
from manifests.readers.autoindex_links import FolderUrl, LinkTarget, ListingLink, decoded
from manifests.readers.autoindex_pieces import PageEnd, insist_on_shallow, pieces, without_scripts
from manifests.readers.autoindex_rows import RowParser, date_and_size, in_cells, list_of, row_of
from manifests.reading import Document, DocumentError, ReaderWarning, SkippedEntries

_TITLE = re.compile(r"\bindex of\b|\b(?:directory|folder) listing\b|\blisting (?:for|of)\b|\S - /", re.IGNORECASE)
_PATH_IN_TITLE = re.compile(
    r"(?:\b(?:index|contents) of|\blisting (?:for|of)|\S -)\s+\[?(/[^\]]*)\]?\s*", re.IGNORECASE
)
_PARENT = re.compile(r"\.\./?|\W*(?:to )?(?:the )?parent (?:directory|folder)\W*", re.IGNORECASE)
_ERROR = re.compile(
    r"\b404\b|not found|error|forbidden|denied|找不到|未找到|不存在|見つかりません|찾을 수 없"
    r"|nicht gefunden|introuvable|no encontrad|não encontrad|non trovat|не найден|nie znaleziono|bulunamadı",
    re.IGNORECASE,
)
_FOLDER_CLASS = re.compile(r"(?:^|[\s_-])(?:dir|directory|folder)(?:$|[\s_-])", re.IGNORECASE)
_MAY_BE_FOLDERS = re.compile(rb"/\s*</(?:a|span|b|td|bdi)>|director|folder|\bdir\b", re.IGNORECASE)
_NEXT = re.compile(r"\W*next(?: page)?\W*", re.IGNORECASE)
_LOGIN = re.compile(r"\blog[ -]?[io]n\b|\bsign[ -]?in\b|authenticat|unauthori[sz]ed", re.IGNORECASE)
_CLIPPED = re.compile(r"(?:\.\.>?|…)$")
_CADDY = re.compile(r"<b>([0-9]+)</b>\s+(?:director(?:y|ies)|files?)\b")

_MINISERVE = "https://github.com/svenstaro/miniserve"  # in the last line of its pages

_Child = tuple[str, bool]  # its name, and whether it is a folder

CADDY_LIMIT = 10_000
"""Entries of a folder beyond which Caddy lists no more, unless its `file_limit` says otherwise."""
AT_CADDY_LIMIT = message(
    "the folder has exactly {limit:,} entries: Caddy lists no more, unless its file_limit is raised", limit=CADDY_LIMIT
)


def read_html(
    document: Document, head: bytes, folder: FolderUrl, skipped: SkippedEntries, *, is_western: bool = False
) -> Iterator[ListingLink | ReaderWarning]:
    """Yield the children that a page lists, and add to `skipped` what may be one; raises DocumentError.

    `is_western` is True for a page that says that it is not in UTF-8, but in Latin-1 or its like.
    """
    listing = _HtmlListing(document.url, folder, skipped, is_western=is_western)
    end = PageEnd(lambda href: folder.child(href) is not None)
    for piece in pieces(document.stream, head, document.url):
        end.read(piece)
        yield from listing.read(piece)
    listing.finish()
    if end.is_proved():
        return
    if end.is_bare() and document.is_bounded:
        yield ReaderWarning(message("a page of bare links, which do not show whether the page is complete"))
    else:
        skipped.add(message("the page ends before its end tags: it was cut"))


class _HtmlListing:
    """What the pieces of one page listed so far."""

    def __init__(self, url: str, folder: FolderUrl, skipped: SkippedEntries, *, is_western: bool = False) -> None:
        self._url = url
        self._is_western = is_western
        self._folder = folder
        self._skipped = skipped
        self._is_first = True
        self._is_apache = self._is_caddy = False
        self._paths: tuple[tuple[str, ...], ...] = ()
        self._announced = self._children = 0
        self._folders: set[str] = set()
        self._urls: dict[str, str] = {}
        self._deeper: list[tuple[str, str]] = []

    def read(self, piece: bytes) -> Iterator[ListingLink]:
        """Yield the children in one piece."""
        has_script = b"<script" in piece.lower()
        if has_script:
            piece = without_scripts(piece)
        insist_on_shallow(piece, self._url)
        rows = RowParser()
        text, is_utf8 = _text(piece)
        if not is_utf8 and self._is_western:
            text = _western(piece, text)
        page = LexborHTMLParser(text)
        anchors = page.css("a[href]")
        hrefs = [anchor.attributes.get("href") or "" for anchor in anchors]
        if not is_utf8 and not self._is_western:
            hrefs = [_raw(href) for href in hrefs]
        if self._is_first:
            self._paths = _paths_of(page, self._folder)
        children = self._found(anchors, hrefs, rows)
        if _MAY_BE_FOLDERS.search(piece) is not None:
            children = [(anchor, _with_kind(anchor, child)) for anchor, child in children]
        if self._is_first:
            _insist_on_listing(page, anchors, children, self._url, self._folder)
            # Apache writes digits alone for what is below 973 bytes, and rounds the rest
            self._is_apache = b"<address>Apache" in piece or any(re.match(r"\?[CNMSD]=", href) for href in hrefs)
            self._is_first = False
            if not children:
                self._insist_on_rows(page, has_script=has_script)
        if b"caddyserver.com" in piece:
            self._is_caddy = True
            self._announced += sum(map(int, _CADDY.findall(text)))
        yield from self._links(children, rows)

    def finish(self) -> None:
        """Tell what the whole page shows to be missing."""
        for name, href in self._deeper:
            if name not in self._folders:  # else it is found in that folder
                self._skipped.add(_elsewhere(href))
        if self._is_caddy:
            self._skipped.expect(self._announced, self._children, message("entries"))
            if self._children == CADDY_LIMIT:
                self._skipped.add(AT_CADDY_LIMIT)

    def _links(self, children: list[tuple[LexborNode, _Child]], rows: RowParser) -> Iterator[ListingLink]:
        for at, (anchor, child) in enumerate(children, 1):
            if at < len(children) and children[at][1] == child:  # its icon; what we look for follows its name
                continue
            self._children += 1
            name, is_folder = child
            if is_folder:
                self._folders.add(name)
            date, size, exact = date_and_size(anchor, rows)
            length = None if exact is None or is_folder or self._is_apache else int(exact)
            if date and length is None and not is_folder and is_day_only(date):
                date = ""  # neither a clock nor an exact size: that is no version, so the file itself is asked for
            yield ListingLink(
                name,
                is_folder,
                length,
                seconds(date) if date else None,
                f"listed:{date}|{size}" if date else None,
                self._urls.get(name, "") if self._urls else "",
            )

    def _found(self, anchors: list[LexborNode], hrefs: list[str], rows: RowParser) -> list[tuple[LexborNode, _Child]]:
        """Return the children in the order of the page; add to `skipped` the other rows that may be files."""
        found: list[_Child | None] = [self._folder.child(href) for href in hrefs]
        if None in found:
            self._look_up(anchors, hrefs, found, rows)
        return [(anchor, child) for anchor, child in zip(anchors, found, strict=True) if child is not None]

    def _look_up(
        self, anchors: list[LexborNode], hrefs: list[str], found: list[_Child | None], rows: RowParser
    ) -> None:
        """Fill in the children among the links that are strange."""
        lists: set[int] | None = None
        passed: list[tuple[LexborNode, str, str]] = []
        for at, (anchor, href) in enumerate(zip(anchors, hrefs, strict=True)):
            if found[at] is not None:
                continue
            shown = anchor.text(deep=True).strip().removesuffix("/")
            target = self._folder.look_up(href, shown, self._paths)
            is_script = target.kind == "self" and "?" in href
            if is_script and _is_next(anchor, shown):
                self._skipped.add(message("the listing continues on another page, which syncd does not follow"))
                continue
            if (
                (target.kind in {"self", "above"} and not is_script)
                or not shown
                or _PARENT.fullmatch(shown) is not None
            ):
                continue
            place = list_of(anchor)
            if not _is_row(anchor, href, shown, target, place, rows):
                continue
            if lists is None:
                lists = {list_of(one) for one, child in zip(anchors, found, strict=True) if child is not None}
            if lists and place not in lists:
                continue
            if target.kind == "child":
                found[at] = (target.name, target.is_folder)
                if target.url:
                    self._urls[target.name] = target.url
            else:
                passed.append((anchor, href, target.below))
        if passed:
            taken = {row_of(one) for one, child in zip(anchors, found, strict=True) if child is not None} - {0}
            for anchor, href, below in passed:
                if row_of(anchor) in taken:  # a second link of a row that has a file
                    continue
                if below:
                    self._deeper.append((below, href))
                else:
                    self._skipped.add(_elsewhere(href))

    def _insist_on_rows(self, page: LexborHTMLParser, *, has_script: bool) -> None:
        """Tell of a page without children that has files all the same, which only a script can reach."""
        if self._skipped:
            return
        for row in page.css("tr")[:1000]:
            if row.css_first("a[href]") is None and in_cells(row)[0]:
                self._skipped.add(message("a row with a date has no link to its file"))
        if has_script and page.css_first("pre, table, ul, ol, dl, a[href]") is None:
            self._skipped.add(message("a script makes the rows of this page, and syncd does not run scripts"))


def _with_kind(anchor: LexborNode, child: _Child) -> _Child:
    """Return a child as a folder if all but its link say so: the slash of its text, or a class of it or its row."""
    name, is_folder = child
    if is_folder:
        return child
    if anchor.text(deep=True).strip() == f"{name}/" or _FOLDER_CLASS.search(anchor.attributes.get("class") or ""):
        return name, True
    row = anchor.parent
    for _ in range(3):
        if row is None or row.tag in {"tr", "li"}:
            break
        row = row.parent
    if row is None or row.tag not in {"tr", "li"}:
        return child
    return name, _FOLDER_CLASS.search(row.attributes.get("class") or "") is not None


def _is_row(anchor: LexborNode, href: str, shown: str, target: LinkTarget, place: int, rows: RowParser) -> bool:
    """Return True if a link stands as a row does: a date is beside it, or it is shown under its own name."""
    if date_and_size(anchor, rows)[0]:
        return True
    if not place:
        return False
    path, _, query = href.partition("?")
    name = decoded(path.removesuffix("/").rpartition("/")[2])
    if shown in {name, name.rpartition("/")[2]}:
        return target.kind == "child" or "." in shown or path.endswith("/")
    if target.kind == "child" and target.name == shown:
        return True
    if "." not in shown:
        return False
    values = [value.rpartition("/")[2] for _, value in parse_qsl(query)]
    return shown in values or (href[:11].lower() == "javascript:" and shown in decoded(href))


def _elsewhere(href: str) -> str:
    path, mark, _ = href.strip().partition("?")
    return message("an entry links to {link!r}, outside its folder", link=path[:100] + mark + "…" * bool(mark))


def _is_next(anchor: LexborNode, shown: str) -> bool:
    return "next" in (anchor.attributes.get("rel") or "").lower().split() or _NEXT.fullmatch(shown) is not None


def _paths_of(page: LexborHTMLParser, folder: FolderUrl) -> tuple[tuple[str, ...], ...]:
    """Return the path that was asked for, and those that the page shows for itself, longer ones first."""
    found = {folder.parts}
    for title in page.css("title, h1")[:4]:
        shown = _PATH_IN_TITLE.search(title.text(deep=True).strip())
        if shown is not None:
            found.add(tuple(part for part in shown[1].strip().split("/") if part))
    return tuple(sorted(found, key=len, reverse=True))


def _text(piece: bytes) -> tuple[str, bool]:
    """Return a piece as text, and True if it is UTF-8; in Latin-1 every byte is a character."""
    try:
        return piece.decode(), True
    except UnicodeDecodeError:
        return piece.decode("latin-1"), False


def _western(piece: bytes, text: str) -> str:
    """Return a piece in the Latin-1 of Windows, which browsers take for Latin-1, else its `text`."""
    try:
        return piece.decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing there
        return text


def _raw(href: str) -> str:
    """Return a link of a page in an unknown encoding with its bytes as surrogates, so that such a name is refused."""
    try:
        return href if href.isascii() else href.encode("latin-1").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return href


def _insist_on_listing(
    page: LexborHTMLParser,
    anchors: list[LexborNode],
    children: list[tuple[LexborNode, _Child]],
    url: str,
    folder: FolderUrl,
) -> None:
    """Raise DocumentError, in words for stewards, unless the page is a listing, which may be empty."""
    titles = [node.text(deep=True).strip() for node in page.css("title, h1")]
    password = page.css_first('input[type="password" i]') is not None
    signed = any(_TITLE.search(title) for title in titles) or any(
        _PARENT.fullmatch(anchor.text(deep=True).strip()) or anchor.attributes.get("href") in {"..", "../", "./.."}
        for anchor in anchors[:20]
    )
    signed = signed or (not children and _is_empty_listing(page, anchors, titles, folder))
    if signed and (children or not password):
        return
    rows = RowParser()
    alike = sum(_looks_listed(anchor, child[0], rows) for anchor, child in children[:1000])
    if not password and 2 * alike >= max(1, min(len(children), 1000)):
        return
    title = message(" (its title: {title!r})", title=titles[0][:80]) if titles else ""
    if password or any(_LOGIN.search(title) for title in titles):
        raise DocumentError(
            message(
                "{url}: looks like a login page, not a directory listing{title}: are credentials missing?",
                url=url,
                title=title,
            )
        )
    raise DocumentError(message("{url}: looks like a web page, not a directory listing{title}", url=url, title=title))


def _is_empty_listing(page: LexborHTMLParser, anchors: list[LexborNode], titles: list[str], folder: FolderUrl) -> bool:
    """Return True for a listing without entries, in whatever language: it shows its path, and a link to its parent."""
    if any((anchor.attributes.get("href") or "") == _MINISERVE for anchor in anchors[-5:]):
        return True
    path = f"/{'/'.join(folder.parts)}"
    if not folder.parts or page.css_first("pre, table, ul, ol, dl, hr") is None:
        return False
    if not any(path in title for title in titles) or any(_ERROR.search(title) for title in titles):
        return False
    return any(folder.path_of(anchor.attributes.get("href") or "") == folder.parts[:-1] for anchor in anchors[:20])


def _looks_listed(anchor: LexborNode, name: str, rows: RowParser) -> bool:
    """Return True if a link looks like one of a listing: its text begins its name, or a date is beside it."""
    text = anchor.text(deep=True).strip().removesuffix("/")
    clipped = _CLIPPED.sub("", text)
    return (
        text == name
        or (clipped != text and name.startswith(clipped) and bool(clipped))
        or bool(date_and_size(anchor, rows)[0])
    )
