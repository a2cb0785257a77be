"""Sends requests that need a credential, and repeats those that a renewed one makes good.

It is outside of the governor (`syncd.wrappers.stack`), so a request that waits for a token or a secret holds no slot.
Rules:
1. A request that finds no valid token gives its slot back, waits for the token, and asks for a slot again.
2. After a rejection, the secret is read again, or another token requested, once for all; then the requests are sent
   again.
3. If there is no other secret, the reason may be the credential or the file. A file that the credential opened before
   decides: if that is rejected too, the credential is given up. Else the file has access control of its own, and for
   DOUBTFUL_FOR seconds this is asked first.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import TypeVar

from manifests.messages import message
from manifests.stat import Stat
from syncd.core import (
    Body,
    Credential,
    CredentialRefused,
    Page,
    PermanentError,
    TokenOutdated,
    TransientError,
    Transport,
)
from syncd.sources.credential_keeper import CredentialKeeper
from syncd.streams import open_request
from syncd.wrappers import TransportWrapper

RENEWALS = 5  # of one request
DOUBTFUL_FOR = 60.0  # seconds
UNKNOWN = 8  # rejections in a row that suffice if the credential has never opened a file

T = TypeVar("T")
_decides: ContextVar[bool] = ContextVar("decides", default=False)  # True within the request that decides


class RenewableAdapter(TransportWrapper):
    """An adapter that is opened again when its credential changes; requests under way keep the former one.

    It is inside of the governor, so it notes which secret a request was sent with. While a rejection `is_decided`, the
    requests that get a slot give it back, and wait.
    """

    def __init__(self, make: Callable[[Credential], Transport], keeper: CredentialKeeper) -> None:
        self._make = make
        self._keeper = keeper
        self._made_for = keeper.credential
        self._former: list[Transport] = []
        self.is_decided = False
        super().__init__(make(keeper.credential))

    def use_current(self) -> None:
        """Open the adapter again if the credential has changed."""
        credential = self._keeper.credential
        if credential != self._made_for:
            self._former.append(self.inner)
            self.inner, self._made_for = self._make(credential), credential

    async def stat(self, path: str) -> Stat:
        """Return a Stat."""
        return await self.send(lambda: self.inner.stat(path))

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Open a body, with the secret that is current when its slot is free."""
        return _LateOpening(lambda: self.inner.open(path, start=start, stop=stop, version=version), self)

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Send a request, as `open` does."""
        return _LateOpening(lambda: open_request(self.inner, method, url, headers or {}, body), self)

    async def send(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what a request returns, and note its secret. Raises TokenOutdated if it has to wait."""
        keeper = self._keeper
        if self.is_decided and not _decides.get():
            raise TokenOutdated(message("credentials.{name}: is read again", name=keeper.credential.name))
        seen = keeper.generation
        try:
            found = await call()
        except CredentialRefused as error:
            error.generation = seen
            raise
        keeper.accepted(seen)
        return found

    async def aclose(self) -> None:
        """Close the adapter and the former ones."""
        former, self._former = self._former, []
        for transport in former:
            await transport.aclose()
        await self.inner.aclose()


class CredentialedTransport(TransportWrapper):
    """A Transport whose requests are repeated when their credential was renewed."""

    def __init__(
        self,
        inner: Transport,
        keeper: CredentialKeeper,
        root: str,
        adapter: RenewableAdapter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`root` is the url of relative paths; `adapter` is the innermost of `inner`."""
        super().__init__(inner)
        self._keeper = keeper
        self._adapter = adapter
        self._is_root_ours = root.startswith((*keeper.origins, "s3:"))
        self._prefixes = tuple(f"{origin}/" for origin in keeper.origins)
        self._opened: str | None = None  # a path that the credential opened
        self._clock = clock
        self._in_row = 0  # rejections
        self._doubtful_until = float("-inf")
        self._decides_at = 1
        self._deciding = asyncio.Lock()

    async def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List; see `list_pages`."""
        async for page in self.list_pages(prefix):
            for stat in page:
                yield stat

    async def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """List in pages; a listing that has not begun is repeated with the renewed credential."""
        pages: AsyncIterator[Page] | None = None

        async def begin() -> Page | None:
            nonlocal pages
            pages = self.inner.list_pages(prefix, after)
            return await anext(pages, None)

        first = await self._send("", begin)
        if first is None or pages is None:
            return
        yield first
        async for page in pages:
            yield page

    async def stat(self, path: str) -> Stat:
        """Return a Stat."""
        return await self._send(path, lambda: self.inner.stat(path))

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Open a body."""
        return _CredentialedOpening(
            self, path, lambda: self.inner.open(path, start=start, stop=stop, version=version), is_file=True
        )

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Send a request."""
        return _CredentialedOpening(
            self, url, lambda: open_request(self.inner, method, url, headers or {}, body), is_file=method == "GET"
        )

    async def _send(self, path: str, call: Callable[[], Awaitable[T]], *, is_file: bool = False) -> T:
        keeper, tries = self._keeper, 0
        is_ours = path.startswith(self._prefixes) if "://" in path else self._is_root_ours
        while True:
            if is_ours:
                keeper.check()
            self._adapter.use_current()
            seen = keeper.generation
            try:
                found = await call()
            except TokenOutdated:
                async with self._deciding:
                    await keeper.ready()
            except CredentialRefused as error:
                tries += 1
                seen = seen if error.generation is None else error.generation
                if tries > RENEWALS or not await self._is_renewed(error, seen):
                    raise
            else:
                if is_ours:
                    self._in_row, self._decides_at = 0, 1
                    if is_file:
                        self._opened = path
                return found

    async def _is_renewed(self, error: CredentialRefused, seen: int) -> bool:
        """Return True if the request may be repeated. Raises CredentialExpired if the credential is given up."""
        keeper, adapter = self._keeper, self._adapter
        async with self._deciding:
            if keeper.generation != seen:
                return True
            keeper.check()
            self._in_row += 1
            if not error.is_sure and self._clock() < self._doubtful_until:
                return await self._is_credential_rejected() is not False and await self._renew(error, seen)
            adapter.is_decided = True
            try:
                return await self._renew(error, seen)
            finally:
                adapter.is_decided = False

    async def _renew(self, error: CredentialRefused, seen: int) -> bool:
        keeper = self._keeper
        if await keeper.renew(seen):
            return True
        is_rejected = True if error.is_sure else await self._is_credential_rejected()
        if is_rejected is False or (is_rejected is None and self._in_row < UNKNOWN):
            return False
        is_renewed = await keeper.give_up(seen, str(error))
        keeper.check()
        return is_renewed

    async def _is_credential_rejected(self) -> bool | None:
        """Ask for a file that the credential opened before: True if it is rejected now; None if there is none."""
        if self._opened is None:
            return None
        if self._in_row < self._decides_at:
            return False
        self._decides_at *= 2
        token = _decides.set(True)
        try:
            async with self.inner.open(self._opened, stop=1):
                pass
        except (CredentialRefused, TokenOutdated):
            return True
        except (PermanentError, TransientError):
            pass
        finally:
            _decides.reset(token)
        self._doubtful_until = self._clock() + DOUBTFUL_FOR
        return False


class _LateOpening:
    """One body, whose opening is made when it is entered."""

    __slots__ = ("_adapter", "_make", "_opening")

    def __init__(
        self, make: Callable[[], AbstractAsyncContextManager[Body]], adapter: RenewableAdapter | None = None
    ) -> None:
        self._make = make
        self._adapter = adapter
        self._opening: AbstractAsyncContextManager[Body] | None = None

    async def __aenter__(self) -> Body:
        opening = self._opening = self._make()
        return await (self._adapter.send(opening.__aenter__) if self._adapter is not None else opening.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._opening is not None
        return await self._opening.__aexit__(kind, error, trace)


class _CredentialedOpening(_LateOpening):
    """One body, whose request may be repeated before it is open."""

    __slots__ = ("_is_file", "_path", "_transport")

    def __init__(
        self,
        transport: CredentialedTransport,
        path: str,
        make: Callable[[], AbstractAsyncContextManager[Body]],
        *,
        is_file: bool,
    ) -> None:
        super().__init__(make)
        self._transport = transport
        self._path = path
        self._is_file = is_file

    async def __aenter__(self) -> Body:
        return await self._transport._send(self._path, super().__aenter__, is_file=self._is_file)  # noqa: SLF001  one class in two
