"""The requests of a STAC API's search, and of its next page: by a link, maybe with a body, by a token or a number."""

from typing import Any
from urllib.parse import urlencode

import msgspec

from manifests.messages import message
from manifests.readers.stac_options import StacOptions
from manifests.reading import Document, DocumentError, DocumentRequest, Span, page_url, size, text

MAX_PAGE = 256 << 20  # bytes
MAX_EMPTY = 5  # pages in a row without an item, after which the search ends
_HEADERS = {"accept": "application/geo+json, application/json;q=0.9, */*;q=0.1"}
_POSTED = {**_HEADERS, "content-type": "application/json"}
_SAFE = frozenset({"accept", "content-type", "content-length", "host", "authorization", "cookie", "connection"})


class Search:
    """One search, as a manifest describes it."""

    def __init__(self, url: str, options: StacOptions, span: Span) -> None:
        self._url = f"{url}search"
        self._options = options
        self._span = span

    def first(self, state: str) -> DocumentRequest:
        """Return the request of its first page."""
        if self._options.method == "GET":
            words = urlencode({name: _written(value) for name, value in self._words().items()}, safe=",:/")
            return DocumentRequest(f"{self._url}?{words}", headers=_HEADERS, state=state, max_bytes=MAX_PAGE)
        body = msgspec.json.encode(self._words())
        return DocumentRequest(self._url, "POST", headers=_POSTED, body=body, state=state, max_bytes=MAX_PAGE)

    def _words(self) -> dict[str, Any]:
        options = self._options
        words: dict[str, Any] = {
            "collections": list(options.collections),
            "ids": list(options.ids),
            "bbox": list(options.bbox),
            "datetime": self._span.written,
            "filter": _loaded(options.filter),
            "query": _loaded(options.query),
        }
        words = {name: value for name, value in words.items() if value}
        if "filter" in words:
            words["filter-lang"] = "cql2-json" if isinstance(words["filter"], dict) else "cql2-text"
        return {"limit": options.page, **words}


def follow_next(document: Document, links: object, context: object, state: str) -> DocumentRequest | None:
    """Return the request of the next page, None if there is none; raises DocumentError if it is this page."""
    link = _next(links)
    asked = document.asked
    following = _linked(document, link, state) if link is not None else _counted(asked, context, state)
    if following is None:
        return None
    if (following.method, following.url, following.body) == (asked.method, asked.url, asked.body):
        raise DocumentError(message("{url}: names itself as its next page", url=document.url))
    return following


def _next(links: object) -> dict[str, Any] | None:
    if not isinstance(links, list):
        return None
    for link in links:
        if isinstance(link, dict) and text(link.get("rel")) == "next":
            return link
    return None


def _linked(document: Document, link: dict[str, Any], state: str) -> DocumentRequest:
    url = page_url(document, link.get("href"))
    if url is None:
        raise DocumentError(message("{url}: its next page has no valid url", url=document.url))
    headers = {
        text(name).lower(): text(value)
        for name, value in (link["headers"].items() if isinstance(link.get("headers"), dict) else ())
        if text(name).isascii() and text(name).replace("-", "").isalnum() and text(value).isprintable()
    }
    headers = {name: value for name, value in headers.items() if name not in _SAFE}
    method = text(link.get("method")).upper() or "GET"
    if method == "GET":
        return DocumentRequest(url, headers={**headers, **_HEADERS}, state=state, max_bytes=MAX_PAGE)
    if method != "POST":
        raise DocumentError(
            message("{url}: its next page uses the method {method!r}", url=document.url, method=method[:20])
        )
    before = _body(document.asked)
    given = link.get("body")
    body = before  # absent values stay the same
    if isinstance(given, dict):
        body = {**before, **given} if link.get("merge") is True else given
    return DocumentRequest(
        url, "POST", headers={**headers, **_POSTED}, body=msgspec.json.encode(body), state=state, max_bytes=MAX_PAGE
    )


def _counted(asked: DocumentRequest, context: object, state: str) -> DocumentRequest | None:
    """Return the next page of servers before 1.0, which have page numbers or tokens instead of links."""
    if not isinstance(context, dict) or asked.method != "POST":
        return None
    body = _body(asked)
    token = text(context.get("next"))
    if token:
        body["next"] = token
    else:
        page, limit, matched = (size(context.get(name)) for name in ("page", "limit", "matched"))
        if page is None or not limit or matched is None or page * limit >= matched:
            return None
        body["page"] = page + 1
    return msgspec.structs.replace(asked, body=msgspec.json.encode(body), state=state)


def _body(asked: DocumentRequest) -> dict[str, Any]:
    found = msgspec.json.decode(asked.body) if asked.body else {}
    return found if isinstance(found, dict) else {}


def _loaded(written: str) -> Any:
    return msgspec.json.decode(written) if written.startswith("{") else written


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else str(value)
