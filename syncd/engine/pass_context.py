"""The context of a pass: its ports, and its limits of concurrent work."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

import msgspec

from manifests.model import Mirror
from manifests.reading import Reader
from syncd.catalogue import Catalogue
from syncd.core import Listener, Store, Transport, ignore_event
from syncd.engine.publish_head import HeadSigner
from syncd.engine.worker_port import Pool
from syncd.wrappers import OriginShare, alone

T = TypeVar("T")

IN_FLIGHT = 256 << 20  # bytes under way at once: the window of operations' memory formula
FILES = 192  # files under way at once: three for each slot, so that downloads never wait for writes


class PassContext(msgspec.Struct, frozen=True):
    """The ports, settings and limits of one pass; `syncd.session` composes it."""

    mirror: Mirror
    reader: Reader
    source: Transport
    store: Store
    catalogue: Catalogue
    hashing: Executor
    spool: Path
    reading: Executor | None = None
    """Reads the documents of surveys; None: threads of the event loop."""
    listener: Listener = ignore_event
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    stopping: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    ceiling: int = 64
    others: tuple[Reader, ...] = ()
    """The readers of the mirror's further sources."""
    pool: Pool | None = None
    """Worker processes for small files in large numbers."""
    budget: OriginShare = msgspec.field(default_factory=lambda: alone(IN_FLIGHT, FILES))
    free: Callable[[], Awaitable[int | None]] | None = None
    """Returns the most bytes that this pass may store; None: all free space."""
    retry_failed: bool = False
    """Request files at once that failed verification before, and are not due yet."""
    lends: Callable[[str], bool] = lambda _mirror: True
    """Returns True if the checksum of upstream suffices to copy content of another mirror: its access is no narrower
    than this one's."""
    is_patient: bool = False
    """Wait a few seconds for files that upstream may still be writing, instead of leaving them for the next pass."""
    node: str = ""
    """Our own name among nodes (`serve.name`); "" if this is none."""
    heads: HeadSigner | None = None
    """Signs the head of the mirror after each publish; None: it is private, or there is no key."""
    quarantine_share: float = 0.1
    """The most that the quarantine may take of the store (`retention.quarantine_share`)."""
