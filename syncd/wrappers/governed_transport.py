"""Puts a transport under the governors: each request waits for the governor of its origin, which measures it."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TypeVar

from manifests.origins import origin_of
from manifests.stat import Stat
from syncd.core import (
    Body,
    Halted,
    Interrupted,
    Page,
    PermanentError,
    Refused,
    ShowsCertificates,
    Sink,
    TokenOutdated,
    TransientError,
    Transport,
    Unreachable,
    capability,
)
from syncd.streams import BodyWrapper, copy_to_sink, copy_to_sink_in_step, open_request
from syncd.wrappers.base import OpeningWrapper, TransportWrapper
from syncd.wrappers.governor import Governor
from syncd.wrappers.governors import Governors

T = TypeVar("T")
OnAbsence = Callable[[str, str, float | None], None]
"""Called with an origin that is away, the reason, and None; when it is back, with "" and the seconds that it took.

Where it was waited for in vain, the reason is not empty.
"""


def ignore_absence(origin: str, reason: str, seconds: float | None) -> None:
    """Ignore the absence of an origin."""


class GovernedTransport(TransportWrapper):
    """A Transport whose requests wait for the governor of their origin, which measures them."""

    def __init__(
        self,
        inner: Transport,
        governors: Governors,
        root: str,
        *,
        connections: int | None = None,
        rate: float | None = None,
        is_side: bool = False,
        clock: Callable[[], float] = time.monotonic,
        holds: bool = True,
        on_absence: OnAbsence = ignore_absence,
    ) -> None:
        """`root` is the url of the source, to whose origin relative paths belong; `is_side`: see `Governors.side`.

        With `holds`, requests wait for an origin that has answered before and is away now; `on_absence` is called.
        """
        super().__init__(inner)
        self._holds = holds
        self._on_absence = on_absence
        self._missing: set[str] = set()
        self._known: set[str] = set()
        self._governors = governors
        self._clock = clock
        self._is_side = is_side
        self.governor = governors.of(origin_of(root), connections=connections, rate=rate)
        if is_side:
            self.governor = governors.side(origin_of(root))
        self.governor.holders += 1
        self._is_open = True
        shown = capability(inner, ShowsCertificates)
        self._certificates = shown.certificates if shown is not None else {}
        governors.watch(self._certificates)

    def list(self, prefix: str = "") -> AsyncIterator[Stat]:
        """List with one slot, held until the listing ends."""
        return self._with_slot(self.inner.list(prefix))

    def list_pages(self, prefix: str = "", after: str = "") -> AsyncIterator[Page]:
        """As `list`, in pages."""
        return self._with_slot(self.inner.list_pages(prefix, after))

    async def stat(self, path: str) -> Stat:
        """Return a Stat, with a slot."""
        governor = self._governor(path)
        await self.enter(governor)
        began = self._clock()
        try:
            found = await self.inner.stat(path)
            self.answered(governor, self._clock() - began)
        except TransientError as error:
            self.failed(governor, error, path)
            raise
        except PermanentError:
            self.refused(governor)
            raise
        except BaseException:
            governor.absence.gave_up()
            raise
        finally:
            governor.leave()
        return found

    def open(
        self, path: str, *, start: int = 0, stop: int | None = None, version: str | None = None
    ) -> AbstractAsyncContextManager[Body]:
        """Open with a slot, held until the block ends."""
        return _GovernedOpening(
            self,
            self.inner.open(path, start=start, stop=stop, version=version),
            self._governor(path),
            self._clock,
            path,
        )

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AbstractAsyncContextManager[Body]:
        """Send a request with a slot, held until the block ends."""
        return _GovernedOpening(
            self, open_request(self.inner, method, url, headers or {}, body), self._governor(url), self._clock, url
        )

    async def aclose(self) -> None:
        """Close the inner transport."""
        self._governors.unwatch(self._certificates)
        if self._is_open:
            self._is_open = False
            self.governor.holders -= 1
        await self.inner.aclose()

    def _governor(self, path: str) -> Governor:
        if "://" not in path:
            return self.governor
        try:
            return self._governors.side(origin_of(path)) if self._is_side else self._governors.of(origin_of(path))
        except ValueError:
            return self.governor  # an invalid url from a document: the transport will refuse it

    # -- what the bodies report ---------------------------------------------------------------------------------------

    async def enter(self, governor: Governor) -> None:
        """Wait for a slot, and before for the origin if it is away. Raises Unreachable if that takes too long."""
        try:
            await governor.enter()
        except Unreachable:
            self._is_back(governor.origin, governor.absence.seconds, answers=False)
            raise

    def answered(self, governor: Governor, seconds: float) -> None:
        """Record that upstream began to respond."""
        self._known.add(governor.origin)
        if self._missing:
            self._is_back(governor.origin, governor.absence.seconds, answers=True)
        governor.answered(seconds)

    def refused(self, governor: Governor) -> None:
        """Record an answer that the same request would get again."""
        governor.count.failed += 1
        if self._missing:
            self._is_back(governor.origin, governor.absence.seconds, answers=True)
        governor.absence.answered()

    def failed(self, governor: Governor, error: TransientError, path: str = "") -> None:
        """Record a failure; mark it as held if the origin is away, and waited for."""
        absence, origin = governor.absence, governor.origin
        is_silent = isinstance(error, Unreachable) and error.is_silent
        if not is_silent:
            _report_failure(governor, error)
            if isinstance(error, TokenOutdated | Interrupted | Halted):
                absence.gave_up()
                return
            if not error.is_of_gateway:
                absence.answered()
                return
        else:
            governor.count.failed += 1
        is_known = origin in self._known
        if not self._holds or not (
            absence.lost(is_known=is_known) if is_silent else absence.refused(path, is_known=is_known)
        ):
            error.is_final = error.is_final or (self._holds and absence.is_over)
            return
        error.is_held = True
        if origin not in self._missing:
            self._missing.add(origin)
            self._on_absence(origin, str(error), None)

    def _is_back(self, origin: str, seconds: float, *, answers: bool) -> None:
        if origin in self._missing:
            self._missing.remove(origin)
            self._on_absence(origin, "" if answers else "in vain", seconds)

    async def _with_slot(self, listing: AsyncIterator[T]) -> AsyncIterator[T]:
        await self.enter(self.governor)
        try:
            async for found in listing:
                yield found
        except TransientError as error:
            self.failed(self.governor, error)
            raise
        except BaseException:
            self.governor.absence.gave_up()
            raise
        finally:
            self.governor.leave()


class _GovernedOpening(OpeningWrapper[Body]):
    """One open body and the slot it holds."""

    __slots__ = ("_clock", "_governor", "_path", "_transport")

    def __init__(
        self,
        transport: GovernedTransport,
        inner: AbstractAsyncContextManager[Body],
        governor: Governor,
        clock: Callable[[], float],
        path: str,
    ) -> None:
        super().__init__(inner)
        self._path = path
        self._transport = transport
        self._governor = governor
        self._clock = clock

    async def __aenter__(self) -> Body:
        governor, transport = self._governor, self._transport
        if not governor.enter_now():
            await transport.enter(governor)
        began = self._clock()
        try:
            body = await self.inner.__aenter__()
        except TransientError as error:
            governor.leave()
            transport.failed(governor, error, self._path)
            raise
        except PermanentError:
            governor.leave()
            transport.refused(governor)
            raise
        except BaseException:
            governor.leave()
            governor.absence.gave_up()
            raise
        transport.answered(governor, self._clock() - began)
        return _MeteredBody(body, governor)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self.inner.__aexit__(kind, error, trace)
        finally:
            self._governor.leave()


class _MeteredBody(BodyWrapper):
    """A Body that counts its bytes and limits their rate."""

    __slots__ = ("_body", "_governor")

    def __init__(self, body: Body, governor: Governor) -> None:
        self._body = body
        self._governor = governor
        self.claim_as(body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        moved = self._governor.moved
        try:
            async for chunk in self._body:
                if owed := moved(len(chunk)):
                    await asyncio.sleep(owed)
                yield chunk
        except TransientError as error:
            _report_failure(self._governor, error)
            raise

    async def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """Iterate, with the bytes passed to `sink`; under a rate limit, no thread may run ahead."""
        moved = self._governor.moved
        flow = copy_to_sink_in_step if self._governor.is_rated else copy_to_sink
        try:
            async for count in flow(self._body, sink):
                if owed := moved(count):
                    await asyncio.sleep(owed)
                yield count
        except TransientError as error:
            _report_failure(self._governor, error)
            raise


def _report_failure(governor: Governor, error: TransientError) -> None:
    if isinstance(error, TokenOutdated):
        return  # no request was sent
    if isinstance(error, Refused) or error.retry_after is not None:
        governor.refused(error.retry_after)
    else:
        governor.count.failed += 1
