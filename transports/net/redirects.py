"""Where a redirect may lead: our own policy, in place of a library's.

Rules:
1. Only http and https, never from https to http, at most MAX_HOPS redirects, never twice to the same url.
2. Credentials belong to an origin: each hop gets only its own (`transports.http.transport`).
3. Cookies are kept for logins only, so a site that redirects in a loop until it gets one is refused.
"""

from collections.abc import Sequence
from urllib.parse import urljoin

from syncd.core import Unsafe, Unsupported
from transports.net import urls

MAX_HOPS = 10
STATUSES = frozenset({301, 302, 303, 307, 308})


def next_hop(path: str, visited: Sequence[str], status: int, location: str | None) -> tuple[str, str]:
    """Return origin and target of the next hop after `visited` (urls, the latest last); raises Unsafe.

    `path` is the first one of the request, for messages.
    """
    here = visited[-1]
    if not location:
        raise Unsafe(f"{path}: {urls.shown(here)} redirects ({status}) without a Location header")
    try:
        origin, target = urls.split(urljoin(here, location.strip()))
    except Unsupported as error:
        where = urls.shown(location[:200])
        raise Unsafe(f"{path}: {urls.shown(here)} redirects to {where}, neither http nor https") from error
    except (Unsafe, ValueError) as error:
        raise Unsafe(f"{path}: {urls.shown(here)} redirects to an invalid url: {error}") from error
    url = origin + target
    if here.startswith("https:") and origin.startswith("http:"):
        raise Unsafe(f"{path}: {urls.shown(here)} redirects from https to {urls.shown(url)}")
    if url in visited:
        raise Unsafe(f"{path}: redirected in a loop at {urls.shown(url)}; it may want a login or cookies")
    if len(visited) > MAX_HOPS:
        raise Unsafe(f"{path}: redirected more than {MAX_HOPS} times, at last to {urls.shown(url)}")
    return origin, target
