"""Finds adapters and readers by name.

Plug-ins are found by entry point: `syncd.transports.v1` by a url's scheme, `syncd.readers.v1` by a manifest's `reader`.
"""

import asyncio
from datetime import date
from pathlib import Path

from manifests.errors import InvalidValue
from manifests.messages import message
from manifests.model import Mirror, Source
from manifests.reading import GROUP, Reader, installed
from syncd.config import StoreSettings, is_internal
from syncd.core import ConfigError, Credential, NetworkPlan, NotFound, Store
from syncd.sources import Upstream
from syncd.stores import SENTINEL
from syncd.wrappers import Policy, retrying

READERS = GROUP
S3_OPTIONS = ("endpoint", "region", "addressing", "anonymous", "profile", "requester_pays")
ONCE = Policy(attempts=1)
PATIENT = Policy(attempts=5, most=4.0)


def upstream_of(
    mirror: Mirror,
    number: int,
    *,
    credential: Credential | None,
    allow_private: frozenset[str],
    user_agent: str,
    network: NetworkPlan | None = None,
) -> Upstream:
    """Return the values that open one of a mirror's sources, in this process or in a worker."""
    source = mirror.sources[number]
    return Upstream(
        url=source.url,
        where=f"{mirror.name}: source.url" if len(mirror.sources) == 1 else f"{mirror.name}: source[{number}].url",
        options={
            name: value
            for name in (*S3_OPTIONS, "encoding", "host_keys")
            if (value := getattr(source, name)) not in (None, False, ())
        },
        credential=credential,
        allow_private=allow_private,
        user_agent=user_agent,
        connections=source.limits.connections,
        rate=source.limits.rate,
        network=network,
    )


def open_reader(source: Source, today: date) -> Reader:
    """Return the reader of a source, for that day (UTC). Raises ConfigError."""
    try:
        return installed()[source.reader].opened(source, today)
    except KeyError as error:
        known = ", ".join(installed())
        raise ConfigError(
            message("source.reader: unknown reader {reader!r}: use one of {known}", reader=source.reader, known=known)
        ) from error
    except InvalidValue as error:
        raise ConfigError(message("source: reader {reader}: {cause}", reader=source.reader, cause=error)) from error


def open_store(settings: StoreSettings, *, keep_free: int = 0, network: NetworkPlan | None = None) -> Store:
    """Return the adapter of a store: a folder, or `s3://bucket/prefix`. `keep_free`: see `FilesystemStore`.

    A store on a private address is reached directly, whatever proxy `network` names.
    """
    url = settings.url
    if url.startswith("s3://"):
        from syncd.stores import S3Store  # noqa: PLC0415  boto3 is slow to import, and a folder needs none of it

        if network is not None and is_internal(settings.endpoint):
            network = network.with_proxy(None)
        return S3Store(
            url,
            endpoint=settings.endpoint,
            region=settings.region,
            profile=settings.profile,
            addressing=settings.addressing,
            most_parts=settings.parts.most,
            least_part=settings.parts.least,
            network=network,
        )
    if "://" in url and not url.startswith("file://"):
        raise ConfigError(message("store: {url}: not a store: give a folder, or s3://bucket/prefix", url=url))
    from syncd.stores import FilesystemStore  # noqa: PLC0415  as above

    group = group_id(settings.group) if settings.group is not None else None
    return FilesystemStore(Path(url.removeprefix("file://")), keep_free=keep_free, group=group)


def group_id(name: str, key: str = "store.group") -> int:
    """Return the number of a group of users; `key` is the setting that names it. Raises ConfigError."""
    import grp  # noqa: PLC0415  few stores name one

    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise ConfigError(
            message("{key}: {name}: there is no such group of users: create it, or name another", key=key, name=name)
        ) from error


def start_policy(url: str) -> Policy:
    """Return how often the first requests to a store are tried: a server may be busy at the start, too."""
    return PATIENT if url.startswith("s3://") else ONCE


async def has_store(settings: StoreSettings, network: NetworkPlan | None = None) -> bool:
    """Return True if a store of syncd is at the configured place; creates nothing. Raises if its server fails."""
    if not settings.url.startswith("s3://"):
        sentinel = Path(settings.url.removeprefix("file://")) / SENTINEL
        return await asyncio.to_thread(sentinel.exists)
    store = open_store(settings, network=network)
    try:
        await retrying(lambda: store.stat(SENTINEL), SENTINEL, start_policy(settings.url))
    except NotFound:
        return False
    finally:
        await store.aclose()
    return True
