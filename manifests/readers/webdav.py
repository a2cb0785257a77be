"""The reader for WebDAV folders (Nextcloud, ownCloud, dCache, Apache, IIS): one PROPFIND of depth 1 for each folder.

Rules:
1. Names come from `href` alone, percent-decoded once, as children of the requested folder; the folder itself and
   names outside it are ignored.
2. Of several `propstat` of one response only those of status 200 count.
3. An `ETag` is the file's version, always with quotes; also a weak one, because it shows a change.
4. `oc:checksums` (ownCloud, Nextcloud) and Fastmail's `sha1hex` are published digests.
5. Folders outside the source are an error; folders more than 32 deep count as a loop.
"""

import email.utils
from collections.abc import Iterable, Iterator

import msgspec

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.readers.autoindex_links import FolderUrl, folder_of, quoted
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    XmlElement,
    digests,
    elements,
    moment,
    size,
)
from manifests.stat import Stat, UnsafePath, check_path

MAX_DEPTH = 32  # folders below the source

_BODY = (
    b'<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop>'
    b"<d:resourcetype/><d:getcontentlength/><d:getlastmodified/><d:getetag/><oc:checksums/>"
    b"</d:prop></d:propfind>"
)
_HEADERS = {"depth": "1", "content-type": "application/xml; charset=utf-8", "accept": "application/xml, text/xml"}


class _WebdavState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the folder's path in the mirror."""

    path: str = ""


def open_reader(source: ReaderSource) -> "WebdavReader":
    """Return the reader for `source`; raises InvalidValue if its url is not http(s)."""
    root = folder_of(source.url)
    if root is None:
        raise InvalidValue(
            message("has no WebDAV folders: they need http:// or https://"),
            message("use another url, or another reader"),
        )
    return WebdavReader(root)


class WebdavReader:
    """A Reader: one request for each folder, one Stat for each file."""

    native = False

    def __init__(self, root: FolderUrl) -> None:
        self._root = root

    def start(self) -> Iterable[DocumentRequest]:
        """Request the source's own folder."""
        return [_asked(self._root.url, "")]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files and folders of one folder."""
        note = msgspec.json.decode(document.asked.state, type=_WebdavState)
        here = folder_of(document.url)
        found = here.below(self._root) if here is not None else None
        wanted = tuple(note.path.split("/")) if note.path else ()
        if here is None or found is None:
            raise DocumentError(
                message(
                    "{url}: redirected to {url2}, outside the source (a login?)",
                    url=document.asked.url,
                    url2=document.url,
                )
            )
        if found != wanted and wanted[: len(found)] == found:
            raise DocumentError(
                message(
                    "{url}: redirected back up to {url2}: there is no such folder",
                    url=document.asked.url,
                    url2=document.url,
                )
            )
        if note.path.count("/") >= MAX_DEPTH:
            raise DocumentError(
                message(
                    "{url}: {path}/ has folders more than {max_depth} deep: a loop?",
                    url=document.url,
                    path=note.path,
                    max_depth=MAX_DEPTH,
                )
            )
        for response in elements(document, {"response"}, root="multistatus"):
            child = here.child(response.text_of("href"))
            if child is None:
                continue
            name, ends_in_slash = child
            path = f"{note.path}/{name}" if note.path else name
            properties = _properties(response)
            if ends_in_slash or any(one.first("resourcetype", "collection") is not None for one in properties):
                if _is_safe(path):
                    yield _asked(f"{here.url}{quoted(name)}/", path)
                else:
                    yield Stat(path)  # `check_path` rejects it, and the survey reports it
                continue
            yield _stat(path, properties, () if found == wanted else (here.url + quoted(name),))


def _asked(url: str, path: str) -> DocumentRequest:
    state = msgspec.json.encode(_WebdavState(path)).decode()
    return DocumentRequest(url=url, method="PROPFIND", headers=_HEADERS, body=_BODY, state=state)


def _properties(response: XmlElement) -> list[XmlElement]:
    """Return the properties that the server has."""
    return [
        found
        for one in response.all("propstat")
        if " 200" in f" {one.text_of('status')} " and (found := one.first("prop")) is not None
    ]


def _stat(path: str, properties: list[XmlElement], urls: tuple[str, ...]) -> Stat:
    def says(name: str) -> str:
        return next((said for one in properties if (said := one.text_of(name))), "")

    listed = [
        word.partition(":")
        for one in properties
        for part in one.all("checksums", "checksum")
        for word in part.text.split()
    ]
    promised = digests(*((name, value) for name, _, value in listed), ("sha1", says("sha1hex")))
    return Stat(
        path,
        size(says("getcontentlength")),
        _modified(says("getlastmodified")),
        _version(says("getetag")),
        promised,
        urls,
    )


def _version(etag: str) -> str | None:
    if not etag:
        return None
    return etag if etag.startswith(('"', "W/")) else f'"{etag}"'


def _modified(text: str) -> float | None:
    """Return the seconds since the epoch of a date, in the standard form or in others that servers use."""
    found = moment(text)
    if found is not None or not text:
        return found
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _is_safe(path: str) -> bool:
    try:
        check_path(path)
    except UnsafePath:
        return False
    return True


READER = ReaderKind(open_reader, proof=CompletenessProof(end="the end tag of the XML"))
