"""Opens what a command or the daemon works with: configuration, Catalogue, store and lease."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from manifests.messages import message
from syncd.catalogue import Catalogue, interrupted_mirrors, state_error
from syncd.config import Config, network_plan
from syncd.core import (
    Damaged,
    Guardable,
    Listener,
    Offline,
    PermanentError,
    Secrets,
    ShowsCertificates,
    TransientError,
    capability,
    redacting,
)
from syncd.engine import use_recorded_modes
from syncd.session.plugins import open_store
from syncd.session.session import VERSION, Session
from syncd.stores import Lease
from syncd.wrappers import Governors, Meter, stack_store

HASHERS = 4  # threads that hash: sha256 releases the interpreter lock, so they use other processors

LeaseMode = Literal["none", "held", "later"]
"""Whether a session takes the store's lease: never, while it is open, or later, in `Session.hold_lease`."""


@asynccontextmanager
async def open_session(
    config: Config,
    environ: Mapping[str, str],
    listener: Listener,
    *,
    lease: LeaseMode,
    stopping: asyncio.Event,
    secrets: Secrets | None = None,
    meter: Meter | None = None,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Session]:
    """Open state folder and store, and with `lease` "held" the lease; close everything in reverse order.

    With "later" the store is not contacted: the daemon waits for it, and takes the lease by `Session.hold_lease`.
    With "none" the Catalogue is only read, beside a daemon that uses it; an interrupted publish is finished before,
    unless another process works with the store. `meter` counts and times the operations of the store. Secrets in
    `secrets` are removed from the events that `listener` receives.

    Raises Busy (another daemon), Offline (not the expected store), Denied, Damaged, NoSpace.
    """
    secrets = secrets if secrets is not None else Secrets()
    if lease == "none":
        await _roll_forward_first(config, environ, listener, stopping, secrets)
    listener = redacting(listener, secrets)
    settings = config.store
    async with AsyncExitStack() as stack:
        catalogue = stack.enter_context(_open_catalogue(config, lease))
        if not catalogue.read_only:
            catalogue.held.least = max(1, config.reuse.min_size) if config.reuse.enabled else None
        if not catalogue.read_only:
            for left in config.state.glob("spool-*"):  # left by a killed process
                await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
        spool = config.state  # a session that only reads writes nothing there
        if not catalogue.read_only:
            spool = Path(stack.enter_context(_spool_folder(config.state)))
        plan = await asyncio.to_thread(network_plan, config.network, environ)
        for username, password in plan.secrets():
            secrets.learn_credential(username, password)
        adapter = open_store(settings, keep_free=config.budget.keep_free, network=plan)
        stack.push_async_callback(adapter.aclose)
        hashing = ThreadPoolExecutor(HASHERS, thread_name_prefix="hash")
        stack.callback(hashing.shutdown, wait=True, cancel_futures=True)
        reading = ThreadPoolExecutor(1, thread_name_prefix="read")
        stack.callback(reading.shutdown, wait=True, cancel_futures=True)
        governors = Governors(listener=listener)
        if (shown := capability(adapter, ShowsCertificates)) is not None:
            governors.watch(shown.certificates)
        held = Lease(adapter, f"syncd {VERSION}")
        if (guardable := capability(adapter, Guardable)) is not None:
            guardable.use_guard(held.guard)
        use_recorded_modes(adapter, catalogue)
        session = Session(
            config=config,
            environ=environ,
            catalogue=catalogue,
            adapter=adapter,
            lease=held,
            store=stack_store(adapter, is_remote=settings.url.startswith("s3://"), meter=meter, fence=held),
            governors=governors,
            hashing=hashing,
            reading=reading,
            spool=spool,
            listener=listener,
            stopping=stopping,
            secrets=secrets,
            now=now,
        )
        if lease != "later":
            await session.identify_store()
        if lease == "held":
            await stack.enter_async_context(session.hold_lease())
        yield session


async def _roll_forward_first(
    config: Config, environ: Mapping[str, str], listener: Listener, stopping: asyncio.Event, secrets: Secrets
) -> None:
    """Finish an interrupted publish before a session that only reads, unless another process works with the store."""
    try:
        with Catalogue(config.state, read_only=True) as catalogue:
            if not interrupted_mirrors(catalogue):
                return
    except (Offline, Damaged):  # there is none yet, or one of an older syncd
        return
    # a pass is under way, or the store is unavailable: the session reads the last publish
    with suppress(PermanentError, TransientError):
        async with open_session(config, environ, listener, lease="held", stopping=stopping, secrets=secrets):
            return


def _open_catalogue(config: Config, lease: LeaseMode) -> Catalogue:
    if lease == "none":
        with suppress(Offline, Damaged):  # there is none, or one of an older version: opening it creates or migrates it
            return Catalogue(config.state, read_only=True)
    return Catalogue(config.state)


def _spool_folder(state: Path) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder for the documents of surveys. Raises NoSpace, Denied, Offline."""
    try:
        return tempfile.TemporaryDirectory(dir=state, prefix="spool-")
    except OSError as error:
        raise state_error(error, state, message("no temporary folder can be created there")) from error
