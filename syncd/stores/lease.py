"""The lease of a store: an object that names the one process that may write, and until when.

Rule 1: `.syncd/lease.json` names the holder, its process and host, its start and its end, and an epoch that grows with
each new holder. Writes of an older epoch are not valid.
Rule 2: a lease is free if it has expired, or if its process on this same machine has ended.
Rule 3: on a folder, a file lock excludes other processes reliably. On other stores the lease is read again after a
moment, because two writers may both succeed. Until then it has not settled: it is not current, so nothing is changed,
but what only reads need not wait (`begin`, `settle`). The holder reads it before each renewal, and stops if it is lost.
Rule 4: a process may be stopped (SIGSTOP, a suspended machine) for longer than its lease. `is_current` compares a clock
before each change; once the lease has expired, `confirm` reads it before the next change. `guard` compares the clock
again immediately before a change takes effect, so that a request prepared before the stop is not sent after it.
Rule 5: the highest epoch wins: a holder that finds a lower one writes its own again. A write of the lease that began in
time and ended too late may have replaced the lease of another process, so its process has lost it.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn, Protocol, runtime_checkable

import msgspec

from manifests.messages import message, plain
from manifests.timestamps import rfc3339
from syncd.core import (
    Busy,
    Damaged,
    Denied,
    Exists,
    KeysRejected,
    LeaseLapsed,
    LeaseLost,
    NotFound,
    Offline,
    Store,
    TransientError,
    Unreachable,
)

LEASE = ".syncd/lease.json"
MAX_LEASE = 1 << 16  # bytes
TTL = 60.0  # seconds that a lease lasts unless renewed
SETTLE = 1.0  # seconds until the lease is read again, on a store without a lock
UNSEEN = (".syncd/uploads/", ".syncd/tmp/")  # staged bytes, which become visible only by another change


@runtime_checkable
class Lockable(Protocol):
    """A store that can also lock out other processes reliably."""

    async def lock(self) -> object:
        """Lock until the result is deleted. Raises Busy."""
        ...


class LeaseState(msgspec.Struct, frozen=True):
    """The content of the lease object; times are in seconds since the epoch."""

    holder: str
    host: str
    machine: str
    pid: int
    token: str
    epoch: int
    since: float
    expires: float


class Settling(msgspec.Struct, frozen=True):
    """A lease that was written: when it is read again, and until when it is valid then, by `ticks`."""

    at: float
    until: float


class ProcessIdentity(msgspec.Struct, frozen=True):
    """The identity of a process: `machine` differs between hosts, boots and containers; a pid is unique in it."""

    host: str
    machine: str
    pid: int


def here() -> ProcessIdentity:
    """Return the identity of this process."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    host = socket.gethostname()
    if boot.exists() and namespace.is_symlink():
        return ProcessIdentity(host, f"{boot.read_text().strip()} {os.readlink(namespace)}", os.getpid())  # noqa: PTH115  not a path
    return ProcessIdentity(host, host, os.getpid())


def ticks() -> float:
    """Return seconds of a monotonic clock that also runs while the machine is suspended."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Lease:
    """The right to write to `store`, for `ttl` seconds at a time. `store` is the adapter itself, undecorated."""

    def __init__(
        self,
        store: Store,
        holder: str,
        *,
        ttl: float | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        place: ProcessIdentity | None = None,
        ticks: Callable[[], float] = ticks,
    ) -> None:
        self._store = store
        self._holder = holder
        self._ttl = TTL if ttl is None else ttl
        self._clock = clock
        self._sleep = sleep
        self._place = here() if place is None else place
        self._ticks = ticks
        self._token = ""
        self._held: LeaseState | None = None
        self._until = float("inf")  # by `ticks`; before the first lease, a new store gets its identity
        self._write_until = float("inf")  # until when the lease itself may be written
        self._writing = False  # a write of the lease has begun, and did not end in time
        self._settling: Settling | None = None
        self._is_unsure = False  # the last attempt to take it failed, and may have written it
        self._confirming = asyncio.Lock()
        self._lock: object | None = None
        self.previous = 0
        """The epoch that the lease had when it was taken; 0 if there was none."""

    @property
    def epoch(self) -> int:
        """The epoch of the lease that is held; 0 if none is."""
        return 0 if self._held is None else self._held.epoch

    async def acquire(self) -> int:
        """Take the lease, wait until it has settled, and return its epoch. Raises Busy as `begin`."""
        epoch = await self.begin()
        try:
            await self.settle()
        except BaseException as error:
            self._lock, self._is_unsure = None, isinstance(error, TransientError)
            raise
        return epoch

    async def settle(self) -> None:
        """Wait until no other process can have written the lease at the same time. Raises Busy if one has."""
        async with self._confirming:
            await self._settle()
            if self._held is None:
                self._lose(await self._read())

    async def _settle(self) -> None:
        settling = self._settling
        if settling is None:
            return
        if (wait := settling.at - self._ticks()) > 0:
            await self._sleep(wait)
        found = await self._read()
        self._settling = None
        if found is None or found.token != self._token:
            self._held = None
            raise Busy(self._explain(found))
        self._until = settling.until

    async def begin(self) -> int:
        """Take the lease and return its epoch; changes wait until it has settled.

        Raises Busy with the holder, its start and its end.
        """
        locked = isinstance(self._store, Lockable)
        if not self._is_unsure:  # else its lease may be stored, and be found by this attempt
            self._token = secrets.token_hex(16)
        self._until, self._writing, self._is_unsure = float("-inf"), False, False
        self._settling = None
        if isinstance(self._store, Lockable):
            try:
                self._lock = await self._store.lock()
            except Busy as error:
                raise Busy(self._explain(await self._read())) from error
        try:
            return await self._try_acquire(locked=locked)
        except BaseException as error:
            self._lock, self._is_unsure = None, isinstance(error, TransientError)
            raise

    async def renew_forever(self) -> NoReturn:
        """Renew the lease until cancelled. Raises LeaseLost if another took it, TransientError if the store is away.

        A store that denies access is asked again until the lease ends.
        """
        wait = self._ttl / 3 if self._settling is None else 0.0
        while True:
            await self._sleep(wait)
            wait = self._ttl / 12  # after a failure
            try:
                await self._renew_in_time()
                wait = self._ttl / 3
            except TimeoutError:
                raise Unreachable(message("{lease}: could not be renewed in time", lease=LEASE)) from None
            except (TransientError, Denied) as error:
                if self._held is None or self._clock() >= self._held.expires:
                    if isinstance(error, Denied):
                        # keys that are being renewed: whoever holds the lease then may go on
                        raise Offline(str(error)) from error
                    raise

    async def _renew_in_time(self) -> None:
        if self.is_current():
            try:
                # if the store responds only after the lease has expired, another process may have taken it
                async with asyncio.timeout(max(0.0, self._until - self._ticks())):
                    await self.renew()
                    return
            except (LeaseLapsed, TimeoutError):
                if self._writing:
                    found = await self._read()
                    if found is not None and found.token != self._token:
                        self._lose(found)
                    raise
        async with asyncio.timeout(self._ttl):
            await self.confirm()

    async def renew(self) -> None:
        """Extend the lease by another `ttl`. Raises LeaseLost if another process has taken it."""
        ours = await self._find_ours()
        self._write_until = self._until
        await self._write(msgspec.structs.replace(ours, expires=self._clock() + self._ttl))

    def is_current(self) -> bool:
        """Return True if the lease has certainly not expired; see `syncd.core.Fence`."""
        return self._ticks() < self._until

    def guard(self, path: str) -> None:
        """Raise LeaseLapsed if a change of `path` must not take effect now; see `syncd.core.Guard`."""
        until = self._write_until if path == LEASE else self._until
        if self._ticks() >= until and not path.startswith(UNSEEN):
            raise LeaseLapsed(message("{path}: the lease of this process has expired: it is read again", path=path))

    async def confirm(self) -> None:
        """Read an expired lease, and take it again if no other process did; see `syncd.core.Fence`."""
        async with self._confirming:
            try:
                await self._settle()
            except Busy as error:
                raise LeaseLost(*error.args) from error
            if self.is_current():
                return
            if self._writing:
                self._lose(await self._read())
            await self._find_ours()
            try:
                # under the file lock no other process can take it
                await self._try_acquire(locked=self._lock is not None)
                await self._settle()
            except Busy as error:
                self._held = None
                raise LeaseLost(*error.args) from error

    async def _find_ours(self) -> LeaseState:
        """Return the lease of this process if it is still stored. Raises LeaseLost if another process has taken it."""
        ours, found = self._held, await self._read()
        if ours is None or found is None or found.epoch > ours.epoch:
            self._lose(found)
        if found.epoch == ours.epoch and found.token != self._token:
            self._lose(found)
        return ours  # a lower epoch is a late write of a process that has lost the lease

    def _lose(self, found: LeaseState | None) -> NoReturn:
        self._held, self._until = None, float("-inf")
        if found is not None and found.token == self._token:
            raise LeaseLost(
                message("{path}: was renewed too late: another process may have taken it; start again", path=LEASE)
            )
        raise LeaseLost(message("{lease}: this process lost it: {explain}", lease=LEASE, explain=self._explain(found)))

    def check(self) -> None:
        """Raise Busy if the lease has expired; call it before an irreversible step."""
        if self._held is None or self._clock() >= self._held.expires:
            raise Busy(
                message(
                    "{lease}: the lease of this process has expired; another daemon may use the store now", lease=LEASE
                )
            )

    async def release(self) -> None:
        """Release the lease if it is still held."""
        try:
            found = await self._read()
            if self._held is not None and found is not None and found.token == self._token:
                if self._settling is None:
                    self._write_until = self._until
                # Expired, not deleted: the next holder needs the epoch to increase it.
                await self._write(msgspec.structs.replace(found, expires=0.0))
        finally:
            self._held, self._until = None, float("-inf")
            self._lock = self._settling = None

    async def _try_acquire(self, *, locked: bool) -> int:
        began = self._ticks()
        found = await self._read()
        if found is not None and not self._is_free(found, locked=locked):
            raise Busy(self._explain(found))
        now = self._clock()
        place = self._place
        self.previous = 0 if found is None else found.epoch
        epoch = max(self.previous, self.epoch) + 1
        ours = LeaseState(
            self._holder, place.host, place.machine, place.pid, self._token, epoch, since=now, expires=now + self._ttl
        )
        self._write_until = began + self._ttl
        try:
            until = await self._store_lease(ours, if_absent=found is None)
        except Exists as error:
            raise Busy(self._explain(await self._read())) from error
        self._held = ours
        if locked:
            self._until = until
        else:
            ended = self._ticks()
            self._settling = Settling(ended + max(SETTLE, 2 * (ended - began)), until)
        return epoch

    def _is_free(self, found: LeaseState, *, locked: bool) -> bool:
        if found.expires <= self._clock() or found.token == self._token:
            return True
        if found.machine != self._place.machine:
            return False
        # Under the file lock no other process of this machine can use the store, even if one has the old number.
        return locked or not _is_alive(found.pid)

    async def _read(self) -> LeaseState | None:
        body = bytearray()
        try:
            async with self._store.open(LEASE) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_LEASE:
                        raise Damaged(
                            message(
                                "{lease}: longer than {max_lease} bytes; remove it if no daemon runs",
                                lease=LEASE,
                                max_lease=MAX_LEASE,
                            )
                        )
        except NotFound:
            return None
        try:
            return msgspec.json.decode(body, type=LeaseState)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Damaged(
                message("{lease}: not a valid lease: {cause}; remove it if no daemon runs", lease=LEASE, cause=error)
            ) from error

    async def _write(self, held: LeaseState) -> None:
        self._held, self._until = held, await self._store_lease(held)

    async def _store_lease(self, held: LeaseState, *, if_absent: bool = False) -> float:
        """Write the lease; return when it ends by `ticks`. Raises LeaseLapsed before a write that is too late."""
        began, self._writing = self._ticks(), True
        try:
            await self._store.put(LEASE, msgspec.json.encode(held, enc_hook=plain) + b"\n", if_absent=if_absent)
        except (LeaseLapsed, Denied, KeysRejected):
            self._writing = False  # it was not sent, or changed nothing
            raise
        if self._ticks() >= self._write_until:
            raise LeaseLapsed(message("{path}: was written too late: start again", path=LEASE))
        self._writing = False
        return began + self._ttl

    def _explain(self, found: LeaseState | None) -> str:
        if found is None:
            return message(
                "{lease}: another process uses the store and has not written its name yet; try again", lease=LEASE
            )
        return message(
            "{lease}: {holder} (process {pid} on {host}) has used this store since {since}, "
            "until {until} unless renewed: stop it, or wait until then",
            lease=LEASE,
            holder=found.holder,
            pid=found.pid,
            host=found.host,
            since=rfc3339(found.since),
            until=rfc3339(found.expires),
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and of another user
        return True
    return True
