"""Opens a source from plain values, in this process or in a worker: the one place where its decorators are stacked.

The adapter is found by the url's scheme (entry point `syncd.transports.v1`), retried outermost, governed inside.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from manifests.entry_points import load_entry_point
from syncd.core import Broker, ConfigError, Credential, TransientError, Transport
from syncd.sources.s3_routing import WEB, S3RoutedTransport
from syncd.wrappers import GovernedTransport, Governors, Policy, Retrying

TRANSPORTS = "syncd.transports.v1"
EXTRAS = {"ftp": "ftp", "ftps": "ftp", "sftp": "sftp"}
"""By scheme: what must be installed beside syncd to read such urls."""


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """All that says how a source is opened; `where` begins the messages. It may hold a secret, and is never printed."""

    url: str
    where: str = "source.url"
    options: dict[str, str | bool | tuple[str, ...]] = {}
    credential: Credential | None = None
    allow_private: frozenset[str] = frozenset()
    user_agent: str = "syncd"
    connections: int | None = None
    rate: float | None = None


def open_upstream(
    upstream: Upstream,
    governors: Governors,
    policy: Policy | None = None,
    on_retry: Callable[[str, TransientError, int, float], None] | None = None,
    broker: Broker | None = None,
    inside: Callable[[Transport], Transport] = lambda transport: transport,
) -> Transport:
    """Return the transport of a source, `inside` around the adapter. Raises ConfigError for an unknown scheme."""
    scheme = urlsplit(upstream.url).scheme
    try:
        make = opener(scheme)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        todo = f"pip install 'syncd[{extra}]'" if extra is not None else "install what the plug-in needs"
        raise ConfigError(f"{upstream.where}: {scheme} urls cannot be read here ({error}): {todo}") from error
    if make is None:
        known = ", ".join(sorted(point.name for point in load_entry_point(TRANSPORTS)))
        raise ConfigError(f"{upstream.where}: {scheme!r} is not known here: use one of {known}")
    adapter = make(
        upstream.url,
        options=upstream.options,
        credential=upstream.credential,
        allow_private=upstream.allow_private,
        user_agent=upstream.user_agent,
        **({"broker": broker} if broker is not None else {}),  # only the web's transports have tokens to ask for
    )
    if scheme in WEB:
        adapter = S3RoutedTransport(cast("Transport", adapter), lambda bucket: _bucket(upstream, bucket))
    governed = GovernedTransport(
        inside(cast("Transport", adapter)),
        governors,
        upstream.url,
        # some transports know that their servers bear less than the web's
        connections=upstream.connections or getattr(adapter, "connections", None),
        rate=upstream.rate,
    )
    return Retrying(governed, policy) if on_retry is None else Retrying(governed, policy, on_retry)


def _bucket(upstream: Upstream, bucket: str) -> Transport:
    """Return the transport of a bucket in which a catalogue on the web keeps its files."""
    make = opener("s3")
    if make is None:
        raise ConfigError(f"{upstream.where}: s3 is not known here")
    credential = upstream.credential
    is_its = credential is not None and credential.scheme == "s3" and f"{credential.origin}/" == bucket
    adapter = make(
        bucket,
        options=upstream.options,
        credential=credential if is_its else None,
        allow_private=upstream.allow_private,
        user_agent=upstream.user_agent,
    )
    return cast("Transport", adapter)


@cache
def opener(scheme: str) -> Callable[..., Any] | None:
    """Return what opens urls of a scheme; looked for once."""
    point = next(iter(load_entry_point(TRANSPORTS).select(name=scheme)), None)
    return None if point is None else cast("Callable[..., Any]", point.load())
