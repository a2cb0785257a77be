"""What the public side answers when there is nothing to send: errors, redirects, and the headers that all answers have.

Rules:
1. An error says nothing of the request: the answer for a private mirror is, byte by byte, the one for an unknown name.
2. Every address is made from `serve.url`, never from a request.
"""

import html
from collections.abc import Mapping

import msgspec
from aiohttp import web

from manifests.messages import plain

EVERY = {
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": ("Accept-Ranges,Content-Length,Content-Range,ETag,Last-Modified,Link,Repr-Digest"),
    "Referrer-Policy": "same-origin",
    "Server": "syncd",
}
"""The headers of every answer about what everybody may read."""
WITHOUT_CORS = {name: value for name, value in EVERY.items() if not name.startswith("Access-Control-")}
"""The headers of an answer that a page of another site must not read."""
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
BYTES_POLICY = "sandbox; default-src 'none'"
"""The policy of files from upstream: no script in them may run, whatever a browser takes them for."""
CORS = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, If-Match, Authorization",
    "Access-Control-Max-Age": "86400",
}

_WORDS = {
    400: "The request is not valid.",
    401: "This needs a partner's token: send it as Authorization: Bearer, or ask for a signed link.",
    403: "This is not for the token that was sent, or its terms are not accepted yet.",
    404: "There is nothing at this address.",
    405: "Only GET, HEAD and OPTIONS are answered.",
    410: "This was here, and is not kept any more.",
    412: "The file is another version than the request names.",
    414: "The address is too long.",
    416: "The file has no such range.",
    429: "Too many requests: slow down.",
    500: "Something went wrong here; it has been recorded.",
    503: "The store of this node is not available: ask again.",
}


class Reject(Exception):
    """Ends a request with an error."""

    def __init__(self, status: int, reason: str = "", **headers: str) -> None:
        """`reason` adds a sentence of our own; header names have underscores."""
        super().__init__(status)
        self.status, self.reason = status, reason
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def error_response(error: Reject, *, as_page: bool) -> web.Response:
    """Return the answer of an error: a small page for browsers, JSON for programs."""
    words = " ".join(filter(None, (_WORDS.get(error.status, "The request failed."), error.reason)))
    if as_page:
        media, body = "text/html; charset=utf-8", _page(error.status, words)
    else:
        media = "application/json"
        body = msgspec.json.encode({"status": error.status, "error": words}, enc_hook=plain) + b"\n"
    headers = {"Cache-Control": "no-store", "Content-Type": media, "Content-Security-Policy": PAGE_POLICY}
    return web.Response(body=body, status=error.status, headers={**headers, **error.headers})


def redirect(url: str, *, status: int = 302, cache: str = "no-store") -> web.Response:
    """Return a redirect to one of our own addresses."""
    return web.Response(status=status, headers={"Location": url, "Cache-Control": cache})


def options() -> web.Response:
    """Return the answer to a preflight request of a browser."""
    return web.Response(status=204, headers=CORS)


def document(
    body: bytes, media: str, *, cache: str = "no-cache", headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a document of our own."""
    given = {"Content-Type": media, "Cache-Control": cache, "Content-Security-Policy": PAGE_POLICY, **(headers or {})}
    return web.Response(body=body, headers=given)


def _page(status: int, words: str) -> bytes:
    title = f"{status}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1><p>{html.escape(words)}</p></body></html>\n"
    ).encode()
