"""Where a redirect may lead: our own hop policy, in place of any library's.

Rules:
1. http and https only, never from https back to http, at most ten hops, never twice to the same url.
2. Credentials are bound to an origin: each hop is given only what belongs to its own (`transports.http.transport`).
3. No cookie is kept but for logins, so a site that redirects in a circle until it sees one is refused for the circle.
"""

from collections.abc import Sequence
from urllib.parse import urljoin

from syncd.core import Unsafe, Unsupported
from transports.net import urls

MAX_HOPS = 10
STATUSES = frozenset({301, 302, 303, 307, 308})


def next_hop(path: str, visited: Sequence[str], status: int, location: str | None) -> tuple[str, str]:
    """Return origin and target of the next hop after `visited` (urls, the latest last); raises Unsafe.

    `path` is what was asked for at first, for the message.
    """
    here = visited[-1]
    if not location:
        raise Unsafe(f"{path}: {urls.shown(here)} redirects ({status}) without saying where to")
    try:
        origin, target = urls.split(urljoin(here, location.strip()))
    except Unsupported as error:
        where = urls.shown(location[:200])
        raise Unsafe(f"{path}: {urls.shown(here)} redirects to {where}, neither http nor https") from error
    except (Unsafe, ValueError) as error:
        raise Unsafe(f"{path}: {urls.shown(here)} redirects to what is no url for us: {error}") from error
    url = origin + target
    if here.startswith("https:") and origin.startswith("http:"):
        raise Unsafe(f"{path}: {urls.shown(here)} redirects from https down to {urls.shown(url)}")
    if url in visited:
        raise Unsafe(f"{path}: redirected in a circle at {urls.shown(url)}; it may want a login or cookies")
    if len(visited) > MAX_HOPS:
        raise Unsafe(f"{path}: redirected more than {MAX_HOPS} times, at last to {urls.shown(url)}")
    return origin, target
