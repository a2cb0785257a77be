"""One writer for a store: a small object that says who works on it, until when; a second daemon is told so, clearly.

Rule 1: `.syncd/lease.json` names the holder, its process and host, since when and until when, and an epoch that grows
with each change of hands: what an older epoch still writes is not to be believed.
Rule 2: a lease is free when it has expired, or when its process is dead on this very machine.
Rule 3: on a folder a lock of the system excludes exactly; elsewhere the lease is read again after a moment, since
servers may let two writers win. A holder reads it again before each renewal and stops at once if it is not its own.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, Protocol, runtime_checkable

import msgspec

from syncd.core import Busy, Damaged, Exists, NotFound, Store, TransientError, Unreachable

LEASE = ".syncd/lease.json"
MAX_LEASE = 1 << 16  # bytes
SETTLE = 1.0  # seconds after which we look who really wrote last, where the system gives no lock


@runtime_checkable
class Lockable(Protocol):
    """A store that can also exclude other processes exactly."""

    async def lock(self) -> object:
        """Lock for as long as the result is held. Raises Busy."""
        ...


class LeaseState(msgspec.Struct, frozen=True):
    """What the lease object says; times are seconds since the epoch."""

    holder: str
    host: str
    machine: str
    pid: int
    token: str
    epoch: int
    since: float
    expires: float


class ProcessIdentity(msgspec.Struct, frozen=True):
    """Where a process lives: `machine` differs between hosts, boots and containers, so that a pid means something."""

    host: str
    machine: str
    pid: int


def here() -> ProcessIdentity:
    """Name this process."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    host = socket.gethostname()
    if boot.exists() and namespace.is_symlink():
        return ProcessIdentity(host, f"{boot.read_text().strip()} {os.readlink(namespace)}", os.getpid())  # noqa: PTH115  not a path
    return ProcessIdentity(host, host, os.getpid())


class Lease:
    """The right to write to `store`, for `ttl` seconds at a time. `store` is the adapter itself, undecorated."""

    def __init__(
        self,
        store: Store,
        holder: str,
        *,
        ttl: float = 60.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        place: ProcessIdentity | None = None,
    ) -> None:
        self._store = store
        self._holder = holder
        self._ttl = ttl
        self._clock = clock
        self._sleep = sleep
        self._place = here() if place is None else place
        self._token = secrets.token_hex(16)
        self._held: LeaseState | None = None
        self._until = 0.0  # by the monotonic clock
        self._lock: object | None = None

    @property
    def epoch(self) -> int:
        """The number of this tenure; 0 if we hold nothing."""
        return 0 if self._held is None else self._held.epoch

    async def acquire(self) -> int:
        """Take the lease and return its epoch. Raises Busy, naming who holds it, since when, until when."""
        locked = isinstance(self._store, Lockable)
        if isinstance(self._store, Lockable):
            try:
                self._lock = await self._store.lock()
            except Busy as error:
                raise Busy(self._explain(await self._read())) from error
        try:
            return await self._try_acquire(locked=locked)
        except BaseException:
            self._lock = None
            raise

    async def renew_forever(self) -> NoReturn:
        """Renew for ever, beside the work. Raises Busy if another took over, TransientError if we cannot tell."""
        while True:
            await self._sleep(self._ttl / 3)
            try:
                # a store that takes longer to answer than our right lasts may have given it to another meanwhile
                async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                    await self.renew()
            except TimeoutError:
                raise Unreachable(f"{LEASE}: could not be renewed while it was ours") from None
            except TransientError:
                if self._held is None or self._clock() >= self._held.expires:
                    raise

    async def renew(self) -> None:
        """Extend the lease by another `ttl`. Raises Busy if it is not ours any more."""
        ours = self._held
        found = await self._read()
        if ours is None or found is None or found.token != self._token or found.epoch != ours.epoch:
            self._held = None
            raise Busy(f"{LEASE}: we lost it: {self._explain(found)}")
        await self._write(msgspec.structs.replace(ours, expires=self._clock() + self._ttl))

    def check(self) -> None:
        """Raise Busy if the lease is over; call it before what cannot be taken back."""
        if self._held is None or self._clock() >= self._held.expires:
            raise Busy(f"{LEASE}: ours is over; another daemon may work on the store now")

    async def release(self) -> None:
        """Give it back, if it is still ours."""
        found = await self._read()
        if self._held is not None and found is not None and found.token == self._token:
            # Expired, not deleted: the next holder must find the epoch that it is to exceed.
            await self._write(msgspec.structs.replace(found, expires=0.0))
        self._held = None
        self._lock = None

    async def _try_acquire(self, *, locked: bool) -> int:
        found = await self._read()
        if found is not None and not self._is_free(found, locked=locked):
            raise Busy(self._explain(found))
        now = self._clock()
        place = self._place
        epoch = 1 if found is None else found.epoch + 1
        ours = LeaseState(
            self._holder, place.host, place.machine, place.pid, self._token, epoch, since=now, expires=now + self._ttl
        )
        try:
            await self._write(ours, if_absent=found is None)
        except Exists as error:
            raise Busy(self._explain(await self._read())) from error
        if not locked:
            await self._sleep(SETTLE)
            found = await self._read()
            if found is None or found.token != self._token:
                self._held = None
                raise Busy(self._explain(found))
        return epoch

    def _is_free(self, found: LeaseState, *, locked: bool) -> bool:
        if found.expires <= self._clock() or found.token == self._token:
            return True
        if found.machine != self._place.machine:
            return False
        # Under the system's lock no other process of this machine can be at work, even if one has the old number.
        return locked or not _is_alive(found.pid)

    async def _read(self) -> LeaseState | None:
        body = bytearray()
        try:
            async with self._store.open(LEASE) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_LEASE:
                        raise Damaged(f"{LEASE}: longer than {MAX_LEASE} bytes; remove it if no daemon runs")
        except NotFound:
            return None
        try:
            return msgspec.json.decode(body, type=LeaseState)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Damaged(f"{LEASE}: not what we wrote: {error}; remove it if no daemon runs") from error

    async def _write(self, held: LeaseState, *, if_absent: bool = False) -> None:
        until = time.monotonic() + self._ttl
        await self._store.put(LEASE, msgspec.json.encode(held) + b"\n", if_absent=if_absent)
        self._held, self._until = held, until

    def _explain(self, found: LeaseState | None) -> str:
        if found is None:
            return f"{LEASE}: another process works on the store, and has not said its name yet; try again"
        return (
            f"{LEASE}: {found.holder} (process {found.pid} on {found.host}) works on this store since "
            f"{_date(found.since)}, until {_date(found.expires)} unless renewed: stop it, or wait until then"
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and somebody else's
        return True
    return True


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
