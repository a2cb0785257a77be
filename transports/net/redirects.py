"""Where a redirect may lead: our own policy, in place of a library's.

Rules:
1. Only http and https, never from https to http, at most MAX_HOPS redirects, never twice to the same url.
2. Credentials belong to an origin: each hop gets only its own (`transports.http.transport`).
3. Cookies are kept for logins only, so a site that redirects in a loop until it gets one is refused.
"""

from collections.abc import Sequence
from urllib.parse import urljoin

from manifests.messages import message
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
        raise Unsafe(
            message(
                "{path}: {shown} redirects ({status}) without a Location header",
                path=path,
                shown=urls.shown(here),
                status=status,
            )
        )
    try:
        origin, target = urls.split(urljoin(here, location.strip()))
    except Unsupported as error:
        where = urls.shown(location[:200])
        raise Unsafe(
            message(
                "{path}: {shown} redirects to {where}, neither http nor https",
                path=path,
                shown=urls.shown(here),
                where=where,
            )
        ) from error
    except (Unsafe, ValueError) as error:
        raise Unsafe(
            message(
                "{path}: {shown} redirects to an invalid url: {cause}", path=path, shown=urls.shown(here), cause=error
            )
        ) from error
    url = origin + target
    if here.startswith("https:") and origin.startswith("http:"):
        raise Unsafe(
            message(
                "{path}: {shown} redirects from https to {target}",
                path=path,
                shown=urls.shown(here),
                target=urls.shown(url),
            )
        )
    if url in visited:
        raise Unsafe(
            message(
                "{path}: redirected in a loop at {shown}; it may want a login or cookies",
                path=path,
                shown=urls.shown(url),
            )
        )
    if len(visited) > MAX_HOPS:
        raise Unsafe(
            message(
                "{path}: redirected more than {max_hops} times, at last to {shown}",
                path=path,
                max_hops=MAX_HOPS,
                shown=urls.shown(url),
            )
        )
    return origin, target
