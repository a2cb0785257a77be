"""Composes `syncd run`: the daemon, its log, its metrics and its HTTP server."""

import asyncio
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from manifests.messages import message
from syncd.config import Config
from syncd.control import Control
from syncd.core import ConfigError, Secrets, SyncdError
from syncd.daemon import daemon
from syncd.daemon.api_thread import api_thread
from syncd.daemon.daemon_deps import DaemonDeps
from syncd.daemon.face_thread import face_thread, serving_face
from syncd.daemon.reloader import LOOK, file_mark
from syncd.metrics import Metrics
from syncd.process import DONE, Interruptible, event_logger, open_log, style_of
from syncd.usage import read_totals
from syncd.web import StatusPage

QUIET = 60.0  # seconds between two lines about the same trouble of the public side
DESCRIPTORS = 65_536  # limit of open files to request; 256 connections and 96 folders need only a few of them


async def run(
    config: Config,
    load: Callable[[], Config],
    watched: Path | None,
    environ: Mapping[str, str],
    *,
    json: bool,
    secrets: Secrets,
    stopping: asyncio.Event,
) -> int:
    """Run the daemon until SIGTERM or SIGINT; returns the exit code."""
    log = _log(config, environ, secrets, json=json)
    if watched is not None:
        log.info("configuration", file=str(watched))
    _raise_limit()
    site = await asyncio.to_thread(StatusPage.load)
    metrics, reload = Metrics(version("syncd")), asyncio.Event()

    @asynccontextmanager
    async def door(control: Control, config: Config) -> AsyncIterator[Callable[[Config], None]]:
        metrics.watch(control=control, served=partial(read_totals, config.state))
        async with (
            api_thread(control, config, metrics.exposition, site, environ) as served,
            face_thread(config, environ, _face_reporter(log)) as face,
        ):
            log.info("serving", url=served.url)
            if face is not None and config.serve is not None:
                log.info("sharing", url=face.url, address=config.serve.url)

            def on_config(changed: Config) -> None:
                served.on_config(changed)
                if face is not None:
                    face.replace_tokens(changed.tokens)

            yield on_config

    deps = DaemonDeps(
        environ=environ,
        load=load,
        watched=watched,
        http=door,
        listeners=(event_logger(log), metrics.listener),
        crashed=lambda name, error: log.error("bug", mirror=name, exc_info=error),
        meter=metrics.meter,
        opened=lambda session: metrics.watch(governors=session.governors, credentials=session.expiries),
        secrets=secrets,
        stopping=stopping,
        reload=reload,
    )
    with Interruptible(stopping, config.grace), _on_sighup(reload):
        async with asyncio.TaskGroup() as group:
            lag = group.create_task(metrics.watch_loop())
            try:
                await daemon.run(deps)
            finally:
                lag.cancel()
    log.info("stopped")
    return DONE


async def run_face(
    config: Config,
    load: Callable[[], Config],
    watched: Path | None,
    environ: Mapping[str, str],
    *,
    json: bool,
    secrets: Secrets,
    stopping: asyncio.Event,
) -> int:
    """Serve the published mirrors until SIGTERM or SIGINT; returns the exit code. Raises ConfigError."""
    if config.serve is None:
        raise ConfigError(
            message("there is no `serve` in syncd.yaml: write listen, url, name and publisher below it; see the docs")
        )
    log = _log(config, environ, secrets, json=json)
    _raise_limit()
    with Interruptible(stopping, config.grace):
        async with serving_face(config, environ, _face_reporter(log)) as face:
            log.info("sharing", url=face.url, address=config.serve.url)
            mark = await asyncio.to_thread(file_mark, watched)
            while not stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), LOOK)
                found = await asyncio.to_thread(file_mark, watched)
                if found not in {None, mark}:  # a token may have been revoked
                    mark = found
                    try:
                        face.replace_tokens((await asyncio.to_thread(load)).tokens)
                    except ConfigError as error:
                        log.warning("tokens_not_read", reason=str(error))
    log.info("stopped")
    return DONE


def _face_reporter(log: FilteringBoundLogger) -> Callable[[str, BaseException], None]:
    """Return what logs the troubles of the public side: expected ones as a line, at most one a minute, bugs in full."""
    told: dict[str, float] = {}

    def report(path: str, error: BaseException) -> None:
        if not isinstance(error, SyncdError):
            log.error("bug", path=path, exc_info=error)
            return
        text, now = str(error), time.monotonic()
        if now - told.get(text, -QUIET) >= QUIET:
            told.clear()
            told[text] = now
            log.warning("serving_failed", path=path, reason=text)

    return report


def _log(config: Config, environ: Mapping[str, str], secrets: Secrets, *, json: bool) -> FilteringBoundLogger:
    style = style_of(sys.stderr, environ)
    wanted = config.log.format
    as_json = json or wanted == "json" or (wanted == "auto" and style != "console")
    return open_log(
        sys.stderr,
        json=as_json,
        level=config.log.level,
        secrets=secrets,
        journal=as_json and not json and style == "journal",
    )


def _raise_limit() -> None:
    """Raise the limit of open files to DESCRIPTORS, or to the hard limit if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _on_sighup(reload: asyncio.Event) -> Iterator[None]:
    """Set `reload` on SIGHUP until the block ends."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
