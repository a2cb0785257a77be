"""Serves the public side: one listener, bounded in connections, headers and time; it only reads.

Rules:
1. No answer depends on the Host header.
2. What fails is answered: 503 while store or Catalogue is away, 500 for a bug, which is reported.
3. A request is counted against the limits of its address prefix before anything is looked up.
"""

import asyncio
import ipaddress
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from aiohttp import web

from manifests.messages import message
from syncd.api import IDLE, server_log
from syncd.config import FaceTlsSettings, Token
from syncd.core import ConfigError, Damaged, PermanentError, TransientError
from syncd.face.access_routes import takes_access_form
from syncd.face.answers import EVERY, WITHOUT_CORS, Reject, error_response, options
from syncd.face.asked import Asked, Served, split_path
from syncd.face.client_address import client_address
from syncd.face.connections import PublicConnections
from syncd.face.context import FaceContext
from syncd.face.harvest_routes import takes_form
from syncd.face.pacing import PrefixLimits, prefix_of
from syncd.face.public_mirrors import Unavailable
from syncd.face.routes import answer
from syncd.face.s3_front import s3_error

LINES = 8_190  # bytes of a request's line and of each header
GRACE = 2.0  # seconds in which running answers may end
BACKLOG = 512
TLS_EVERY = 30.0  # seconds between two looks at the files of the certificate
RETRY = "15"  # seconds after which a client asks again

OnBug = Callable[[str, BaseException], None]


class RunningFace(msgspec.Struct, frozen=True):
    """The running public side."""

    url: str
    """The address of its own listener."""
    replace_tokens: Callable[[Iterable[Token]], None] = lambda _: None
    """Call it, in any thread, when the tokens in the configuration have changed."""


class FaceServer:
    """Answers the requests of strangers."""

    def __init__(self, context: FaceContext, on_bug: OnBug, connections: PublicConnections) -> None:
        """`on_bug` is called with the path of a request that met a bug, and the exception."""
        self._context, self._on_bug, self._connections = context, on_bug, connections
        limits = context.settings.limits
        self._limits = PrefixLimits(limits.requests, limits.connections)
        self._proxies = tuple(ipaddress.ip_network(one) for one in context.settings.proxies)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        began = time.monotonic()
        self._connections.asked(request.protocol)
        asked = Asked(request, (), client_address(request, self._proxies))
        with self._connections.busy(request.protocol):
            try:
                response = await self._limited(asked)
            except ConnectionError:  # the client has left; its connection is closed
                response = web.Response(status=499)
            except BaseException:
                self._report(asked, web.Response(status=499), time.monotonic() - began)
                raise
            if not response.prepared:
                for name, value in (EVERY if asked.is_open else WITHOUT_CORS).items():
                    response.headers.setdefault(name, value)
            self._report(asked, response, time.monotonic() - began)
            return response

    async def _limited(self, asked: Asked) -> web.StreamResponse:
        prefix = prefix_of(asked.address)
        wait = self._limits.wait_for(prefix)
        if wait or not self._limits.enter(prefix):
            error = Reject(429, Retry_After=str(max(1, int(wait + 0.999))))
            return error_response(error, as_page=_is_browser(asked.request))
        try:
            return await self._answered(asked)
        finally:
            self._limits.leave(prefix)

    async def _answered(self, asked: Asked) -> web.StreamResponse:
        request = asked.request
        try:
            if request.method == "OPTIONS":
                return options()
            asked.parts = split_path(request.rel_url.raw_path)
            if request.method not in {"GET", "HEAD"} and not (request.method == "POST" and _takes_form(asked.parts)):
                raise Reject(405, Allow="GET, HEAD, OPTIONS")
            await self._context.callers.identify(asked)
            await self._context.mirrors.check()
            return await answer(self._context, asked)
        except Reject as error:
            if asked.door == "s3":
                return s3_error(error)
            return error_response(error, as_page=_is_browser(request))
        except (TransientError, PermanentError) as error:
            if isinstance(error, Damaged) or not isinstance(error, Unavailable):
                self._on_bug(asked.path, error)
            return error_response(Reject(503, Retry_After=RETRY), as_page=_is_browser(request))
        except ConnectionError:
            raise
        except BaseException as error:  # a bug: the server answers 500
            if isinstance(error, Exception):
                self._on_bug(request.rel_url.raw_path[:200], error)
            raise

    def _report(self, asked: Asked, response: web.StreamResponse, seconds: float) -> None:
        request = asked.request
        sent = asked.sent
        status = response.status
        if not response.prepared and (request.transport is None or request.transport.is_closing()):
            sent, status = (sent if status == 499 else 0), 499  # the client has left before it was written
        elif not sent and isinstance(response, web.Response) and request.method != "HEAD" and not asked.ticket:
            sent = response.content_length or 0
        self._context.on_served(
            Served(
                at=self._context.now(),
                method=request.method,
                door=asked.door,
                status=status,
                sent=sent,
                seconds=seconds,
                address=asked.address,
                agent=request.headers.get("User-Agent", ""),
                referrer=request.headers.get("Referer", ""),
                partner=asked.caller.name,
                mirror=asked.mirror,
                snapshot=asked.snapshot,
                path=asked.path,
                size=asked.size,
                start=asked.range[0],
                stop=asked.range[1],
                target=request.rel_url.raw_path,
                ticket=asked.ticket,
            )
        )


@asynccontextmanager
async def serving_face(
    context: FaceContext, on_bug: OnBug, *, listen: str | None = None, most: int | None = None
) -> AsyncIterator[RunningFace]:
    """Serve within the block; `listen` may name port 0. Raises ConfigError if the address is not available."""
    settings = context.settings
    connections = PublicConnections(most)
    server = FaceServer(context, on_bug, connections)
    low = web.Server(
        server.handle, access_log=None, max_line_size=LINES, max_field_size=LINES, keepalive_timeout=IDLE,
        logger=server_log(),
    )  # fmt: skip
    tls = await asyncio.to_thread(tls_context, settings.tls) if settings.tls is not None else None
    address = listen or settings.listen
    host, _, port = address.rpartition(":")
    try:
        listener = await asyncio.get_running_loop().create_server(
            connections.protocols(low), host.strip("[]"), int(port), backlog=BACKLOG, ssl=tls
        )
    except OSError as error:
        raise ConfigError(
            message(
                "serve.listen: {listen}: cannot listen on this address: {cause}: stop the program that "
                "uses it, or write another address",
                listen=address,
                cause=os.strerror(error.errno) if error.errno else error,
            )
        ) from error
    try:
        async with asyncio.TaskGroup() as group:
            keeper = None
            if tls is not None and settings.tls is not None:
                keeper = group.create_task(_reload_tls(tls, settings.tls, on_bug))
            bound = listener.sockets[0].getsockname()
            shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            try:
                yield RunningFace(f"{'https' if tls else 'http'}://{shown}:{bound[1]}")
            finally:
                if keeper is not None:
                    keeper.cancel()
    finally:
        listener.close()
        low.pre_shutdown()
        await low.shutdown(GRACE)


def tls_context(settings: FaceTlsSettings) -> ssl.SSLContext:
    """Return the TLS context of the listener. Raises ConfigError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(settings.cert, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            message(
                "serve.tls: {cert} and {key}: cannot be used: {cause}: give a certificate chain and its key, in PEM",
                cert=settings.cert,
                key=settings.key,
                cause=error,
            )
        ) from error
    return made


async def _reload_tls(tls: ssl.SSLContext, settings: FaceTlsSettings, on_bug: OnBug) -> None:
    """Load the certificate again when its files change; connections that are open keep the old one."""
    known = await asyncio.to_thread(_times, settings)
    while True:
        await asyncio.sleep(TLS_EVERY)
        found = await asyncio.to_thread(_times, settings)
        if found == known or None in found:
            continue
        try:
            await asyncio.to_thread(tls_context, settings)  # both files are there, and fit
            await asyncio.to_thread(tls.load_cert_chain, settings.cert, settings.key)
        except (ConfigError, OSError, ssl.SSLError) as error:
            on_bug("serve.tls", error)  # half written: the next look finds it whole
        else:
            known = found


def _times(settings: FaceTlsSettings) -> tuple[int | None, ...]:
    return tuple(_time(path) for path in (settings.cert, settings.key))


def _time(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return None


def _takes_form(parts: tuple[str, ...]) -> bool:
    return takes_form(parts) or takes_access_form(parts)


def _is_browser(request: web.BaseRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "")
