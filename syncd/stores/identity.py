"""The file that names a store, so that an unmounted disk or another bucket is not taken for it."""

import secrets
from collections.abc import Callable
from typing import Protocol

import msgspec

from manifests.messages import message, plain
from manifests.stat import Stat
from syncd.core import ConfigError, Damaged, Exists, NotFound, Offline

SENTINEL = ".syncd/store.json"


class Identifiable(Protocol):
    """What the identity needs of a store."""

    async def read_identity(self) -> bytes:
        """Return the content of SENTINEL. Raises NotFound."""
        ...

    async def foreign_path(self) -> str:
        """Return the path of a file that keeps this place from becoming a new store, "" if there is none."""
        ...

    async def put(self, path: str, body: bytes, *, if_absent: bool = False, sha256: str = "") -> Stat:
        """Write one small file."""
        ...


async def identify(
    store: Identifiable, where: str, expected: str | None, clock: Callable[[], float], *, absent: str, another: str
) -> str:
    """Return the id of the store at `where`, given to an empty one on first use.

    `absent` and `another` are the questions to the operator where no store, or another one than `expected`, is there.
    Raises Offline in these cases, ConfigError for a place that holds files but no id, Damaged for an invalid id.
    """
    try:
        body = await store.read_identity()
    except NotFound:
        if expected is not None:
            raise Offline(
                message(
                    "{store}: is not the expected store {expected}: {sentinel} is missing: {question}",
                    store=where,
                    expected=expected,
                    sentinel=SENTINEL,
                    question=absent,
                )
            ) from None
        return await _assign_id(store, where, clock, another=another)
    try:
        known = str(msgspec.json.decode(body)["id"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Damaged(
            message(
                "{sentinel}: not a valid store identity in {store}: {cause}",
                sentinel=SENTINEL,
                store=where,
                cause=error,
            )
        ) from error
    if expected is not None and known != expected:
        raise Offline(
            message(
                "{store}: is store {known}, but store {expected} is expected: {question}",
                store=where,
                known=known,
                expected=expected,
                question=another,
            )
        )
    return known


async def _assign_id(store: Identifiable, where: str, clock: Callable[[], float], *, another: str) -> str:
    if path := await store.foreign_path():
        raise ConfigError(
            message(
                "{store}: holds {path} but no {sentinel}; a new store needs an empty folder or prefix",
                store=where,
                path=path,
                sentinel=SENTINEL,
            )
        )
    known = secrets.token_hex(16)
    body = msgspec.json.encode({"id": known, "created": clock()}, enc_hook=plain) + b"\n"
    try:
        await store.put(SENTINEL, body, if_absent=True)
    except Exists:  # another process was first
        return await identify(store, where, None, clock, absent="", another=another)
    return known
