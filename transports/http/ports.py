"""The interface of an HTTP client: one request, one answer. `open_client` chooses the implementation."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from syncd.core import Sink
from transports.http.request_body import RequestBody


@dataclass(frozen=True, slots=True)
class StallLimit:
    """The least progress of a body: `rate` bytes per second over any `window` seconds spent waiting for it."""

    rate: float = 1024.0
    window: float = 60.0


class HttpAnswer(Protocol):
    """One answer: `read` until it returns nothing, then `finish`, and `close` in any case.

    `headers` have lower-case names; the values of repeated ones are joined by commas. `length` is the announced length
    of the body, None if there is none. `received` counts the bytes of the body.
    """

    status: int
    headers: dict[str, str]
    length: int | None
    received: int

    async def read(self) -> bytes:
        """Return the bytes of the body that have arrived, or wait for some; empty at the end. Raises Interrupted."""
        ...

    def copy_to_sink(self, sink: Sink) -> AsyncGenerator[int, None]:
        """Pass the body to `sink` in a thread; yield the number of bytes after each step."""
        ...

    def is_at_end(self) -> bool:
        """Return True if every byte of the body was read."""
        ...

    def finish(self) -> None:
        """Raise Interrupted if a body that was read to its end was cut short, or if more bytes followed it."""
        ...

    async def drain_and_close(self) -> None:
        """Close an answer whose body is not needed. A short rest is read first so that its connection can be reused."""
        ...

    def close(self) -> None:
        """Return the connection to the pool if the answer is complete, else close it. May be called twice."""
        ...

    def discard_connection(self) -> None:
        """Have the connection closed instead of reused: its answer was not valid."""
        ...


class HttpClient(Protocol):
    """The connections of one transport."""

    certificates: dict[str, float]
    """The expiry of the certificate that each origin presented last, in seconds since the epoch."""

    async def ask(
        self,
        origin: str,
        request: bytes,
        *,
        label: str,
        bodiless: bool = False,
        body: RequestBody = b"",
        guard: Callable[[], None] | None = None,
    ) -> HttpAnswer:
        """Send a request and return its answer when its head has arrived; the caller closes it.

        `request` is the head of the request, `body` follows it. `label` begins every message. `bodiless` is True for an
        answer without a body (HEAD). A request that meets a dead pooled connection is sent again on another, unless it
        is a POST, which may have been processed. `guard` is called before the head and before the last bytes of
        the body; if it raises, the server never has the whole request. Raises Unreachable, Refused, Denied (TLS),
        Unsafe (address), Unsupported.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection. May be called twice."""
        ...
