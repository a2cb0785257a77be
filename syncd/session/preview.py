"""A session that only asks: it writes to a temporary folder, with a copy of what the Catalogue knows of a mirror.

So a plan can be made beside a running daemon, and without changing state folder or store.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from syncd.catalogue import Catalogue, copy_mirror, has_catalogue
from syncd.config import Config, network_plan
from syncd.core import Damaged, Listener, Offline, Secrets
from syncd.engine import rebuild
from syncd.session.opening import open_session
from syncd.session.plugins import has_store
from syncd.session.session import Session


@asynccontextmanager
async def preview_session(
    config: Config,
    environ: Mapping[str, str],
    listener: Listener,
    *,
    stopping: asyncio.Event,
    secrets: Secrets,
    mirror: str = "",
) -> AsyncIterator[Session]:
    """Open a session in a temporary state folder, which knows of `mirror` what the Catalogue does, or else the store.

    Raises as `open_session` does; Damaged if the mirror's records are.
    """
    async with AsyncExitStack() as stack:
        temporary = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="syncd-")
        stack.push_async_callback(asyncio.to_thread, temporary.cleanup)
        folder = Path(temporary.name)
        known = await _copied(stack, config.state, folder, mirror) if mirror else None
        session = await stack.enter_async_context(
            open_session(
                config.model_copy(update={"state": folder}),
                environ,
                listener,
                lease="later",
                stopping=stopping,
                secrets=secrets,
            )
        )
        if known is not None:  # what other mirrors hold
            session.catalogue.content = known.content
            known.held.least = session.catalogue.held.least
            session.catalogue.held = held = known.held.reopened()
            stack.callback(held.close)
        elif mirror and await has_store(config.store, await asyncio.to_thread(network_plan, config.network, environ)):
            await rebuild(session.store, session.catalogue, only=lambda pointer, _row: pointer.mirror == mirror)
        yield session


async def _copied(stack: AsyncExitStack, state: Path, folder: Path, mirror: str) -> Catalogue | None:
    """Copy what the Catalogue knows of a mirror; return the Catalogue, None if there is none that can be read."""
    if not await asyncio.to_thread(has_catalogue, state):
        return None
    with suppress(Offline, Damaged):  # one of another version, for example: the store knows the copy, too
        catalogue = stack.enter_context(Catalogue(state, read_only=True))
        await asyncio.to_thread(copy_mirror, state, mirror, folder)
        return catalogue
    return None
