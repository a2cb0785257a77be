"""The context of a command: configuration, session and display."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from manifests.messages import message
from manifests.model import Mirror
from syncd.catalogue import Catalogue, MirrorRow, has_catalogue
from syncd.cli.output import print_warning
from syncd.cli.owner import require_owner
from syncd.cli.progress.display import for_terminal
from syncd.cli.progress.plain import Progress, line_of
from syncd.config import Config, network_plan
from syncd.core import (
    Busy,
    CatalogueOutdated,
    ConfigError,
    Damaged,
    Event,
    Listener,
    NetworkPlan,
    NotFound,
    Offline,
    PublishResumed,
    PublishStuck,
    Secrets,
)
from syncd.engine import unknown_mirror
from syncd.process import GRACE, Interruptible
from syncd.session import Session, has_store, open_session, preview_session


class CommandContext(msgspec.Struct, frozen=True):
    """How a command was called."""

    config: Config
    environ: Mapping[str, str]
    json: bool
    stopping: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    secrets: Secrets = msgspec.field(default_factory=Secrets)
    load: Callable[[], Config] | None = None
    """Reads the configuration again, from `file`."""
    file: Path | None = None
    url: str | None = None
    """The daemon to ask, instead of the one that holds the state folder."""

    @asynccontextmanager
    async def open_session(
        self, listener: Listener, *, writing: bool = True, grace: float = GRACE
    ) -> AsyncIterator[Session]:
        """Open state folder and store, and handle SIGINT and SIGTERM while they are open.

        `grace` is how many seconds transfers may take to end after the first signal: 0 if the command has none.
        """
        if writing:
            await asyncio.to_thread(require_owner, self.config)
        with Interruptible(self.stopping, grace):
            async with open_session(
                self.config,
                self.environ,
                listener,
                lease="held" if writing else "none",
                stopping=self.stopping,
                secrets=self.secrets,
            ) as bench:
                yield bench

    @asynccontextmanager
    async def open_mirror(
        self, name: str, listener: Listener | None = None, *, grace: float = GRACE, may_be_gone: bool = False
    ) -> AsyncIterator[Session]:
        """Open one mirror for work on it. Raises NotFound, and creates no folder, if there is no such mirror.

        `may_be_gone`: the store may have something of a mirror that the Catalogue has forgotten.
        """
        if not await self._has_anything():
            raise unknown_mirror(name)
        async with self.open_session(listener or self.report, grace=grace) as session:
            if not may_be_gone:
                session.mirror(name)
            yield session

    @asynccontextmanager
    async def preview_session(self, listener: Listener, mirror: str = "") -> AsyncIterator[Session]:
        """Open a session that only asks upstream, and leaves nothing behind: no store, no mirror, no Catalogue.

        It knows of `mirror` what the Catalogue does: a plan compares with its Entries. If no other process works with
        the Catalogue, it is opened for that; beside a daemon, and for root, the records of the mirror are copied.
        A mirror that the Catalogue does not know would stay in it.
        """
        if bool(mirror) and await asyncio.to_thread(_knows, self.config.state, mirror):
            async with AsyncExitStack() as stack:
                try:
                    await asyncio.to_thread(require_owner, self.config)
                    alone = await stack.enter_async_context(self.open_session(listener, grace=0.0))
                except (Busy, ConfigError):
                    alone = None
                if alone is not None:
                    yield alone
                    return
        with Interruptible(self.stopping, 0.0):
            async with preview_session(
                self.config, self.environ, listener, stopping=self.stopping, secrets=self.secrets, mirror=mirror
            ) as session:
                yield session

    async def require_own(self, mirror: Mirror) -> None:
        """Raise ConfigError if another mirror of the Catalogue holds the prefix of this one. Changes nothing."""
        if await asyncio.to_thread(has_catalogue, self.config.state):
            await asyncio.to_thread(_require_own, self.config.state, mirror)

    async def network(self) -> NetworkPlan:
        """Return how servers are reached."""
        return await asyncio.to_thread(network_plan, self.config.network, self.environ)

    async def _has_anything(self) -> bool:
        """Return True if there is a Catalogue to open, or a store to rebuild it from."""
        if await asyncio.to_thread(has_catalogue, self.config.state):
            return True
        return await has_store(self.config.store, await self.network())

    @asynccontextmanager
    async def read_mirror(self, name: str) -> AsyncIterator[tuple[Session, MirrorRow]]:
        """Open one mirror for reading. Raises NotFound, and creates no folder, if there is no such mirror."""
        if not await asyncio.to_thread(has_catalogue, self.config.state):
            raise unknown_mirror(name)
        async with self.open_session(self.report, writing=False) as session:
            yield session, session.mirror(name)

    @asynccontextmanager
    async def read_all(self) -> AsyncIterator[Session]:
        """Open all mirrors for reading. Raises NotFound, and creates no folder, if nothing was ever synced."""
        if not await asyncio.to_thread(has_catalogue, self.config.state):
            raise NotFound(message("{state}: no mirror was ever synced here", state=self.config.state))
        async with self.open_session(self.report, writing=False) as session:
            yield session

    def report(self, event: Event) -> None:
        """Report what a command without a display must not conceal: a publish that was finished first."""
        if (
            isinstance(event, CatalogueOutdated | PublishResumed | PublishStuck)
            and (text := line_of(event)) is not None
        ):
            print_warning(text, json=self.json)

    def progress(self) -> Progress:
        """Return the progress display for stderr."""
        return for_terminal(sys.stderr, self.environ, json=self.json)


@asynccontextmanager
async def temporary_folder() -> AsyncIterator[Path]:
    """Create a folder for what a command leaves nothing of, and delete it in the end."""
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="syncd-"))
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _knows(state: Path, mirror: str) -> bool:
    if not has_catalogue(state):
        return False
    try:
        catalogue = Catalogue(state, read_only=True)
    except (Offline, Damaged):
        return True  # opening it for work upgrades it, or says what is wrong
    with catalogue:
        return catalogue.history.mirror(mirror) is not None


def _require_own(state: Path, mirror: Mirror) -> None:
    try:
        catalogue = Catalogue(state, read_only=True)
    except (Offline, Damaged):
        return  # opening it for work says what is wrong
    with catalogue:
        catalogue.history.require_own(mirror)
