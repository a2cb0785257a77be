"""Keeps the secret of one credential current, for all mirrors that use it.

Rules:
1. A secret that a server rejects is read again from its file, once for all requests that wait. Another program may be
   about to write the file: it is read for GRACE seconds before the credential is given up.
2. A credential that is given up is not sent again until its secret changes or another pass begins: servers lock
   accounts after several attempts, and the answer would be the same.
3. Nothing here is awaited while a slot of a governor is held (`syncd.sources.credentialed_transport`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from manifests.messages import message
from manifests.origins import origin_of
from syncd.core import ConfigError, Credential, CredentialExpired

GRACE = 5.0  # seconds in which a rejected secret may still be replaced
PLACES = ("scheme", "origin", "also", "at")  # of a Credential: where it is sent
READ_EVERY = 0.5  # seconds between two readings meanwhile

Reread = Callable[[], Credential]
"""Reads a credential again. Blocks. Raises ConfigError."""


class CredentialKeeper:
    """One credential with its current secret; `generation` grows with each new secret or token."""

    def __init__(
        self,
        credential: Credential,
        reread: Reread | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`reread` reads the credential from its files; None if it never changes."""
        self.credential = credential
        self.generation = 0
        self.origins = frozenset(_one_form(origin) for origin in (credential.origin, *credential.also))
        self._reread = reread
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._expired = ""

    def is_for(self, credential: Credential) -> bool:
        """Return True if a credential differs at most in its secrets: it is sent to the same origins."""
        return all(getattr(self.credential, name) == getattr(credential, name) for name in PLACES)

    def begin_pass(self, credential: Credential) -> None:
        """Take the secret that was read for a new pass, and allow requests again."""
        self._expired = ""
        if credential != self.credential:
            self.credential = credential
            self.generation += 1

    def check(self) -> None:
        """Raise CredentialExpired if the credential was given up."""
        if self._expired:
            raise CredentialExpired(self._expired, origins=self.origins)

    async def ready(self) -> None:
        """Wait until requests may be sent. Raises CredentialExpired, Unreachable."""
        self.check()

    def accepted(self, generation: int) -> None:
        """Record that a server accepted the secret of `generation`."""

    async def renew(self, seen: int) -> bool:
        """Read the secret again after a rejection; return True if it is another than that of generation `seen`."""
        async with self._turn:
            if self.generation != seen:
                return True
            return await self._read_again()

    async def give_up(self, seen: int, reason: str) -> bool:
        """Wait for another secret than that of `seen`; return False if there is none, and give up the credential."""
        async with self._turn:
            ends = self._clock() + GRACE
            while not self._expired and self.generation == seen:
                if self._reread is None or self._clock() >= ends:
                    self._give_up(reason)
                    break
                await self._sleep(READ_EVERY)
                await self._read_again()
            return self.generation != seen

    def _give_up(self, reason: str) -> None:
        self._expired = message(
            "credentials.{name}: is no longer accepted, and its secret has not changed: renew it; "
            "nothing that needs it is requested before the next pass ({reason})",
            name=self.credential.name,
            reason=reason,
        )

    async def _read_again(self) -> bool:
        """Read the secret; return True if it has changed. A file that cannot be read has not."""
        if self._reread is None:
            return False
        try:
            found = await asyncio.to_thread(self._reread)
        except ConfigError:  # it is being written
            return False
        if found == self.credential:
            return False
        self.credential = found
        self.generation += 1
        return True


def _one_form(origin: str) -> str:
    """Return an origin of the configuration in its canonical form; an invalid one is returned as it is."""
    try:
        return origin_of(origin)
    except ValueError:
        return origin
