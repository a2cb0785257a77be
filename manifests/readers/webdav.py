"""The reader for WebDAV folders (Nextcloud, ownCloud, dCache, Apache, IIS): one PROPFIND of depth 1 for each folder.

Rules:
1. Names come from `href` alone, percent-decoded once, as children of the requested folder. Only paths are compared, for
   a server behind a proxy knows itself by another scheme, host or prefix, and IIS by another case. What the answer says
   of the folder itself shows that prefix; an answer that says nothing of it is no listing.
2. A response outside the folder, and one whose properties the server withholds, make the list incomplete. The folders
   above are ignored, and so are those below its children: each is asked for in its own folder.
3. Of several `propstat` of one response only those of status 200 count.
4. An `ETag` is the file's version, always with quotes; also a weak one, because it shows a change.
5. `oc:checksums` (ownCloud, Nextcloud) and Fastmail's `sha1hex` are published digests.
6. Folders outside the source are an error; folders more than 32 deep count as a loop. A folder that is a link to one
   above it is left out (`folder_loops`).
"""

import email.utils
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import msgspec
import xxhash

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.readers.autoindex_links import FolderUrl, folder_of, quoted
from manifests.readers.folder_loops import HELD, LEFT_OUT, MAX_DEPTH, LoopProbe, suspected
from manifests.reading import (
    CompletenessProof,
    Document,
    DocumentError,
    DocumentRequest,
    Found,
    ReaderKind,
    ReaderSource,
    SkippedEntries,
    XmlElement,
    digests,
    elements,
    moment,
    size,
)
from manifests.stat import Stat, UnsafePath, check_path

_BODY = (
    b'<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop>'
    b"<d:resourcetype/><d:getcontentlength/><d:getlastmodified/><d:getetag/><oc:checksums/>"
    b"</d:prop></d:propfind>"
)
_HEADERS = {"depth": "1", "content-type": "application/xml; charset=utf-8", "accept": "application/xml, text/xml"}


class _WebdavState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a request: the folder's path in the mirror, and fingerprints of the listings above it.

    `is_real` is True for a folder that was found to be no link to one above it.
    """

    path: str = ""
    above: tuple[str, ...] = ()
    probe: LoopProbe | None = None
    is_real: bool = False


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
        return [_asked(self._root.url, _WebdavState())]

    def read(self, document: Document) -> Iterator[Found]:
        """Yield the files and folders of one folder."""
        note = msgspec.json.decode(document.asked.state, type=_WebdavState)
        here = folder_of(document.url)
        found = here.below(self._root) if here is not None else None
        wanted = tuple(note.path.split("/")) if note.path else ()
        if here is None or found is None:
            raise DocumentError(
                message(
                    "{url}: redirected to {target}, outside the source (a login?)",
                    url=document.asked.url,
                    target=document.url,
                )
            )
        if found != wanted and wanted[: len(found)] == found:
            raise DocumentError(
                message(
                    "{url}: redirected back up to {target}: there is no such folder",
                    url=document.asked.url,
                    target=document.url,
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
        skipped = SkippedEntries(document)
        listed = self._listed(document, here, note, skipped, is_usual=found == wanted)
        held = list(islice(listed, HELD))
        mark = _mark(held) if len(held) < HELD else ""
        if (loop := self._loop(note, mark)) is not None:
            yield from loop
            return
        for one in chain(held, listed):
            yield _below(one, note, mark) if isinstance(one, DocumentRequest) else one
        skipped.raise_if_any()

    def _loop(self, note: _WebdavState, mark: str) -> Iterator[Found] | None:
        """Return what to do with a folder that may be a link to one above it; None if it is none."""
        if note.probe is not None:
            return self._probed(note, note.probe, mark)
        probe = suspected(note.path, note.above, mark) if mark and not note.is_real else None
        return None if probe is None else iter([self._request(_WebdavState(probe.first(), probe=probe))])

    def _probed(self, note: _WebdavState, probe: LoopProbe, mark: str) -> Iterator[Found]:
        if mark != probe.mark:
            for path, above in probe.ordinary():
                yield self._request(_WebdavState(path, above, is_real=True))
        elif probe.is_certain(note.path):
            yield LEFT_OUT
        else:
            path, following = probe.next(note.path)
            yield self._request(_WebdavState(path, probe=following))

    def _request(self, note: _WebdavState) -> DocumentRequest:
        return _asked(self._root.url + "".join(f"{quoted(name)}/" for name in note.path.split("/")), note)

    def _listed(
        self, document: Document, here: FolderUrl, note: _WebdavState, skipped: SkippedEntries, *, is_usual: bool
    ) -> Iterator[Stat | DocumentRequest]:
        """Yield the files of a folder, and the requests of the folders in it."""
        own = (_own_path(document, here),)
        for response in elements(document, {"response"}, root="multistatus"):
            href, *more = [one.text.strip() for one in response.all("href")] or [""]
            for one in more:
                skipped.add(_withheld(one, response))
            properties = _properties(response)
            child = here.look_up(_escaped(href), "", own)
            if child.kind == "self" and (status := _refusal(response)):
                skipped.add(message("the server lists only a part of the folder: {status}", status=status))
            if child.kind in {"self", "above"} or child.below:
                continue
            if child.kind != "child":
                skipped.add(message("an entry links to {link!r}, outside its folder", link=href[:100]))
                continue
            if not properties:
                skipped.add(_withheld(child.name, response))
                continue
            path = f"{note.path}/{child.name}" if note.path else child.name
            if child.is_folder or any(one.first("resourcetype", "collection") is not None for one in properties):
                if not _is_safe(path):
                    yield Stat(path)  # to be refused in the open
                elif child.url:
                    skipped.add(message("the name of the folder {name!r} contains a slash", name=child.name[:100]))
                else:
                    yield _asked(f"{here.url}{quoted(child.name)}/", _WebdavState(path))
                continue
            url = child.url or here.url + quoted(child.name)
            yield _stat(path, properties, () if is_usual and not child.url else (url,))


def _mark(found: list[Stat | DocumentRequest]) -> str:
    """Return a fingerprint of the listing of a folder; "" for one without folders, which leads nowhere."""
    mark = xxhash.xxh3_64()
    has_folders = False
    for one in found:
        if isinstance(one, Stat):
            name, said = one.path.rpartition("/")[2], f"{one.size}\n{one.version or one.modified}"
        else:
            name, said = one.url.rstrip("/").rpartition("/")[2], "folder"
            has_folders = True
        mark.update(f"{name}\n{said}\n".encode("utf-8", "surrogatepass"))
    return mark.hexdigest() if has_folders else ""


def _below(request: DocumentRequest, note: _WebdavState, mark: str) -> DocumentRequest:
    """Return the request of a folder with the listings above it."""
    path = msgspec.json.decode(request.state, type=_WebdavState).path
    return _asked(request.url, _WebdavState(path, (*note.above, mark)))


def _own_path(document: Document, here: FolderUrl) -> tuple[str, ...]:
    """Return the path by which the server knows the folder that was asked for; raises DocumentError.

    Nearly always that is the path of the url, and the first response is about it. Else it is the folder above all that
    is listed, if it has the same name: only the beginning of its path may be another one.
    """
    top: tuple[str, ...] | None = None
    is_top_folder = False
    beside: tuple[str, ...] | None = None
    for response in elements(document, {"response"}, root="multistatus"):
        parts = here.path_of(_escaped(response.text_of("href")))
        if parts is None:
            continue
        if here.is_at(parts):
            document.stream.seek(0)
            return here.parts
        if top is None or len(parts) < len(top):
            top, beside = parts, top
            is_top_folder = any(one.first("resourcetype", "collection") is not None for one in _properties(response))
        elif len(parts) == len(top) and parts != top:
            beside = parts
    document.stream.seek(0)
    is_alone = beside is None or top is None or len(beside) > len(top)
    if top is None or not is_alone or not is_top_folder or not here.may_be(top):
        raise DocumentError(message("{url}: the response does not list the requested folder itself", url=document.url))
    return top


def _escaped(href: str) -> str:
    """Return an `href` of which the whole is a path: it has no query and no fragment (RFC 4918, section 8.3)."""
    return href.replace("?", "%3F").replace("#", "%23")


def _withheld(name: str, response: XmlElement) -> str:
    status = _refusal(response)
    if status:
        return message("the server withholds the properties of {name!r}: {status}", name=name[:100], status=status)
    return message("the server withholds the properties of {name!r}", name=name[:100])


def _refusal(response: XmlElement) -> str:
    """Return the status of a whole response where it is not 200, as for a list that the server cut (507); else ""."""
    status = response.text_of("status")
    return "" if " 200" in f" {status}" else status


def _asked(url: str, note: _WebdavState) -> DocumentRequest:
    state = msgspec.json.encode(note).decode()
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


READER = ReaderKind(
    open_reader,
    proof=CompletenessProof(end="the end tag of the XML, and a response about the folder that was asked for"),
)
