"""Where files came from, as others may see it: without logins and queries, because a link may have been signed."""

import msgspec

from manifests.provenance import public_url
from manifests.snapshot import Origin


def public_origin(origin: Origin) -> Origin:
    """Return where a file came from as others may see it."""
    return msgspec.structs.replace(origin, url=public_url(origin.url), by=public_by(origin.by))


def public_by(by: str) -> str:
    """Return whose checksum verified a file as others may see it: an address, or the path of a list."""
    return public_url(by) if "://" in by else by
