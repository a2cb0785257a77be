"""What a daemon is given: environment, configuration, clocks, signals, HTTP server and listeners."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from syncd.config import Config
from syncd.control import Control
from syncd.core import Listener, Secrets
from syncd.session import Session
from syncd.wrappers import Meter

STORE = 10.0  # seconds between two checks of the store
TICK = 1.0  # seconds between two rounds of the main loop

Load = Callable[[], Config]
HttpFactory = Callable[[Control, Config], AbstractAsyncContextManager[Callable[[Config], None]]]
"""Opens the HTTP server of a daemon; yields the callback that receives every new configuration."""


@dataclass(slots=True)
class DaemonDeps:
    """The dependencies of a daemon: environment, clocks, signals, HTTP server and listeners."""

    environ: Mapping[str, str]
    load: Load
    watched: Path | None = None
    """The configuration's file."""
    http: HttpFactory | None = None
    listeners: tuple[Listener, ...] = ()
    crashed: Callable[[str, BaseException], None] = lambda _name, _error: None
    meter: Meter | None = None
    """Counts and times the operations of the store."""
    secrets: Secrets = field(default_factory=Secrets)
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    opened: Callable[[Session], None] = lambda _: None
    started: Callable[[Control], None] = lambda _: None
    tick: float = TICK
    store_every: float = STORE
    """Seconds between two checks of the store."""
