"""Opens a source from plain values, in this process or in a worker.

The url's scheme names the adapter (entry point `syncd.transports.v1`); `syncd.wrappers.stack` puts its wrappers on it.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from manifests.entry_points import load_entry_point
from manifests.messages import message
from syncd.core import ConfigError, Credential, LimitsConnections, NetworkPlan, Transport, capability
from syncd.sources.credential_keeper import CredentialKeeper
from syncd.sources.credentialed_transport import CredentialedTransport, RenewableAdapter
from syncd.sources.oauth import TokenBroker
from syncd.sources.plugin_group import TRANSPORTS
from syncd.sources.s3_routing import WEB, S3RoutedTransport
from syncd.wrappers import (
    Governors,
    OnAbsence,
    OnRetry,
    OriginShare,
    Policy,
    ignore_absence,
    ignore_retry,
    stack_transport,
)

EXTRAS = {"ftp": "ftp", "ftps": "ftp", "sftp": "sftp"}
"""The extra packages required for a scheme."""


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """The values that open a source; messages begin with `where`. It may hold a secret, and is never printed."""

    url: str
    where: str = "source.url"
    options: dict[str, str | bool | tuple[str, ...]] = {}
    credential: Credential | None = None
    allow_private: frozenset[str] = frozenset()
    user_agent: str = "syncd"
    connections: int | None = None
    rate: float | None = None
    network: NetworkPlan | None = None


def open_upstream(
    upstream: Upstream,
    governors: Governors,
    *,
    policy: Policy | None = None,
    on_retry: OnRetry = ignore_retry,
    keeper: CredentialKeeper | None = None,
    on_absence: OnAbsence = ignore_absence,
    connections: OriginShare | None = None,
    is_side: bool = False,
) -> Transport:
    """Return the transport of a source with its wrappers. Raises ConfigError for an unknown scheme.

    `connections` is a pass's share of those of a daemon, `keeper` has the credential, and renews it. `is_side` is True
    for requests that others wait for, with a slot of their own: those for tokens.
    """
    scheme = urlsplit(upstream.url).scheme
    try:
        make = opener(scheme)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        todo = (
            message("pip install 'syncd[{extra}]'", extra=extra)
            if extra is not None
            else message("install the plug-in's requirements")
        )
        raise ConfigError(
            message(
                "{where}: {scheme} urls cannot be read here ({cause}): {todo}",
                where=upstream.where,
                scheme=scheme,
                cause=error,
                todo=todo,
            )
        ) from error
    if make is None:
        known = ", ".join(sorted(point.name for point in load_entry_point(TRANSPORTS)))
        raise ConfigError(
            message(
                "{where}: unknown scheme {scheme!r}: use one of {known}",
                where=upstream.where,
                scheme=scheme,
                known=known,
            )
        )

    more: dict[str, object] = {}
    if isinstance(keeper, TokenBroker):  # only web transports use tokens
        more["broker"] = keeper
    if upstream.network is not None and "network" in _parameters(scheme):
        more["network"] = upstream.network

    def adapt(credential: Credential | None) -> Transport:
        adapter: Transport = make(
            upstream.url,
            options=upstream.options,
            credential=credential,
            allow_private=upstream.allow_private,
            user_agent=upstream.user_agent,
            **more,
        )
        if scheme in WEB:
            return S3RoutedTransport(adapter, lambda bucket: _bucket(upstream, credential, bucket))
        return adapter

    renewable = RenewableAdapter(adapt, keeper) if keeper is not None else None
    adapter = renewable if renewable is not None else adapt(upstream.credential)
    bearing = capability(adapter, LimitsConnections)
    return stack_transport(
        adapter,
        upstream.url,
        governors,
        limit=upstream.connections or (bearing.connections if bearing is not None else None),
        rate=upstream.rate,
        connections=connections,
        policy=policy,
        on_retry=on_retry,
        outside=(
            (lambda inner: CredentialedTransport(inner, keeper, upstream.url, renewable))
            if keeper is not None and renewable is not None
            else None
        ),
        is_side=is_side,
        on_absence=on_absence,
    )


def _bucket(upstream: Upstream, credential: Credential | None, bucket: str) -> Transport:
    """Return the transport of a bucket that a web catalogue names."""
    make = opener("s3")
    if make is None:
        raise ConfigError(message("{where}: no transport for s3 is installed", where=upstream.where))
    is_its = credential is not None and credential.scheme == "s3" and f"{credential.origin}/" == bucket
    adapter = make(
        bucket,
        options=upstream.options,
        credential=credential if is_its else None,
        allow_private=upstream.allow_private,
        user_agent=upstream.user_agent,
        **({"network": upstream.network} if upstream.network is not None else {}),
    )
    return cast("Transport", adapter)


@cache
def _parameters(scheme: str) -> frozenset[str]:
    """Return the names of what the factory of a scheme's transport takes: plug-ins may not know `network`."""
    make = opener(scheme)
    return frozenset(inspect.signature(make).parameters) if make is not None else frozenset()


@cache
def opener(scheme: str) -> Callable[..., Any] | None:
    """Return the factory of a scheme's transport; cached."""
    point = next(iter(load_entry_point(TRANSPORTS).select(name=scheme)), None)
    return None if point is None else cast("Callable[..., Any]", point.load())
